package settings

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"uwgate/gateway/policy"
)

func parseRulesOf(t *testing.T, text string) ([]rule, error) {
	t.Helper()
	f, err := parseFile("f", strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	return f.rules, nil
}

func TestRules(t *testing.T) {
	rules, err := parseRulesOf(t, `
key: :1:$host$request_uri
rules:
  - name: news
    host: [www.example.com, "*.example.org"]
    path: /news/
    arg: [preview, lang=de]
    ttl: 5m
    min-ttl: 1m
    max-ttl: 1h
    tags: [news, front]
    keep-args: [page, "q*"]
  - glob: "/a/*/print"
    type: text/html
    action: observe
  - {regex: "^/p/[0-9]+$", action: bypass}
  - keep-args: []
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []rule{
		{name: "news", place: "f:4", keeps: "f:12", Rule: policy.Rule{
			Hosts: []string{"www.example.com", "*.example.org"}, PathPrefix: "/news/", Args: []string{"preview", "lang=de"},
			TTL: 5 * time.Minute, MinTTL: time.Minute, MaxTTL: time.Hour, Tags: []string{"news", "front"}, KeepArgs: []string{"page", "q*"},
		}},
		{place: "f:13", Rule: policy.Rule{PathGlob: "/a/*/print", ContentTypes: []string{"text/html"}, Action: policy.ActionObserve}},
		{place: "f:16", Rule: policy.Rule{PathRegexp: regexp.MustCompile("^/p/[0-9]+$"), Action: policy.ActionBypass}},
		{place: "f:17", keeps: "f:17", Rule: policy.Rule{KeepArgs: []string{}}},
	}
	for i := range max(len(rules), len(want)) {
		if i >= len(rules) || i >= len(want) || !reflect.DeepEqual(rules[i], want[i]) {
			t.Fatalf("rule %d of %d: got %+v, want %+v", i+1, len(rules), rules[i:], want[i:])
		}
	}
}

func TestRulesNameTheMistake(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no list", "rules:\n  path: /a\n", "f:2: rules is a list of rules, each of which begins with a dash, as in `- path: /news/`"},
		{"empty list", "rules: []\n", "f:1: rules is a list of rules, each of which begins with a dash, as in `- path: /news/`"},
		{"no value", "rules:\n", "f:1: rules is a list of rules, each of which begins with a dash, as in `- path: /news/`"},
		{"a word", "rules:\n  - news\n", "f:2: a rule is lines of `key: value`, as in `- path: /news/`"},
		{"twice", "rules:\n  - path: /a\nrules:\n  - path: /b\n", "f:3: rules is set a second time; write several values as one list"},
		{"key twice", "rules:\n  - path: /a\n    path: /b\n", "f:3: rule: path is set a second time"},
		{"unknown key", "rules:\n  - path: /a\n    mintl: 5m\n", `f:3: rule: unknown key "mintl"; did you mean "min-ttl"?; there are name, host, path, glob, regex, arg, type, methods, action, ttl, min-ttl, max-ttl, tags, keep-args, status, purge`},
		{"no time", "rules:\n  - ttl: 300\n", `f:2: rule: ttl "300": write a time as in 90s, 10m or 1h30m`},
		{"too short", "rules:\n  - ttl: 500ms\n", `f:2: rule: ttl "500ms": write a time from 1s to 720h; memcached reads a longer one as a date; to store nothing write action: bypass`},
		{"zero", "rules:\n  - ttl: 0s\n", `f:2: rule: ttl "0s": write a time from 1s to 720h; memcached reads a longer one as a date; to store nothing write action: bypass`},
		{"too long", "rules:\n  - max-ttl: 721h\n", `f:2: rule: max-ttl "721h": write a time from 1s to 720h; memcached reads a longer one as a date; to store nothing write action: bypass`},
		{"min over max", "rules:\n  - min-ttl: 2h\n    max-ttl: 1h\n", "f:2: rule: min-ttl 2h0m0s is over max-ttl 1h0m0s: lower one or raise the other"},
		{"regex", "rules:\n  - name: x\n    regex: '^/p/('\n", "f:3: rule: regex \"^/p/(\": error parsing regexp: missing closing ): `^/p/(`"},
		{"relative path", "rules:\n  - path: news\n", `f:2: rule: path "news": a path starts with a slash, as in /news/`},
		{"query in path", "rules:\n  - path: /a?b=1\n", `f:2: rule: path "/a?b=1": the path ends before the question mark; arguments belong under arg`},
		{"relative glob", "rules:\n  - glob: a/*\n", `f:2: rule: glob "a/*": a path starts with a slash, as in /news/`},
		{"two paths", "rules:\n  - path: /a\n    glob: /a/*\n", "f:2: rule: path, glob and regex exclude each other; write two rules, or one regex"},
		{"a list of paths", "rules:\n  - path: [/a, /b]\n", "f:2: rule: path takes one value, not a list"},
		{"url as host", "rules:\n  - host: https://a/\n", `f:2: rule: host "https://a/": write a host alone, as in www.example.com or *.example.com`},
		{"port", "rules:\n  - host:\n    - a\n    - b:80\n", `f:4: rule: host "b:80": write the host without its port, as nginx's $host has it`},
		{"naked IPv6", "rules:\n  - host: '::1'\n", `f:2: rule: host "::1": write an IPv6 address in brackets, as in [::1]`},
		{"argument without name", "rules:\n  - arg: =1\n", `f:2: rule: arg "=1": write name or name=value, one argument an entry`},
		{"two arguments", "rules:\n  - arg: a=1&b=2\n", `f:2: rule: arg "a=1&b=2": write name or name=value, one argument an entry`},
		{"type with charset", "rules:\n  - type: text/html; charset=utf-8\n", `f:2: rule: type "text/html; charset=utf-8": write a type without parameters, as in text/html or text/*`},
		{"half a type", "rules:\n  - type: html\n", `f:2: rule: type "html": write a type without parameters, as in text/html or text/*`},
		{"action", "rules:\n  - action: pass\n", `f:2: rule: action "pass": write cache, bypass or observe`},
		{"tag", "rules:\n  - tags: a b\n", `f:2: rule: tags "a b": a tag is one word, without comma; write several as a list`},
		{"keep-args with value", "rules:\n  - keep-args: [page=1]\n", `f:2: rule: keep-args "page=1": write the argument's name alone; * stands for any letters, as in utm_*`},
		{"keep-args by type", "rules:\n  - type: text/html\n    keep-args: [a]\n", "f:2: rule: keep-args changes the request to the worker, but the type is only known from its response; use path, glob or regex in place of type"},
		{"bypass with ttl", "rules:\n  - action: bypass\n    ttl: 5m\n", "f:2: rule: action: bypass stores nothing, so ttl, min-ttl, max-ttl, tags, keep-args and status have no effect; remove them"},
		{"method in small letters", "rules:\n  - methods: [POST, put]\n    purge: site\n", `f:2: rule: methods "put": write the method in capitals, as in PUT`},
		{"methods without purge", "rules:\n  - path: /a\n    methods: POST\n", "f:2: rule: only pages for GET are stored, so the rule has no effect; add GET, or say what it purges"},
		{"purge of nothing", "rules:\n  - purge: []\n", "f:2: rule: purge has an empty list, which matches nothing; remove the line or fill it"},
		{"purge without kind", "rules:\n  - purge: [site, news]\n", `f:2: rule: purge "news": write tag:NAME, url:/path, path:/path (with any query), prefix:/path or site`},
		{"purge with a space", "rules:\n  - purge: [tag: news]\n", "f:2: rule: purge: write no space after the colon, as in tag:news"},
		{"purge of a group that is none", "rules:\n  - regex: ^/a\n    purge: tag:a-$1\n", `f:2: rule: purge "tag:a-$1": $1: the rule's regex has 0 groups in parentheses`},
		{"catch-all first", "rules:\n  - ttl: 5m\n  - path: /a\n", "f:2: a rule without host, path, glob, regex, arg or type matches everything, so the rules below it never apply; move it to the end"},
		{"empty value", "rules:\n  - path:\n", "f:2: rule: path has no value; remove the line or give one"},
		{"empty entry", "rules:\n  - host: [a, '']\n", "f:2: rule: host has no value; remove the line or give one"},
		{"empty list in a rule", "rules:\n  - host: []\n", "f:2: rule: host has an empty list, which matches nothing; remove the line or fill it"},
		{"mapping as value", "rules:\n  - path: {a: b}\n", "f:2: rule: path has no value; remove the line or give one"},
		{"several", "rules:\n  - path: a\n    ttl: soon\n", "f:2: rule: path \"a\": a path starts with a slash, as in /news/\nf:3: rule: ttl \"soon\": write a time as in 90s, 10m or 1h30m"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseRulesOf(t, tt.text); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestPurgeOfRules(t *testing.T) {
	rules, err := parseRulesOf(t, `
rules:
  - purge: site
  - methods: [POST, DELETE]
    path: /c/
    purge: [tag:c, "url:/?a=b"]
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []rule{
		{place: "f:3", Rule: policy.Rule{Purge: []policy.Scope{{Kind: policy.ScopeSite}}}},
		{place: "f:4", Rule: policy.Rule{Methods: []string{"POST", "DELETE"}, PathPrefix: "/c/", Purge: []policy.Scope{{Kind: policy.ScopeTag, Tag: "c"}, {Kind: policy.ScopeURL, URI: "/?a=b"}}}},
	}
	if !reflect.DeepEqual(rules, want) {
		t.Errorf("got %+v, want %+v", rules, want)
	}
}

func TestHosts(t *testing.T) {
	for _, s := range []string{"a", "www.example.com", "*.example.com", "*", "[::1]", "10.0.0.1", "xn--bcher-kva.example"} {
		if err := checkHost(s); err != nil {
			t.Errorf("%q: %v, want none", s, err)
		}
	}
	for _, s := range []string{"", "a:80", "a:", "*:*", "[::1]:80", "::1", "http://a", "a/b", "a b", "a,b"} {
		if checkHost(s) == nil {
			t.Errorf("%q: no error, want one", s)
		}
	}
}

func TestKeepArgsNeedATemplate(t *testing.T) {
	rules := []rule{{}, {keeps: "f:7"}}
	if _, err := policyRules(rules, "", policy.FormatBody); err == nil || !strings.HasPrefix(err.Error(), "f:7: keep-args needs --key: ") {
		t.Errorf("without --key: %v, want f:7", err)
	}
	if got, err := policyRules(rules, "$uri", policy.FormatBody); err != nil || len(got.All()) != 2 {
		t.Errorf("with --key: %d rules, %v; want 2", len(got.All()), err)
	}
}

// Every example of the page is a file that serve takes, and every key is there.
func TestRulesPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 5 {
		t.Errorf("%d examples, want at least 5", len(blocks))
	}
	for _, block := range blocks {
		rules, err := parseRulesOf(t, block[1])
		if err != nil || len(rules) == 0 {
			t.Errorf("%s\n%d rules, %v", block[1], len(rules), err)
			continue
		}
		template := ""
		if strings.Contains(block[1], "key: ") {
			template = "$uri"
		}
		if _, err := policyRules(rules, template, policy.FormatBody); err != nil {
			t.Errorf("%s\n%v", block[1], err)
		}
	}
	for _, k := range ruleKeys {
		if !strings.Contains(string(page), "| `"+k.name+"` |") {
			t.Errorf("the table has no row for %s", k.name)
		}
	}
}

// Whatever the file, an error names it, and rules that are taken are valid.
func FuzzRules(f *testing.F) {
	f.Add("rules:\n  - path: /a\n    ttl: 5m\n    tags: [a, b]\n  - host: a.example\n    action: bypass\n")
	f.Add("rules:\n  - &r {regex: '^/$', keep-args: []}\n  - *r\n")
	f.Add("rules:\n  - methods: [POST]\n    regex: ^/(a)\n    purge: [tag:$1, url:/$1, site]\n")
	f.Add("ttl: 5m\nrules: [{type: 'text/*', min-ttl: 1s, max-ttl: 720h}]")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := parseFile("f", strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Fatalf("%v does not name the file", err)
			}
			return
		}
		for _, r := range file.rules {
			if err := r.Validate(); r.place == "" || err != nil {
				t.Fatalf("%+v at %q: %v", r, r.place, err)
			}
			for _, ttl := range []time.Duration{r.TTL, r.MinTTL, r.MaxTTL} {
				if ttl != 0 && (ttl < time.Second || ttl > maxTTL) {
					t.Fatalf("%+v has a lifetime out of bounds", r)
				}
			}
		}
	})
}
