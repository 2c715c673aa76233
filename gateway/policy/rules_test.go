package policy

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

const asJSON = "Content-Type: application/json"

// rulesPolicy is testPolicy with rules.
func rulesPolicy(rules ...Rule) *Policy {
	p := testPolicy()
	p.Rules = NewRules(rules)
	return p
}

func TestRuleConditions(t *testing.T) {
	tests := []struct {
		name    string
		rule    Rule
		changes []string
		want    bool
	}{
		{"none", Rule{}, nil, true},
		{"host", Rule{Hosts: []string{"www.example.com"}}, nil, true},
		{"host in another case, with port and dot", Rule{Hosts: []string{"WWW.example.com"}}, []string{"HTTP_HOST=www.EXAMPLE.com.:80"}, true},
		{"host glob", Rule{Hosts: []string{"*.example.com"}}, nil, true},
		{"host glob does not match the domain itself", Rule{Hosts: []string{"*.example.com"}}, []string{"HTTP_HOST=example.com", "-CACHE_KEY"}, false},
		{"second of two hosts", Rule{Hosts: []string{"x", "www.example.com"}}, nil, true},
		{"other host", Rule{Hosts: []string{"example.com"}}, nil, false},
		{"no Host header: the server's name", Rule{Hosts: []string{"www.example.com"}}, []string{"-HTTP_HOST"}, true},

		{"path prefix", Rule{PathPrefix: "/p"}, nil, true},
		{"path prefix is of the decoded path", Rule{PathPrefix: "/p q"}, []string{"PATH_INFO=/p q", "REQUEST_URI=/p%20q"}, true},
		{"path prefix without PATH_INFO", Rule{PathPrefix: "/p q"}, []string{"-PATH_INFO", "REQUEST_URI=/p%20q?x"}, true},
		{"path prefix of a URI that cannot be decoded", Rule{PathPrefix: "/"}, []string{"-PATH_INFO", "REQUEST_URI=/%zz"}, false},
		{"path prefix in another case", Rule{PathPrefix: "/P"}, nil, false},
		{"glob", Rule{PathGlob: "/blog/*/feed"}, []string{"PATH_INFO=/blog/a/b/feed"}, true},
		{"glob is for the whole path", Rule{PathGlob: "/blog/*/feed"}, []string{"PATH_INFO=/blog/a/feed/x"}, false},
		{"glob in another case", Rule{PathGlob: "/P*"}, nil, false},
		{"regexp", Rule{PathRegexp: regexp.MustCompile(`^/\d+$`)}, []string{"PATH_INFO=/12"}, true},
		{"regexp anywhere", Rule{PathRegexp: regexp.MustCompile(`\.html$`)}, []string{"PATH_INFO=/a.html"}, true},
		{"other regexp", Rule{PathRegexp: regexp.MustCompile(`^/\d+$`)}, nil, false},
		{"prefix and glob", Rule{PathPrefix: "/p", PathGlob: "*q"}, nil, false},

		{"argument", Rule{Args: []string{"q"}}, nil, true},
		{"argument without a value", Rule{Args: []string{"q"}}, []string{"QUERY_STRING=q"}, true},
		{"argument encoded", Rule{Args: []string{"query"}}, []string{"QUERY_STRING=%71uery=1"}, true},
		{"argument with value", Rule{Args: []string{"q=1"}}, nil, true},
		{"argument with another value", Rule{Args: []string{"q=2"}}, nil, false},
		{"second occurrence", Rule{Args: []string{"q=2"}}, []string{"QUERY_STRING=q=1&q=2"}, true},
		{"value encoded", Rule{Args: []string{"q=a b"}}, []string{"QUERY_STRING=q=a+b"}, true},
		{"argument in another case", Rule{Args: []string{"Q"}}, nil, false},
		{"one of two arguments", Rule{Args: []string{"q", "r"}}, nil, false},
		{"both arguments", Rule{Args: []string{"q", "r"}}, []string{"QUERY_STRING=r&q"}, true},
		{"argument without QUERY_STRING", Rule{Args: []string{"q=1"}}, []string{"-QUERY_STRING"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.rule.Validate(); err != nil {
				t.Fatal(err)
			}
			s := seenURLOf(get(tt.changes...))
			first, sure := rulesPolicy(tt.rule).matchRules(&s)
			if got := first == 1 && sure == 1; got != tt.want {
				t.Errorf("got %v (%d, %d), want %v", got, first, sure, tt.want)
			}
		})
	}
}

func TestRuleDecides(t *testing.T) {
	var (
		forNews   = Rule{PathPrefix: "/news", TTL: time.Minute, Tags: []string{"news"}}
		forHTML   = Rule{ContentTypes: []string{"text/HTML"}, TTL: 2 * time.Minute, Tags: []string{"html"}}
		forAll    = Rule{TTL: 3 * time.Minute}
		bypassAll = Rule{Action: ActionBypass}
		noJSON    = Rule{ContentTypes: []string{"application/*"}, Action: ActionBypass}
		watch     = Rule{Action: ActionObserve, TTL: time.Minute, Tags: []string{"watched"}}
	)
	atNews, atJSON := "PATH_INFO=/news", "PATH_INFO=/p.json"
	tests := []struct {
		name    string
		rules   []Rule
		change  string // to the request
		lines   []string
		asked   Reason // of the request
		want    Verdict
		wantTag string
	}{
		{"no rule matches", []Rule{forNews}, "", nil, "", Verdict{TTL: 10 * time.Minute, Reason: DefaultTTL}, ""},
		{"a rule's lifetime", []Rule{forNews}, atNews, nil, "", Verdict{TTL: time.Minute, Reason: RuleTTL}, "news"},
		{"the answer's own goes before", []Rule{forNews}, atNews, []string{"Cache-Control: max-age=5"}, "", Verdict{TTL: 5 * time.Second, Reason: MaxAge}, "news"},
		{"Expires goes before too", []Rule{forNews}, atNews, []string{"Expires: 0"}, "", Verdict{Reason: Expired}, ""},
		{"the first match counts", []Rule{forNews, forAll}, atNews, nil, "", Verdict{TTL: time.Minute, Reason: RuleTTL}, "news"},
		{"the second if not the first", []Rule{forNews, forAll}, "", nil, "", Verdict{TTL: 3 * time.Minute, Reason: RuleTTL}, ""},
		{"a rule without lifetime", []Rule{{Tags: []string{"x"}}, forAll}, "", nil, "", Verdict{TTL: 10 * time.Minute, Reason: DefaultTTL}, "x"},
		{"a rule's minimum", []Rule{{MinTTL: time.Hour}}, "", []string{"Cache-Control: max-age=5"}, "", Verdict{TTL: time.Hour, Reason: MaxAge}, ""},
		{"a rule's maximum", []Rule{{MaxTTL: time.Second}}, "", []string{"Cache-Control: max-age=5"}, "", Verdict{TTL: time.Second, Reason: MaxAge}, ""},
		{"a rule's maximum over the policy's", []Rule{{MaxTTL: 72 * time.Hour}}, "", []string{"Cache-Control: max-age=172800"}, "", Verdict{TTL: 48 * time.Hour, Reason: MaxAge}, ""},
		{"no lifetime for answers to cookies", []Rule{forAll}, "HTTP_COOKIE=lang=de", nil, "", Verdict{Reason: Cookie}, ""},
		{"but beside harmless ones", []Rule{forAll}, "HTTP_COOKIE=_ga=1", nil, "", Verdict{TTL: 3 * time.Minute, Reason: RuleTTL}, ""},
		{"a rule does not lift a refusal", []Rule{forAll}, "", []string{"Set-Cookie: a=b"}, "", Verdict{Reason: SetCookie}, ""},

		{"bypass", []Rule{bypassAll}, "", nil, Excluded, Verdict{Reason: Excluded}, ""},
		{"bypass below a match", []Rule{forAll, bypassAll}, "", nil, "", Verdict{TTL: 3 * time.Minute, Reason: RuleTTL}, ""},
		{"a type matches", []Rule{forHTML, bypassAll}, "", nil, "", Verdict{TTL: 2 * time.Minute, Reason: RuleTTL}, "html"},
		{"a type does not, and the bypass below does", []Rule{forHTML, bypassAll}, atJSON, []string{asJSON}, "", Verdict{Reason: Excluded}, ""},
		{"bypass by type", []Rule{noJSON, forAll}, atJSON, []string{asJSON}, "", Verdict{Reason: Excluded}, ""},
		{"bypass by another type", []Rule{noJSON, forAll}, "", nil, "", Verdict{TTL: 3 * time.Minute, Reason: RuleTTL}, ""},
		{"a type further down", []Rule{noJSON, {PathPrefix: "/x"}, forHTML}, "", nil, "", Verdict{TTL: 2 * time.Minute, Reason: RuleTTL}, "html"},
		{"a type alone that does not match", []Rule{noJSON}, "", nil, "", Verdict{TTL: 10 * time.Minute, Reason: DefaultTTL}, ""},
		{"the refusal of the head below the bypass", []Rule{noJSON}, "", []string{asJSON}, "", Verdict{Reason: Excluded}, ""},
		{"an answer without type", []Rule{{ContentTypes: []string{"*"}, Action: ActionBypass}}, "", []string{"-Content-Type"}, "", Verdict{Reason: Excluded}, ""},

		{"observe", []Rule{watch}, "", nil, "", Verdict{TTL: time.Minute, Reason: RuleTTL, Observe: true}, "watched"},
		{"observe what is refused", []Rule{watch}, "", []string{"Set-Cookie: a=b"}, "", Verdict{Reason: SetCookie}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, v := rulesPolicy(tt.rules...), get()
			if tt.change != "" {
				v = get(tt.change)
			}
			plan := p.Request(v)
			if plan.Reason != tt.asked {
				t.Errorf("request: got %q, want %q", plan.Reason, tt.asked)
			}
			got := p.Response(v, plan, page(tt.lines...), testNow)
			if got.TTL != tt.want.TTL || got.Reason != tt.want.Reason || got.Observe != tt.want.Observe || strings.Join(got.Tags, " ") != tt.wantTag {
				t.Errorf("got %+v, want %+v with tag %q", got, tt.want, tt.wantTag)
			}
			if got.Store() != (tt.want.TTL > 0 && !tt.want.Observe) {
				t.Errorf("Store() = %v", got.Store())
			}
		})
	}
}

func TestObserve(t *testing.T) {
	p, v := testPolicy(), get()
	p.Observe = true
	got := p.Response(v, p.Request(v), page(), testNow)
	if got.Store() || !got.Observe || got.TTL != 10*time.Minute || got.Reason != DefaultTTL {
		t.Errorf("got %+v, want what would have been, observed", got)
	}
	got = p.Response(v, p.Request(v), page("=404"), testNow)
	if got.Store() || got.Observe || got.Reason != Status {
		t.Errorf("got %+v, want a refusal as always", got)
	}
}

func TestRuleKeepArgs(t *testing.T) {
	derived := []string{"-CACHE_KEY", "-CACHE_SERVER"}
	tests := []struct {
		name    string
		keep    []string
		query   string
		changes []string
		key     string
		asked   string // REQUEST_URI for the worker
	}{
		{"nothing to cut", []string{"q"}, "q=1", derived, "www.example.com/p?q=1", "/p?q=1"},
		{"one cut", []string{"q"}, "q=1&utm_source=x", derived, "www.example.com/p?q=1", "/p?q=1"},
		{"order is kept", []string{"a", "b"}, "b=1&c=2&a=3", derived, "www.example.com/p?b=1&a=3", "/p?b=1&a=3"},
		{"all cut", []string{}, "q=1", derived, "www.example.com/p", "/p"},
		{"all kept", nil, "q=1&r", derived, "www.example.com/p?q=1&r", "/p?q=1&r"},
		{"glob", []string{"q*"}, "query=1&x", derived, "www.example.com/p?query=1", "/p?query=1"},
		{"encoded name: not a candidate", []string{"query"}, "%71uery=1&x", derived, "www.example.com/p?%71uery=1", "/p?%71uery=1&x"},
		{"another case: not a candidate", []string{"q"}, "Q=1", derived, "www.example.com/p", "/p?Q=1"},
		{"another name", []string{"q"}, "R=1", derived, "www.example.com/p", "/p"},
		{"a key handed over", []string{"q"}, "q=1&x=2", []string{"CACHE_KEY=:1:/p?q=1&x=2"}, ":1:/p?q=1&x=2", "/p?q=1&x=2"},
		{"not a candidate: asked as it came", []string{"q"}, "q=1&x=2", append(derived, "REMOTE_USER=x"), "www.example.com/p?q=1", "/p?q=1&x=2"},
		{"with the bypass argument", []string{"q"}, "q=1&x=2&nocache=" + secret, derived, "www.example.com/p?q=1", "/p?q=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := bypassPolicy()
			p.Keys.Template = mustTemplate(t, "$host$request_uri", "")
			p.Rules = NewRules([]Rule{{PathPrefix: "/other", KeepArgs: []string{}}, {KeepArgs: tt.keep}})
			v := get(append([]string{"REQUEST_URI=/p?" + tt.query, "QUERY_STRING=" + tt.query}, tt.changes...)...)
			plan := p.Request(v)
			if plan.Key != tt.key {
				t.Errorf("got key %q, want %q (plan %+v)", plan.Key, tt.key, plan)
			}
			out := p.ForWorker(v, plan)
			_, query, _ := cutQuery(tt.asked)
			if got := out.Get("REQUEST_URI"); got != tt.asked {
				t.Errorf("the worker is asked for %q, want %q", got, tt.asked)
			}
			if got := out.Get("QUERY_STRING"); got != query {
				t.Errorf("the worker gets QUERY_STRING %q, want %q", got, query)
			}
			if v.Get("QUERY_STRING") != tt.query {
				t.Error("the vars given were changed")
			}
		})
	}
}

// A page is written where nginx asked only if it is under the key it asked for.
func TestRuleKeepArgsForgetsServer(t *testing.T) {
	p := testPolicy()
	p.Keys.Template = mustTemplate(t, "$host$request_uri", "")
	p.Rules = NewRules([]Rule{{KeepArgs: []string{}}})
	if plan := p.Request(get("-CACHE_KEY")); plan.Addr != "" || plan.URI != "/p" || plan.Reason != "" {
		t.Errorf("got %+v, want no server and the cut URI", plan)
	}
	p.Rules = nil
	if plan := p.Request(get("-CACHE_KEY")); plan.Addr == "" || plan.URI != "" {
		t.Errorf("got %+v, want the server that was asked", plan)
	}
}

func TestRuleValidate(t *testing.T) {
	tests := []struct {
		name string
		rule Rule
		want string // in the message; "": valid
	}{
		{"zero", Rule{}, ""},
		{"everything", Rule{Hosts: []string{"*.example.com", "[::1]"}, PathPrefix: "/a", PathGlob: "*.html", PathRegexp: regexp.MustCompile("x"),
			Args: []string{"a", "b=c d"}, Action: ActionCache, TTL: time.Second, MinTTL: time.Second, MaxTTL: time.Hour, Tags: []string{"a:b"}, KeepArgs: []string{"page*"}}, ""},
		{"types", Rule{ContentTypes: []string{"text/*", "*", "*/json"}, Action: ActionObserve}, ""},
		{"host with port", Rule{Hosts: []string{"example.com:80"}}, "without scheme and port"},
		{"host with scheme", Rule{Hosts: []string{"http://example.com"}}, "without scheme and port"},
		{"empty host", Rule{Hosts: []string{""}}, "give a name"},
		{"path prefix without slash", Rule{PathPrefix: "news"}, "write it as /news"},
		{"path glob without slash", Rule{PathGlob: "news*"}, "write it as /news*"},
		{"path with arguments", Rule{PathPrefix: "/a?b=c"}, "name arguments of their own"},
		{"nameless argument", Rule{Args: []string{"=x"}}, "write name, or name=value"},
		{"two arguments in one", Rule{Args: []string{"a=1&b=2"}}, "one argument an entry"},
		{"argument to keep with a value", Rule{KeepArgs: []string{"a=1"}}, "without a value"},
		{"cut by type", Rule{KeepArgs: []string{"a"}, ContentTypes: []string{"text/html"}}, "use two rules"},
		{"type without subtype", Rule{ContentTypes: []string{"html"}}, "write type/subtype"},
		{"type with charset", Rule{ContentTypes: []string{"text/html; charset=utf-8"}}, "without parameters"},
		{"unknown action", Rule{Action: "skip"}, "one of cache, bypass and observe"},
		{"bypass with a lifetime", Rule{Action: ActionBypass, TTL: time.Hour}, "take them out"},
		{"bypass with tags", Rule{Action: ActionBypass, Tags: []string{"a"}}, "take them out"},
		{"negative lifetime", Rule{TTL: -time.Second}, "at least 1s"},
		{"lifetime under a second", Rule{MaxTTL: time.Millisecond}, "at least 1s"},
		{"limits the wrong way round", Rule{MinTTL: time.Hour, MaxTTL: time.Minute}, "swap them"},
		{"two tags in one", Rule{Tags: []string{"a b"}}, "give several as several"},
	}
	for _, tt := range tests {
		switch err := tt.rule.Validate(); {
		case tt.want == "" && err != nil:
			t.Errorf("%s: got %v, want none", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestRuleString(t *testing.T) {
	for want, r := range map[string]Rule{
		"everything: cache":                            {},
		"host a b, path prefix /x, argument q: bypass": {Hosts: []string{"a", "b"}, PathPrefix: "/x", Args: []string{"q"}, Action: ActionBypass},
		"path /*.x, path regexp ^/, content type text/*: observe, ttl 1m0s, max 1h0m0s, tags t": {
			PathGlob: "/*.x", PathRegexp: regexp.MustCompile("^/"), ContentTypes: []string{"text/*"},
			Action: ActionObserve, TTL: time.Minute, MaxTTL: time.Hour, Tags: []string{"t"}},
	} {
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A long path does not make a glob with many stars slow.
func TestGlobIsQuick(t *testing.T) {
	if matches(strings.Repeat("a*", 40)+"b", strings.Repeat("a", 60000)) {
		t.Error("matches")
	}
}

func FuzzGlob(f *testing.F) {
	for _, s := range []string{"", "*", "a*b", "**", "a*b*c"} {
		f.Add(s, "axxbyyc")
	}
	f.Fuzz(func(t *testing.T, glob, s string) {
		if len(glob) > 20 || len(s) > 100 {
			return
		}
		parts := strings.Split(glob, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		re, err := regexp.Compile("(?s)^" + strings.Join(parts, ".*") + "$")
		if err != nil || strings.ToValidUTF8(glob+s, "") != glob+s {
			return
		}
		if got, want := matchesExactly(glob, s), re.MatchString(s); got != want {
			t.Errorf("matchesExactly(%q, %q) = %v, want %v", glob, s, got, want)
		}
	})
}

// What is kept of a query was there, in that order, and cutting again cuts
// nothing.
func FuzzCutURI(f *testing.F) {
	for _, s := range []string{"/p?a=1&b=2#f", "?a", "/p?", "/p?%61=1&&a", "/p"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		got := cutURI(uri, []string{"a", "page*"})
		if again := cutURI(got, []string{"a", "page*"}); again != got {
			t.Errorf("%q: cut to %q, and again to %q", uri, got, again)
		}
		path, _, fragment := cutQuery(uri)
		if !strings.HasPrefix(got, path) || !strings.HasSuffix(got, fragment) || len(got) > len(uri) {
			t.Errorf("%q: cut to %q", uri, got)
		}
		if got := cutURI(uri, []string{"*"}); got != uri {
			t.Errorf("%q: all kept, and yet cut to %q", uri, got)
		}
	})
}
