package policy

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

const secret = "s3cret-word"

func bypassPolicy() *Policy {
	p := testPolicy()
	p.Bypass = Bypass{Name: "nocache", Secret: secret}
	return p
}

// asking are the changes of a request whose URI has this query.
func asking(query string, more ...string) []string {
	return append([]string{"REQUEST_URI=/p?" + query, "QUERY_STRING=" + query, "CACHE_KEY=:1:/p?" + query}, more...)
}

func TestBypass(t *testing.T) {
	tests := []struct {
		name    string
		changes []string
		want    Plan
	}{
		{"alone", asking("nocache=" + secret), Plan{Key: ":1:/p", URI: "/p", LookedUp: true, Bypass: true}},
		{"first", asking("nocache=" + secret + "&a=1"), Plan{Key: ":1:/p?a=1", URI: "/p?a=1", LookedUp: true, Bypass: true}},
		{"last", asking("a=1&nocache=" + secret), Plan{Key: ":1:/p?a=1", URI: "/p?a=1", LookedUp: true, Bypass: true}},
		{"middle", asking("a=1&nocache=" + secret + "&b"), Plan{Key: ":1:/p?a=1&b", URI: "/p?a=1&b", LookedUp: true, Bypass: true}},
		{"twice", asking("nocache=" + secret + "&nocache=x&a"), Plan{Key: ":1:/p?a", URI: "/p?a", LookedUp: true, Bypass: true}},
		{"encoded value", asking("nocache=s3cret%2Dword"), Plan{Key: ":1:/p", URI: "/p", LookedUp: true, Bypass: true}},
		{"a second one with an encoded name", asking("nocache=" + secret + "&%6Eocache=" + secret), Plan{Key: ":1:/p", URI: "/p", LookedUp: true, Bypass: true}},
		{"before a fragment", []string{"REQUEST_URI=/p?nocache=" + secret + "#f", "QUERY_STRING=nocache=" + secret, "CACHE_KEY=:1:/p?nocache=" + secret + "#f"},
			Plan{Key: ":1:/p#f", URI: "/p#f", LookedUp: true, Bypass: true}},
		{"HEAD deletes", asking("nocache="+secret, "REQUEST_METHOD=HEAD"), Plan{Key: ":1:/p", URI: "/p", LookedUp: true, Bypass: true, Reason: Method}},
		{"an identity cookie forbids the refill only", asking("nocache="+secret, "HTTP_COOKIE=sessionid=x"),
			Plan{Key: ":1:/p", URI: "/p", LookedUp: true, Bypass: true, Reason: IdentityCookie}},
		{"not looked up: deleted, not refilled", asking("nocache="+secret, "-CACHE_STATUS"), Plan{Key: ":1:/p", URI: "/p", Bypass: true, Reason: NotLookedUp}},

		{"POST is none", asking("nocache="+secret, "REQUEST_METHOD=POST"),
			Plan{Key: ":1:/p?nocache=" + secret, Addr: "10.0.0.1:11211", Reason: Method}},
		{"wrong secret", asking("nocache=s3cret"), Plan{Key: ":1:/p?nocache=s3cret", Addr: "10.0.0.1:11211", LookedUp: true}},
		{"empty secret", asking("nocache="), Plan{Key: ":1:/p?nocache=", Addr: "10.0.0.1:11211", LookedUp: true}},
		{"another name", asking("Nocache=x"), Plan{Key: ":1:/p?Nocache=x", Addr: "10.0.0.1:11211", LookedUp: true}},

		{"URI not in the key", asking("nocache="+secret, "CACHE_KEY=:1:/q"),
			Plan{URI: "/p", LookedUp: true, Bypass: true, Reason: NoKey, Note: "REQUEST_URI does not stand exactly once in CACHE_KEY; give the key's template"}},
		{"URI twice in the key", asking("nocache="+secret, "CACHE_KEY=/p?nocache="+secret+"/p?nocache="+secret),
			Plan{URI: "/p", LookedUp: true, Bypass: true, Reason: NoKey, Note: "REQUEST_URI does not stand exactly once in CACHE_KEY; give the key's template"}},
		{"secret in the rest of the key", asking("nocache="+secret, "CACHE_KEY="+secret+"/p?nocache="+secret),
			Plan{URI: "/p", LookedUp: true, Bypass: true, Reason: NoKey, Note: "the bypass argument's secret stands in the key or URL a second time"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, v := bypassPolicy(), get(tt.changes...)
			got := p.Request(v)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if got.Bypass && strings.Contains(fmt.Sprint(p.ForWorker(v, got)), secret) {
				t.Errorf("the worker gets the secret: %v", p.ForWorker(v, got))
			}
		})
	}
}

func TestBypassWithTemplate(t *testing.T) {
	p := bypassPolicy()
	p.Keys.Template, p.Keys.TemplateIsProof = mustTemplate(t, "$host$uri$is_args$args", ""), true
	bare := asking("nocache="+secret+"&a=1", "-CACHE_KEY", "-CACHE_STATUS", "-CACHE_SERVER")
	want := Plan{Key: "www.example.com/p?a=1", URI: "/p?a=1", Bypass: true}
	if got := p.Request(get(bare...)); got != want {
		t.Errorf("derived: got %+v, want %+v", got, want)
	}
	// A key without REQUEST_URI in it needs the template, which is right here.
	want.LookedUp = true
	handed := asking("nocache="+secret+"&a=1", "CACHE_KEY=www.example.com/p?nocache="+secret+"&a=1")
	if got := p.Request(get(handed...)); got != want {
		t.Errorf("handed over, as the template says: got %+v, want %+v", got, want)
	}
	// And here it is not: nginx's own key is what counts.
	want.Key = ":1:/p?a=1"
	if got := p.Request(get(asking("nocache=" + secret + "&a=1")...)); got != want {
		t.Errorf("handed over, another key: got %+v, want %+v", got, want)
	}
}

func TestBypassForWorker(t *testing.T) {
	p := bypassPolicy()
	v := get(asking("a=1&nocache="+secret, "HTTP_REFERER=http://e/p?nocache=s3cret%2Dword", "REQUEST=GET /p?nocache="+secret, "HTTP_ACCEPT=x")...)
	out := p.ForWorker(v, p.Request(v))
	for name, want := range map[string]string{"REQUEST_URI": "/p?a=1", "QUERY_STRING": "a=1", "HTTP_REFERER": "", "REQUEST": "", "HTTP_ACCEPT": "x"} {
		if got := out.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(v.Get("REQUEST_URI"), secret) {
		t.Error("the vars given were changed")
	}
}

func TestParseBypass(t *testing.T) {
	got, err := ParseBypass("nocache=a=b&c d")
	if want := (Bypass{"nocache", "a=b&c d"}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, s := range []string{"", "nocache", "nocache=", "=" + secret, "no cache=" + secret, "a&b=" + secret, "nocache=short"} {
		if _, err := ParseBypass(s); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: got %v, want an error without the secret", s, err)
		}
	}
	if printed := fmt.Sprintf("%v %+v %#v %s", got, *bypassPolicy(), bypassPolicy().Bypass, got); strings.Contains(printed, secret) || strings.Contains(printed, "a=b") {
		t.Errorf("printed with its secret: %s", printed)
	}
}

// The secret is nowhere a page could show it, unless the client has put it into
// the path as well, in which case there is no key.
func FuzzBypass(f *testing.F) {
	f.Add("a=1", "b=2", "/p", "x", true)
	f.Add("nocache=x", "%6Eocache="+secret, "/p#f", secret, false)
	f.Add("", "&&", "", "nocache="+secret, true)
	f.Add("nocache", "a="+secret, "/"+secret, "s3cret%2Dword", true)
	f.Fuzz(func(t *testing.T, before, after, path, referer string, derived bool) {
		query := before + "&nocache=" + secret + "&" + after
		changes := []string{
			"REQUEST_URI=" + path + "?" + query, "QUERY_STRING=" + query, "PATH_INFO=" + path,
			"CACHE_KEY=:1:" + path + "?" + query, "HTTP_REFERER=" + referer, "HTTP_COOKIE=" + referer,
		}
		p := bypassPolicy()
		if derived {
			p.Keys.Template = mustTemplate(t, "$host$uri$is_args$args|$http_referer", "1.22.1")
			changes = append(changes, "-CACHE_KEY")
		}
		v := get(changes...)
		plan := p.Request(v)
		if strings.Contains(plan.Key, secret) && plan.Bypass {
			t.Errorf("the key %q holds the secret", plan.Key)
		}
		if strings.Contains(plan.Note, secret) || strings.Contains(string(plan.Reason), secret) {
			t.Errorf("the reason shows the secret: %+v", plan)
		}
		if !plan.Bypass {
			if !strings.Contains(path+before, "#") {
				t.Errorf("not recognised: %q", v.Get("REQUEST_URI"))
			}
			return
		}
		checkWorkerVars(t, p.ForWorker(v, plan))
	})
}

func checkWorkerVars(t *testing.T, out uwsgi.Vars) {
	t.Helper()
	for _, x := range out {
		switch x.Name {
		case "REQUEST_URI", "QUERY_STRING":
			query := x.Value
			if x.Name == "REQUEST_URI" {
				_, query, _ = cutQuery(x.Value)
			}
			for arg := range strings.SplitSeq(query, "&") {
				name, _, _ := strings.Cut(arg, "=")
				if decoded, err := url.QueryUnescape(name); err == nil && decoded == "nocache" {
					t.Errorf("%s %q still has the argument", x.Name, x.Value)
				}
			}
		case "PATH_INFO":
		default:
			if strings.Contains(x.Value, secret) {
				t.Errorf("%s shows the secret: %q", x.Name, x.Value)
			}
		}
	}
}
