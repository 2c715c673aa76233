package settings

import (
	"errors"
	"flag"
	"io"
	"reflect"
	"slices"
	"testing"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// parse returns the settings of serve with a command line.
func parse(t *testing.T, args ...string) *Set {
	t.Helper()
	set := ForServe()
	parseInto(t, set, args...)
	return set
}

func parseInto(t *testing.T, set *Set, args ...string) {
	t.Helper()
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for _, f := range set.Flags() {
		if err := f.Apply(fs); err != nil {
			t.Fatal(err)
		}
	}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
}

// partsOf are what serve makes of flags, with a backend and a memcached.
func partsOf(t *testing.T, flags ...string) (*Parts, error) {
	t.Helper()
	return partsWith(t, &configFile{}, flags...)
}

func partsWith(t *testing.T, file *configFile, flags ...string) (*Parts, error) {
	t.Helper()
	set := parse(t, append([]string{"--backend", "127.0.0.1:3031", "--memcached", "127.0.0.1:11211"}, flags...)...)
	s, err := set.read(set.given(), file)
	if s == nil {
		return nil, err
	}
	p, together := s.Parts(t.Context())
	return p, errors.Join(err, together)
}

// The lists that protect must be nil, not empty, for the policy to have its own.
func TestDefaultsProtect(t *testing.T) {
	parts, err := partsOf(t)
	if err != nil {
		t.Fatal(err)
	}
	p := parts.Policy
	for name, list := range map[string][]string{"sentinel": p.Sentinels} {
		if list != nil {
			t.Errorf("--%s: %q, want nil", name, list)
		}
	}
	if p.Hits.Types != nil || p.Rules != nil || p.VaryCookieAnonymous || p.AcceptUnframed || p.Hits.Strict || p.Observe || p.Lifetimes.Jitter != 0.05 {
		t.Errorf("got %+v, want the strict defaults and 5 %% jitter", p)
	}
	vars := uwsgi.Vars{
		{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: "/"}, {Name: "PATH_INFO", Value: "/"}, {Name: "QUERY_STRING", Value: ""},
		{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"}, {Name: "SERVER_NAME", Value: "h"}, {Name: "SERVER_PORT", Value: "80"}, {Name: "REQUEST_SCHEME", Value: "http"},
		{Name: "HTTP_HOST", Value: "h"}, {Name: "HTTP_COOKIE", Value: "sessionid=1"},
		{Name: "CACHE_KEY", Value: "http://h/"}, {Name: "CACHE_STATUS", Value: "404"},
	}
	if got := p.Request(vars).Reason; got != policy.IdentityCookie {
		t.Errorf("a session: %q, want %q", got, policy.IdentityCookie)
	}
	page := &uwsgi.Response{StatusCode: 200, ContentLength: 19}
	if got := p.Body(page, []byte("csrfmiddlewaretoken"), true, false); got != policy.Sentinel {
		t.Errorf("a form: %q, want %q", got, policy.Sentinel)
	}
}

func TestPolicyFlags(t *testing.T) {
	parts, err := partsOf(t, "--identity-cookie", "none", "--harmless-cookie", "a*", "--harmless-cookie", "b", "--sentinel", "secret, or not",
		"--observe", "--strict-headers", "--vary-cookie", "anonymous", "--accept-unframed", "html", "--jitter", "12.5%",
		"--nginx-adds", "X-Frame-Options: DENY", "--nginx-adds", "Content-Security-Policy:default-src 'self'; img-src *",
		"--trusted-header", "X-Forwarded-Host", "--allowed-host", "*.example.com")
	if err != nil {
		t.Fatal(err)
	}
	p := parts.Policy
	cookies := p.Visitors.Cookies()
	if len(cookies.Identity) != 0 || !slices.Contains(cookies.Strangers, "a*") || !slices.Contains(cookies.Strangers, "_ga") {
		t.Errorf("cookies: %+v, want no identity and two harmless ones more", cookies)
	}
	if p.Keys.Template.Visitors != p.Visitors || !slices.Equal(p.Sentinels, []string{"secret, or not"}) {
		t.Errorf("the template has other tables, or sentinels: %q", p.Sentinels)
	}
	if !p.Observe || !p.Hits.Strict || !p.VaryCookieAnonymous || !p.AcceptUnframed || p.Lifetimes.Jitter != 0.125 {
		t.Errorf("got %+v, want all of it on and a jitter of 0.125", p)
	}
	want := []uwsgi.Field{{Name: "X-Frame-Options", Value: "DENY"}, {Name: "Content-Security-Policy", Value: "default-src 'self'; img-src *"}}
	if !reflect.DeepEqual(p.Hits.Adds, want) {
		t.Errorf("--nginx-adds: %q, want %q", p.Hits.Adds, want)
	}
	if !slices.Equal(p.TrustedHeaders, []string{"X-Forwarded-Host"}) || !slices.Equal(p.Keys.AllowedHosts, []string{"*.example.com"}) {
		t.Errorf("hosts: %q, %q", p.TrustedHeaders, p.Keys.AllowedHosts)
	}
}

func TestShares(t *testing.T) {
	for text, want := range map[string]Share{"0": 0, "0%": 0, "5%": 0.05, "50%": 0.5, "2.5%": 0.025} {
		if got, err := parseShare(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%", "5", "0.05", "-1%", "50.1%", "NaN%", "Inf%", "5%%", "five%"} {
		if got, err := parseShare(text); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "1023": 1023, "1k": 1 << 10, "2M": 2 << 20, "1MiB": 1 << 20, "3GB": 3 << 30} {
		got, err := parseSize(text)
		if err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
		if again, err := parseSize(got.String()); err != nil || again != got {
			t.Errorf("%q prints as %q, which reads as %d", text, got.String(), again)
		}
	}
	for _, text := range []string{"", "-1", "k", "1kk", "1.5M", "9999999999G", "1 000"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q reads as %d, want an error", text, got)
		}
	}
}
