package parity

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"uwgate/nginxconf"
	"uwgate/nginxconf/nginxtest"
)

// maxRounds is how often check runs until nothing is left to fix: a fix may bring to light
// what else is wrong.
const maxRounds = 3

// unfixed are the archives that no program can make right, and why.
var unfixed = map[string]string{
	"access_differs":              "only the operator knows who may see the pages",
	"access_differs_deny":         "likewise",
	"http_part_missing":           "only the operator knows where the file is",
	"filter_of_both":              "only the operator knows which of the two is right",
	"gap":                         "a file is missing, and nobody knows what it would say",
	"no_lookup":                   "only the operator knows which pages nginx must look up",
	"no_lookup_srcache":           "likewise",
	"never_reached":               "only the operator knows whether pages or the redirect are meant",
	"param_unkeyed_behind_lookup": "only the operator knows whether it can be set before the lookup",
	"param_unkeyed_raw":           "only the operator knows which values the application needs",
	"param_unkeyed_set_later":     "only the operator knows whether it can be set before the lookup",
	"rewritten_by_late_set":       "only the operator knows whether it can be set before the lookup",
	"parts_kept_out":              "only the operator knows which requests are for parts of pages",
	"redirect_looked_up_variable": "only the operator knows which paths that can be",
	"miss_backup":                 "only the operator knows whether the same application is there",
	"rewritten_by_map":            "only the operator knows other values for its map",
	"srcache_key_md5":             "the lines that make the key belong to two locations",

	"location_undefined_error": "only the operator knows where refused visitors must go",

	"never_reached_location": "likewise",
	"never_reached_rewrite":  "likewise",
	"never_reached_scheme":   "likewise",

	"server_shadowed_default":       "only the operator knows the names of the site",
	"server_shadowed_default_later": "likewise",
	"server_shadowed_first":         "likewise",
	"server_shadowed_name":          "only the operator knows which server block is meant",
	"server_shadowed_one_name":      "likewise",
	"server_shadowed_one_port":      "likewise",
	"server_shadowed_wildcard":      "likewise",
	"socket_denied":                 "it is about files, and not about nginx",
	"socket_denied_backup":          "likewise",
	"socket_denied_folder":          "likewise",
	"socket_denied_memcached":       "likewise",
	"socket_denied_nobody":          "likewise",
	"key_scheme_constant_shared":    "the line to change is in a file that other sites include, too",
	"socket_denied_passed_by":       "likewise",
	"socket_refused":                "only the operator knows who may connect",
}

// If all fixes are made, check finds nothing wrong any more, and nginx takes the result.
func TestFixesWork(t *testing.T) {
	program := nginxtest.Program(t)
	modules := nginxtest.Modules(t, program)
	for name, a := range archives(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := nginxtest.Frame(t, "", "")
			for _, f := range a.Files[:len(a.Files)-1] {
				if err := nginxtest.WriteFile(dir, f.Name, string(f.Data)); err != nil {
					t.Fatal(err)
				}
			}
			left := fixAll(t, dir, a, maxRounds)
			if reason := unfixed[name]; (reason == "") != (len(left) == 0) {
				t.Errorf("after %d rounds of fixes: %v (%s)", maxRounds, left, reason)
			}
			if !strings.Contains(string(a.Comment), "# not for nginx") {
				testNginx(t, program, modules, dir)
			}
		})
	}
}

// fixAll makes the fixes in that folder, until there are none, and returns what is still
// wrong.
func fixAll(t *testing.T, dir string, a *txtar.Archive, rounds int) (left []Finding) {
	t.Helper()
	flags := strings.Split(strings.TrimSpace(string(a.Comment)), "\n")
	for round := 0; ; round++ {
		c, err := nginxconf.Read(filepath.Join(dir, "nginx.conf"), "")
		if err != nil {
			t.Fatal(err)
		}
		var fixes []Fix
		left = nil
		for _, f := range Check(c, gateway(t, dir, strings.Join(flags, "\n"))) {
			if f.Level != Note && f.Code != visitorsLookedUp { // which only the operator can judge
				left = append(left, f)
			}
			if f.Level != Note && len(f.Fix.Edits)+len(f.Fix.Flags)+len(f.Fix.Unset) == 0 && f.Fix.Manual == "" {
				t.Errorf("%v: the fix is not for programs, and does not say why: %q", f, f.Fix)
			}
			fixes = append(fixes, f.Fix)
		}
		all := Together(fixes)
		if round == rounds || len(all.Edits)+len(all.Flags)+len(all.Unset) == 0 {
			return left
		}
		applyEdits(t, all.Edits)
		flags = withFlags(flags, all)
	}
}

// applyEdits makes the edits in their files.
func applyEdits(t *testing.T, edits []nginxconf.Edit) {
	t.Helper()
	done := map[string]bool{}
	for _, e := range edits {
		if done[e.File] {
			continue
		}
		done[e.File] = true
		text, err := os.ReadFile(e.File)
		if err != nil {
			t.Fatal(err)
		}
		edited, err := nginxconf.Edited(e.File, string(text), edits)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(e.File, []byte(edited), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// withFlags returns the flags, one on each line, with those of the fix.
func withFlags(lines []string, f Fix) []string {
	names := slices.Clone(f.Unset)
	for _, flag := range f.Flags {
		names = append(names, flag.Name)
	}
	lines = slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "--"), " ")
		return strings.HasPrefix(line, "--") && slices.Contains(names, name)
	})
	for _, flag := range f.Flags {
		lines = append(lines, strings.TrimSpace("--"+flag.Name+" "+flag.Value))
	}
	return lines
}

// testNginx runs `nginx -t` in the folder.
func testNginx(t *testing.T, program, modules, dir string) {
	t.Helper()
	path := filepath.Join(dir, "nginx.conf")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	conf := "pid x.pid;\n" + withoutUser(text)
	if strings.Contains(conf, "srcache") {
		conf = modules + conf
	}
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, append(nginxtest.Arguments(dir), "-t")...).CombinedOutput(); err != nil {
		t.Errorf("nginx -t: %v\n%s\n%s", err, out, text)
	}
}
