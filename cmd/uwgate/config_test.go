package main

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// configOf is what `serve` makes of flags.
func configOf(t *testing.T, flags ...string) (*config, error) {
	t.Helper()
	return configWith(t, &configFile{}, flags...)
}

func configWith(t *testing.T, file *configFile, flags ...string) (*config, error) {
	t.Helper()
	app := newApp(strings.NewReader(""), &bytes.Buffer{})
	var cfg *config
	var err error
	app.Command("serve").Action = func(c *cli.Context) error {
		cfg, err = parseConfig(c, files{file: file})
		return nil
	}
	args := append([]string{"uwgate", "serve", "--backend", "127.0.0.1:3031", "--memcached", "127.0.0.1:11211"}, flags...)
	return cfg, errors.Join(app.Run(args), err)
}

// The lists that protect must be nil, not empty, for the policy to have its own.
func TestDefaultsProtect(t *testing.T) {
	cfg, err := configOf(t)
	if err != nil {
		t.Fatal(err)
	}
	p := cfg.policy
	for name, list := range map[string][]string{"sentinel": p.Sentinels} {
		if list != nil {
			t.Errorf("--%s: %q, want nil", name, list)
		}
	}
	if p.Types != nil || p.Rules != nil || p.VaryCookieAnonymous || p.AcceptUnframed || p.StrictHeaders || p.Observe || p.Jitter != 0.05 {
		t.Errorf("got %+v, want the strict defaults and 5 %% jitter", p)
	}
	vars, err := requestVars("GET", "http://h/", uwsgi.Vars{{Name: "HTTP_COOKIE", Value: "sessionid=1"}})
	if err != nil {
		t.Fatal(err)
	}
	vars = append(vars, uwsgi.Var{Name: "CACHE_KEY", Value: "http://h/"}, uwsgi.Var{Name: "CACHE_STATUS", Value: "404"})
	if got := p.Request(vars).Reason; got != policy.IdentityCookie {
		t.Errorf("a session: %q, want %q", got, policy.IdentityCookie)
	}
	page := &uwsgi.Response{StatusCode: 200, ContentLength: 19}
	if got := p.Body(page, []byte("csrfmiddlewaretoken"), true, false); got != policy.Sentinel {
		t.Errorf("a form: %q, want %q", got, policy.Sentinel)
	}
}

func TestPolicyFlags(t *testing.T) {
	cfg, err := configOf(t, "--identity-cookie", "none", "--harmless-cookie", "a*", "--harmless-cookie", "b", "--sentinel", "secret, or not",
		"--observe", "--strict-headers", "--vary-cookie", "anonymous", "--accept-unframed", "html", "--jitter", "12.5%",
		"--nginx-adds", "X-Frame-Options: DENY", "--nginx-adds", "Content-Security-Policy:default-src 'self'; img-src *",
		"--trusted-header", "X-Forwarded-Host", "--allowed-host", "*.example.com")
	if err != nil {
		t.Fatal(err)
	}
	p := cfg.policy
	cookies := p.Visitors.Cookies()
	if len(cookies.Identity) != 0 || !slices.Contains(cookies.Strangers, "a*") || !slices.Contains(cookies.Strangers, "_ga") {
		t.Errorf("cookies: %+v, want no identity and two harmless ones more", cookies)
	}
	if p.Template.Visitors != p.Visitors || !slices.Equal(p.Sentinels, []string{"secret, or not"}) {
		t.Errorf("the template has other tables, or sentinels: %q", p.Sentinels)
	}
	if !p.Observe || !p.StrictHeaders || !p.VaryCookieAnonymous || !p.AcceptUnframed || p.Jitter != 0.125 {
		t.Errorf("got %+v, want all of it on and a jitter of 0.125", p)
	}
	want := []uwsgi.Field{{Name: "X-Frame-Options", Value: "DENY"}, {Name: "Content-Security-Policy", Value: "default-src 'self'; img-src *"}}
	if !reflect.DeepEqual(p.NginxAdds, want) {
		t.Errorf("--nginx-adds: %q, want %q", p.NginxAdds, want)
	}
	if !slices.Equal(p.TrustedHeaders, []string{"X-Forwarded-Host"}) || !slices.Equal(p.AllowedHosts, []string{"*.example.com"}) {
		t.Errorf("hosts: %q, %q", p.TrustedHeaders, p.AllowedHosts)
	}
}

func TestShares(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "0%": 0, "5%": 0.05, "50%": 0.5, "2.5%": 0.025} {
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
