package snippet_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf/nginxtest"
	"uwgate/nginxconf/snippet"
	"uwgate/uwsgi"
)

// nginx accepts the sites of all combinations of flags, in one configuration.
func TestNginxAcceptsAllFlags(t *testing.T) {
	program := nginxtest.Program(t)
	var all strings.Builder
	all.WriteString("variables_hash_max_size 262144;\nvariables_hash_bucket_size 256;\n")
	n := 0
	for _, format := range []policy.Format{policy.FormatBody, policy.FormatGzip, policy.FormatHTTP} {
		for _, hash := range []cachewriter.Method{cachewriter.All, cachewriter.Modulo, cachewriter.Consistent} {
			for bits := range 64 {
				has := func(i int) bool { return bits>>i&1 == 1 }
				if !has(2) && hash != cachewriter.All {
					continue // one server has no hash
				}
				n++
				s := &snippet.Site{
					Name: fmt.Sprintf("s%d", n), Listen: []string{fmt.Sprintf("unix:/tmp/never%d", n)}, Gateways: []string{"127.0.0.1:3030"},
					Servers: []string{"127.0.0.1:11211"}, Hash: hash, Format: format, GzipFlag: 4, Visitors: onlySession,
					ForwardedProto: has(0), TLS: snippet.TLS{Secure: has(1)},
				}
				if has(2) {
					s.Servers = append(s.Servers, "127.0.0.1:11212")
				}
				if has(3) {
					s.IgnoreArgs = []string{"utm_*"}
				}
				if has(4) {
					s.Adds = []uwsgi.Field{{Name: "X-Frame-Options", Value: "DENY"}}
				}
				if has(5) && !has(1) {
					s.Backups = []string{"127.0.0.1:3031"}
				}
				all.WriteString(text(t, s) + "\n")
			}
		}
	}
	dir := nginxtest.Frame(t, nginxtest.Modules(t, program), all.String())
	if out, err := exec.Command(program, append([]string{"-t"}, nginxtest.Arguments(dir)...)...).CombinedOutput(); err != nil || strings.Contains(string(out), "[warn]") {
		t.Errorf("nginx -t: %v\n%s", err, out)
	}
}
