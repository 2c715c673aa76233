package nginxconf

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/nginx"
	"uwgate/nginxconf/nginxtest"
)

// configurations are whole ones by name. Each function makes the folder of its nginx.conf.
func configurations(t *testing.T) map[string]func(t *testing.T) (dir string) {
	t.Helper()
	all := map[string]func(t *testing.T) string{
		"debian":   func(t *testing.T) string { return nginxtest.Copy(t, "testdata/read/debian") },
		"includes": func(t *testing.T) string { return nginxtest.Copy(t, "testdata/read/includes") },
		"recipe":   recipe,
	}
	for _, pattern := range []string{"testdata/read/*.conf", "snippet/testdata/*.conf"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".conf")
			if strings.Contains(pattern, "snippet") {
				name = "snippet-" + name
			}
			all[name] = func(t *testing.T) string {
				site, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				return nginxtest.Frame(t, "", onLoopback.Replace(string(site)))
			}
		}
	}
	return all
}

// onLoopback replaces ports on which only root may listen.
var onLoopback = strings.NewReplacer("listen 80;", "listen 127.0.0.1:18080;", "listen [::]:80 ", "listen [::1]:18080 ")

func recipe(t *testing.T) (dir string) {
	t.Helper()
	dir = nginxtest.Frame(t, "", "")
	var b strings.Builder
	c := nginx.Config{Listen: "127.0.0.1:18080", Backend: "unix:/run/uwgate.sock", Hash: "consistent", Memcached: []string{"127.0.0.1:11211", "127.0.0.1:11212"}}
	if err := c.Write(&b, nginx.Recipe); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Goldens of the models. To accept a change: UPDATE=1 go test.
func TestReadGolden(t *testing.T) {
	for name, make := range configurations(t) {
		t.Run(name, func(t *testing.T) {
			dir := make(t)
			c, err := Read(filepath.Join(dir, "nginx.conf"), "")
			if err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(dump(c), dir+"/", "")
			nginxtest.Golden(t, filepath.Join("testdata", "read", name+".dump"), got)
		})
	}
}

// nginx starts with these configurations, and reads the same files in the same order.
func TestNginxReadsTheSame(t *testing.T) {
	program := nginxtest.Program(t)
	modules := nginxtest.Modules(t, program)
	for name, make := range configurations(t) {
		t.Run(name, func(t *testing.T) {
			dir := make(t)
			load(t, dir, modules)
			out, err := exec.Command(program, append(nginxtest.Arguments(dir), "-T")...).CombinedOutput()
			if err != nil {
				t.Fatalf("nginx -T: %v\n%s", err, out)
			}
			var want []string
			for _, m := range regexp.MustCompile(`(?m)^# configuration file (.*):$`).FindAllSubmatch(out, -1) {
				want = append(want, filepath.Clean(string(m[1])))
			}
			c, err := Read(filepath.Join(dir, "nginx.conf"), "")
			if err != nil || !slices.Equal(c.Files, want) {
				t.Errorf("got %q, %v; nginx reads %q", c.Files, err, want)
			}
		})
	}
}

// load makes nginx load modules if the configuration does not, and find them if it does.
func load(t *testing.T, dir, modules string) {
	t.Helper()
	if path := filepath.Join(dir, "modules.conf"); exists(path) {
		if err := os.WriteFile(path, []byte(modules), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	folder := regexp.MustCompile(`load_module (\S*/)`).FindStringSubmatch(modules)[1]
	files, _ := filepath.Glob(filepath.Join(dir, "modules-enabled", "*.conf"))
	for _, file := range files {
		nginxtest.Replace(t, file, "modules/", folder)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func ExampleRead() {
	c, err := Read("testdata/read/debian/nginx.conf", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range c.Lookups {
		fmt.Println(l.Key.Expanded, "on", l.Memcached.Name, "for", strings.Join(l.Names, " "))
		fmt.Println("misses go to", l.Misses.Upstream.Servers[0].Text, "by", l.Misses)
	}
	// Output:
	// :1:SHOP:$request_uri on localhost:11211 for shop.example www.shop.example
	// misses go to unix:///run/uwgate.sock by testdata/read/debian/sites-enabled/shop:26
}
