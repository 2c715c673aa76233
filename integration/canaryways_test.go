package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// adminToken opens the admin API of the gateways.
const adminToken = "0123456789abcdef0123456789abcdef"

// told are the flags with which check asks the running gateway.
func (w *world) told() []string { return []string{"--admin", w.Admin, "--admin-token", adminToken} }

// location looks pages up under a key, and sends misses to another location.
func location(path, key, misses string) string {
	return "location " + path + ` {
		default_type text/html; charset utf-8;
		set $memcached_key "` + key + `";
		memcached_pass memcached;
		error_page 404 502 504 = ` + misses + `;
	}
	`
}

// params are those of a location that hands over other values than the server does.
func params(lines string) string {
	return "include uwsgi_params; uwsgi_param HTTP_HOST $host; " + lines + " uwsgi_pass uwgate;"
}

// reversed is a map whose value is the end of a URL backwards. Like a hash it does not
// contain the URL.
var reversed = func() string {
	pattern, value := "", ""
	for _, letter := range "abcdefghijklmnop" {
		pattern += "(?<r" + string(letter) + ">.)"
		value = "$r" + string(letter) + value
	}
	return `map $request_uri $hashed { "~` + pattern + `$" "h` + value + `"; }` + "\n"
}()

// Only nginx can compute these keys, so it is asked for them.
func TestCanaryOfNginxsKeys(t *testing.T) {
	t.Parallel()
	w := canaryStack(t, stack.Config{
		Args: []string{"--admin-token", adminToken, "--opaque-key", "--allowed-host", "127.0.0.1", "--allowed-host", "www.example.com"},
		Edits: [][2]string{
			{"upstream uwgate {", "map $http_user_agent $device { default desktop; ~*mobile phone; }\n" +
				`split_clients "$request_uri" $half { 50% a; * b; }` + "\n" +
				"geo $zone { default far; 127.0.0.0/8 near; }\n" + reversed + "upstream uwgate {"},
			{"    location @uwgate {", location("/map/", "$device:$host$request_uri", "@uwgate") +
				location("/split/", "$half:$host$request_uri", "@uwgate") +
				location("/geo/", "$zone:$host$request_uri", "@uwgate") +
				location("/hash/", "$hashed", "@uwgate") +
				location("/wrong/", "$device:$host$request_uri", "@wrong") +
				location("/unsaid/", "$device:$host$request_uri", "@unsaid") +
				location("/one/", "$zone", "@uwgate") +
				"location @wrong { " + params(`uwsgi_param CACHE_KEY "x$request_uri"; uwsgi_param CACHE_STATUS $upstream_status;`) + " }\n" +
				"location @unsaid { " + params(`uwsgi_param CACHE_KEY $memcached_key;`) + " }\n    location @uwgate {"},
		},
	})
	fitting := append(memcachedArgs("none", w.Memcached[0].Addr), w.told()...)
	w.proves(t, fitting, []proof{
		{"recommended", "/", nil, "hit", []string{`"told":true`, `"source":"nginx"`, `"lookup":"404"`, `"server":"` + w.Memcached[0].Addr, `"refusals":[]`}},
		{"map", "/map/", nil, "hit", []string{`"key":"desktop:127.0.0.1/map/`}},
		{"map of a header", "/map/x.html?a=b", []string{"-H", "User-Agent: a mobile"}, "hit", []string{`"key":"phone:127.0.0.1/map/`}},
		{"split_clients", "/split/", nil, "hit", nil},
		{"geo", "/geo/", nil, "hit", []string{`"key":"near:127.0.0.1/geo/`}},
		{"a hash", "/hash/", nil, "hit", []string{`"key":"h`}},
		{"another site", "/map/", []string{"-H", "Host: www.example.com"}, "hit", []string{`"key":"desktop:www.example.com/map/`}},
		{"another key handed over", "/wrong/", nil, "key", []string{"another key than it hands over as CACHE_KEY"}},
		{"no result handed over", "/unsaid/", nil, "store", []string{"not-looked-up", "uwsgi_param CACHE_STATUS $upstream_status;"}},
		{"a header that nothing knows", "/", []string{"-H", "X-Shade: dark"}, "hit", []string{"stores such pages only if their response grants a lifetime (unknown-header)"}},
		{"--key of old", "/map/", []string{"--key", "$host$request_uri"}, "key", []string{"give --key 'desktop:$host$request_uri'"}},
	})
	logged, err := os.ReadFile(w.AccessLog)
	if err != nil || !strings.Contains(string(logged), `"reason":"`+"canary"+`"`) {
		t.Errorf("no canary is logged, %v", err)
	}
	// memcached tells what nginx looks up, if the URL is in it. The configuration has errors
	// in other locations.
	site := filepath.Join(w.Dir, "nginx.conf")
	for _, tt := range []struct {
		path   string
		status int
		says   string
	}{
		{"/map/", 1, `"outcome":"hit"`},
		{"/split/", 1, `"outcome":"hit"`},
		{"/geo/", 1, `"outcome":"hit"`},
		{"/hash/", 2, "name the running gateway's --admin here, which tells the CACHE_KEY that nginx hands over"},
		{"/one/", 2, "is that of every URL in this folder"},
	} {
		args := []string{"check", "--json", "--via", w.URL(tt.path), "--nginx", site, "--memcached", w.Memcached[0].Addr, "--hash", "none"}
		if tt.path == "/one/" {
			args = append(args, w.told()...)
		}
		out, errs, status := runUwgate(t, args...)
		if status != tt.status || !strings.Contains(out+errs, tt.says) {
			t.Errorf("%s: got status %d, want %d and %q:\n%s%s", tt.path, status, tt.status, tt.says, out, errs)
		}
	}
	if w.settle(); w.items() != 0 {
		t.Errorf("memcached holds %q", w.keys())
	}
}

func (w *world) file(name string) string { return filepath.Join(w.Dir, name) }

func runUwgate(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = stack.UwgateEnv()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// nginx's workers may not open a socket: visitors get 502, or every page is made anew.
// check says so by the files, and by what nginx does.
func TestCanaryOfDeniedSockets(t *testing.T) {
	t.Parallel()
	w := openStack(t, stack.Config{Args: []string{"--admin-token", adminToken}, MemcachedSockets: true})
	gateway, memcached := w.file("uwgate.sock"), strings.TrimPrefix(w.Memcached[0].Addr, "unix:")
	for _, tt := range []struct {
		name           string
		gateway, cache os.FileMode
		folder         os.FileMode
		static         string // finding's code; "": none
		untold, told   string // outcomes without and with --admin
		says           string
	}{
		{"open", 0o666, 0o666, 0o755, "", "hit", "hit", ""},
		{"root's socket", 0o660, 0o666, 0o755, "socket-denied", "gateway", "gateway", "nginx runs as www-data, and may not connect to unix:" + gateway},
		{"a folder that only root may enter", 0o666, 0o666, 0o700, "socket-denied", "reach", "reach", "it may not enter the folder " + w.Dir},
		{"a folder that others may only list", 0o666, 0o666, 0o744, "socket-denied", "reach", "reach", "it may not enter the folder " + w.Dir},
		{"root's memcached", 0o666, 0o660, 0o755, "socket-denied", "lookup", "lookup", "may not connect to unix:" + memcached},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chmod(t, gateway, tt.gateway)
			chmod(t, memcached, tt.cache)
			f := startFront(t, w, nil) // a new one, since connections to memcached are kept
			chmod(t, w.Dir, tt.folder)
			out, errs, status := runUwgate(t, "check", "--nginx", f.conf())
			if found := strings.Contains(out, "[socket-denied]"); found != (tt.static != "") || found && !strings.Contains(out, tt.says) || (status == 1) != found {
				t.Errorf("--nginx: got status %d, want %q and %q:\n%s%s", status, tt.static, tt.says, out, errs)
			}
			for _, way := range []struct {
				args    []string
				outcome string
			}{{nil, tt.untold}, {w.told(), tt.told}} {
				got, text, _ := w.check(t, f.url("/"), append([]string{"--nginx", f.conf(), "--listen", "unix:" + gateway}, way.args...))
				if got.Outcome != way.outcome || len(got.Left) > 0 {
					t.Errorf("%q: got %s, want %s:\n%s", way.args, got.Outcome, way.outcome, text)
				}
			}
			chmod(t, w.Dir, 0o755)
			if w.settle(); w.items() != 0 {
				t.Errorf("memcached holds %q", w.keys())
			}
		})
	}
	chmod(t, gateway, 0o666)
	chmod(t, memcached, 0o666)
	f := startFront(t, w, nil)
	w.Uwgate.Kill()
	got, text, _ := w.check(t, f.url("/"), []string{"--nginx", f.conf()})
	if got.Outcome != "gateway" || !strings.Contains(text, "nothing takes connections at unix:"+gateway) {
		t.Errorf("without the gateway: got %s:\n%s", got.Outcome, text)
	}
}

// Another server block responds in the place of the site's.
func TestCanaryOfAnotherServer(t *testing.T) {
	t.Parallel()
	w := openStack(t, stack.Config{Args: []string{"--admin-token", adminToken}, NginxArgs: nil})
	chmod(t, w.file("uwgate.sock"), 0o666)
	const welcome = `return 200 "Welcome to nginx!";`
	block := func(listen, rest string) string {
		return "server { # the other\n listen " + listen + "; " + rest + welcome + " }\n"
	}
	for _, tt := range []struct {
		name   string
		change func(site, addr string) string
		args   []string
		level  string // of server-shadowed; "": no finding
		hit    bool
	}{
		{"a default_server, and no name", func(site, addr string) string { return block(addr+" default_server", "server_name _; ") + site }, nil, "error", false},
		{"the same, later", func(site, addr string) string { return site + block(addr+" default_server", "") }, nil, "error", false},
		{"an earlier block, and no name", func(site, addr string) string { return block(addr, "") + site }, nil, "error", false},
		{"the same name twice", func(site, addr string) string {
			return block(addr, "server_name www.example.com; ") + named(site, "www.example.com")
		}, []string{"-H", "Host: www.example.com"}, "error", false},
		{"a name that is not the site's", func(site, addr string) string { return block(addr, "") + named(site, "www.example.com") }, nil, "", false},
		{"the site's name", func(site, addr string) string { return block(addr, "") + named(site, "www.example.com") }, []string{"-H", "Host: WWW.example.com:80"}, "", true},
		{"the default_server itself", func(site, addr string) string {
			return block(addr, "server_name x; ") + strings.Replace(site, "listen "+addr+";", "listen "+addr+" default_server;", 1)
		}, nil, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := startFront(t, w, tt.change)
			out, errs, _ := runUwgate(t, "check", "--nginx", f.conf())
			if found := strings.Contains(out, ": "+tt.level+": ") && strings.Contains(out, "[server-shadowed]"); found != (tt.level != "") {
				t.Errorf("--nginx: want %q:\n%s%s", tt.level, out, errs)
			}
			got, text, _ := w.check(t, f.url("/"), append([]string{"--nginx", f.conf()}, tt.args...))
			if (got.Outcome == "hit") != tt.hit {
				t.Errorf("got %s:\n%s", got.Outcome, text)
			}
			if tt.hit {
				return
			}
			other := filepath.Join(f.dir, "site.conf") + ":" + lineOf(t, f, "# the other")
			if got.Outcome != "lookup" || !strings.Contains(text, "nginx chooses the server block of "+other) {
				t.Errorf("got %s, want lookup and %s:\n%s", got.Outcome, other, text)
			}
		})
	}
}

// named gives the site's server block a name.
func named(site, name string) string {
	return strings.Replace(site, "    include uwsgi_params;", "    server_name "+name+";\n    include uwsgi_params;", 1)
}

// lineOf is the number of the line of site.conf that has a text.
func lineOf(t *testing.T, f *front, text string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(f.dir, "site.conf"))
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(b), text)
	if !found {
		t.Fatalf("%q is not in site.conf", text)
	}
	return big.NewInt(int64(1 + strings.Count(before, "\n"))).String()
}

// What stands before the lookup: TLS, a redirect to it, a password, a rule.
func TestCanaryBeforeTheLookup(t *testing.T) {
	t.Parallel()
	w := openStack(t, stack.Config{Args: []string{"--admin-token", adminToken}})
	chmod(t, w.file("uwgate.sock"), 0o666)
	plain := freeAddr(t)
	f := startFront(t, w, func(site, addr string) string {
		selfSigned(t, w.Dir)
		site = strings.Replace(site, "listen "+addr+";", "listen "+addr+" ssl; ssl_certificate "+w.file("tls.crt")+"; ssl_certificate_key "+w.file("tls.key")+`;
			location /password/ { auth_basic "members"; auth_basic_user_file /dev/null; `+inside+` }
			location /denied/ { deny all; `+inside+` }
			location /limited/ { limit_req zone=few; limit_req_status 429; `+inside+` }`, 1)
		return "limit_req_zone $binary_remote_addr zone=few:1m rate=1r/m;\nserver { listen " + plain + "; return 301 https://www.example.com$request_uri; }\n" + site
	})
	secure := "https://" + f.addr
	fitting := append(memcachedArgs("none", w.Memcached[0].Addr), "-H", "Host: www.example.com")
	w.proves(t, fitting, []proof{
		{"self-signed", secure + "/", nil, "reach", []string{"certificate signed by unknown authority", "give --insecure"}},
		{"insecure", secure + "/", []string{"--insecure"}, "hit", nil},
		{"insecure, told", secure + "/", append(w.told(), "-k"), "hit", []string{`"key":"https://www.example.com/`}},
		{"TLS where there is none", "https://" + plain + "/", nil, "reach", []string{"see that nginx's listen line of that port has ssl"}},
		{"none where there is TLS", "http://" + f.addr + "/", nil, "reach", []string{"see whether the URL's scheme fits nginx's port"}},
		{"redirect", "http://" + plain + "/", nil, "reach", []string{"nginx redirects to https://www.example.com: give --via https://www.example.com/"}},
		{"password", secure + "/password/", []string{"-k"}, "reach", []string{"give --header 'Authorization: Basic"}},
		{"denied", secure + "/denied/", []string{"-k"}, "reach", []string{"let nginx, or the firewall before it, pass this client (allow, deny, ModSecurity"}},
		{"limited", secure + "/limited/", []string{"-k"}, "reach", []string{"limit_req"}},
	})
}

// inside looks up like the site.
const inside = `default_type text/html; charset utf-8; set $memcached_key "$scheme://$host$request_uri"; memcached_pass memcached; error_page 404 502 504 = @uwgate;`

// selfSigned writes tls.crt and tls.key, signed by itself.
func selfSigned(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), SerialNumber: big.NewInt(1), DNSNames: []string{"www.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
