package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// With another generation nginx serves no page of before. Until both have it, pages are
// stored where nginx looks, and what makes a page old deletes it in both generations.
func TestGeneration(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"uwgate", "nginx"} {
		t.Run(first+" first", func(t *testing.T) {
			t.Parallel()
			config := filepath.Join(t.TempDir(), "uwgate.yaml")
			write := func(path, text string) {
				t.Helper()
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			write(config, "generation: r1\n")
			a := startApp(t, stack.Config{Args: []string{"--config", config}})
			key := func(generation string) string { return generation + ":" + strings.TrimPrefix(a.wireKey("/doc"), "r1:") }
			visit := func() string {
				t.Helper()
				body := a.want(a.get("/doc"), 200).body
				a.settle()
				return body
			}
			old := visit()
			a.wantKey(key("r1"))
			if hit := visit(); hit != old {
				t.Fatalf("the second request is no hit: %q, %q", hit, old)
			}

			reload := map[string]func(){
				"uwgate": func() {
					write(config, "generation: r2\n")
					n := strings.Count(a.Uwgate.Log(), "settings reloaded")
					if err := a.Uwgate.Reload(); err != nil {
						t.Fatal(err)
					}
					a.eventually("uwgate has the settings", func() bool { return strings.Count(a.Uwgate.Log(), "settings reloaded") > n })
				},
				"nginx": func() {
					conf := filepath.Join(a.Dir, "site.conf")
					text, err := os.ReadFile(conf)
					if err != nil || !strings.Contains(string(text), `"r1:$visitor$scheme`) {
						t.Fatalf("%v: no generation in\n%s", err, text)
					}
					write(conf, strings.ReplaceAll(string(text), `"r1:`, `"r2:`))
					a.reloadNginx()
				},
			}
			asked := map[string]string{"uwgate": "r1", "nginx": "r2"}[first] // in between
			reload[first]()
			if got := visit(); asked == "r1" && got != old || asked == "r2" && got == old {
				t.Errorf("nginx looks in %s, and serves %q; before it was %q", asked, got, old)
			}
			if !a.has(key(asked)) {
				t.Errorf("the page of %s is not stored", asked)
			}
			a.want(a.fetch("POST", "/doc", ""), 200)
			for _, generation := range []string{"r1", "r2"} {
				if a.has(key(generation)) {
					t.Errorf("after a POST there is still a page of %s", generation)
				}
			}
			between := visit()
			if !a.has(key(asked)) {
				t.Errorf("the page after the POST is not stored in %s", asked)
			}

			for _, second := range []string{"uwgate", "nginx"} {
				if second != first {
					reload[second]()
				}
			}
			got := visit()
			if again := visit(); !a.has(key("r2")) || again != got || asked == "r1" && got == between {
				t.Errorf("at the end: %q and %q; before it was %q", got, again, between)
			}
		})
	}
}
