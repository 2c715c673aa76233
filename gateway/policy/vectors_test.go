package policy

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"uwgate/uwsgi"
)

// A vectorCase is one request that a real nginx was sent; see testdata/README.md.
type vectorCase struct {
	ID       string
	Profile  string
	Group    string
	KeyRaw   *string     `json:"key_raw"`
	KeyWire  *string     `json:"key_wire"`
	Vars     [][2]string `json:"uwsgi_vars"`
	Status   string      `json:"upstream_status"`
	Addr     string      `json:"upstream_addr"`
	LookedUp bool        `json:"looked_up"`

	Derivable *bool
	Newer     *struct {
		Version string
		KeyRaw  *string     `json:"key_raw"`
		Vars    [][2]string `json:"uwsgi_vars"`
		Status  *int        `json:"client_status"`
	}

	template string // of its profile
}

func loadVectors(t testing.TB) []vectorCase {
	t.Helper()
	data, err := os.ReadFile("testdata/memcached_key.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Profiles map[string]struct{ Set string }
		Cases    []vectorCase
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) != 208 {
		t.Fatalf("got %d cases, want 208", len(file.Cases))
	}
	for i := range file.Cases {
		file.Cases[i].template = file.Profiles[file.Cases[i].Profile].Set
	}
	return file.Cases
}

// latin1 makes bytes of the file's characters.
func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

func varsOf(pairs [][2]string) uwsgi.Vars {
	var v uwsgi.Vars
	for _, p := range pairs {
		v = append(v, uwsgi.Var{Name: latin1(p[0]), Value: latin1(p[1])})
	}
	return v
}

func isTrue(b *bool) bool { return b != nil && *b }

func mustTemplate(t testing.TB, s, version string) *Template {
	t.Helper()
	tmpl, err := ParseTemplate(s)
	if err != nil {
		t.Fatal(err)
	}
	if tmpl.Nginx, err = ParseVersion(version); err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func TestVectorsDerived(t *testing.T) {
	tested := 0
	for _, c := range loadVectors(t) {
		if !isTrue(c.Derivable) {
			continue
		}
		tested++
		got, err := mustTemplate(t, c.template, "1.22.1").Expand(varsOf(c.Vars))
		if want := latin1(*c.KeyRaw); err != nil || got != want {
			t.Errorf("%s: %q renders to %q, %v; want %q", c.ID, c.template, got, err, want)
		}
	}
	if tested != 161 {
		t.Errorf("tested %d cases, want 161", tested)
	}
}

// Cases without a newer run are the same on 1.31.5, but for $http_host, which
// no longer follows from the packet.
func TestVectorsDerivedNewer(t *testing.T) {
	equal, refused := 0, 0
	for _, c := range loadVectors(t) {
		if !isTrue(c.Derivable) || c.Newer != nil && c.Newer.Status != nil && *c.Newer.Status == 400 {
			continue
		}
		vars, want := c.Vars, c.KeyRaw
		if c.Newer != nil && c.Newer.Vars != nil {
			vars = c.Newer.Vars
		}
		if c.Newer != nil && c.Newer.KeyRaw != nil {
			want = c.Newer.KeyRaw
		}
		got, err := mustTemplate(t, c.template, "1.31.5").Expand(varsOf(vars))
		switch {
		case strings.Contains(c.template, "$http_host"):
			refused++
			if err == nil {
				t.Errorf("%s: %q renders to %q, want an error", c.ID, c.template, got)
			}
		case err != nil || got != latin1(*want):
			t.Errorf("%s: %q renders to %q, %v; want %q", c.ID, c.template, got, err, latin1(*want))
		default:
			equal++
		}
	}
	if equal < 110 || refused == 0 {
		t.Errorf("%d cases equal, %d refused: the file has more", equal, refused)
	}
}

// Without a version the packets of both have the right key, or none where the
// versions disagree about the same packet.
func TestVectorsDerivedUnknownVersion(t *testing.T) {
	equal, disagreeing := 0, 0
	for _, c := range loadVectors(t) {
		if !isTrue(c.Derivable) {
			continue
		}
		vars := varsOf(c.Vars)
		got, err := mustTemplate(t, c.template, "").Expand(vars)
		if _, repeated := vars.Repeated(); c.Newer != nil && c.Newer.KeyRaw != nil && *c.Newer.KeyRaw != *c.KeyRaw {
			disagreeing++
			if err == nil {
				t.Errorf("%s: %q renders to %q, want an error (repeated: %v)", c.ID, c.template, got, repeated)
			}
			continue
		}
		equal++
		if want := latin1(*c.KeyRaw); err != nil || got != want {
			t.Errorf("%s: %q renders to %q, %v; want %q", c.ID, c.template, got, err, want)
		}
	}
	if equal < 150 || disagreeing < 4 {
		t.Errorf("%d equal, %d disagreeing: the file has more", equal, disagreeing)
	}
}

// What only nginx knows is refused when the template is read.
func TestVectorsUnderivableTemplates(t *testing.T) {
	for _, c := range loadVectors(t) {
		switch c.Profile {
		case "map", "capture", "request_line":
			if _, err := ParseTemplate(c.template); err == nil {
				t.Errorf("%s: %q is read, want an error", c.ID, c.template)
			}
		}
	}
}

// handOver adds the vars of the recommended configuration.
func (c *vectorCase) handOver() uwsgi.Vars {
	v := varsOf(c.Vars)
	add := func(name, value string) {
		if value != "" { // if_not_empty
			v = append(v, uwsgi.Var{Name: name, Value: value})
		}
	}
	if c.KeyRaw != nil {
		add("CACHE_KEY", latin1(*c.KeyRaw))
	}
	add("CACHE_STATUS", c.Status)
	add("CACHE_SERVER", c.Addr)
	return v
}

// Nothing is stored that nginx did not look up with a GET under a key that
// memcached takes, and what is plain is stored under nginx's key.
func TestVectorsHandedOver(t *testing.T) {
	stored := 0
	for _, c := range loadVectors(t) {
		v := c.handOver()
		p := &Policy{Keys: Keys{Servers: func(addr string) bool { return addr == c.Addr }, AllowedHosts: []string{"*"}}, Lifetimes: Lifetimes{Default: time.Minute}}
		plan := p.Request(v)
		if plan.Reason == "" && (plan.Key != latin1(*c.KeyRaw) || plan.Addr != c.Addr) {
			t.Errorf("%s: planned for %q at %q, want %q at %q", c.ID, plan.Key, plan.Addr, *c.KeyRaw, c.Addr)
		}
		// A response whose type is right for this path, whatever that is.
		mediaType, _ := p.Hits.typeOf(v)
		verdict := p.Response(v, plan, page("Content-Type: "+mediaType, "Cache-Control: max-age=60"), testNow)
		may := c.LookedUp && v.Get("REQUEST_METHOD") == "GET" && c.KeyWire != nil && len(latin1(*c.KeyWire)) <= 250
		if verdict.Store() && !may {
			t.Errorf("%s: stored (%s), though looked up is %v, method %q, wire key %v", c.ID, verdict.Reason, c.LookedUp, v.Get("REQUEST_METHOD"), c.KeyWire)
		}
		if may && !verdict.Store() && !isExpectedRefusal(verdict.Reason) && !(c.hasPartialKey() && (verdict.Reason == Rewritten || verdict.Reason == Arguments)) {
			t.Errorf("%s (%s): not stored: %s", c.ID, c.Group, verdict.Reason)
		}
		if verdict.Store() {
			stored++
		}
	}
	if stored < 107 {
		t.Errorf("only %d cases are stored", stored)
	}
}

// hasPartialKey reports whether the keys of a configuration do not contain the whole target, or
// say it in a way that only the template shows.
func (c *vectorCase) hasPartialKey() bool {
	return slices.Contains([]string{"uri", "mix", "args", "capture", "rewrite", "internal_redirect", "literal", "empty"}, c.Group)
}

// isExpectedRefusal reports what is right to refuse though nginx looked it up.
func isExpectedRefusal(r Reason) bool {
	switch r {
	case IdentityCookie, Authorization, DuplicateHeader, RequestBody, Upgrade,
		Host: // absolute-form targets, and keys of $server_name that a request for an alias shares
		return true
	}
	return false
}
