package policy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// declaredReasons reads the constants from reason.go, so that none escapes.
func declaredReasons(t *testing.T) map[string]Reason {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]Reason{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			reasons[spec.Names[0].Name] = Reason(word)
		}
		return true
	})
	return reasons
}

// Every word is reached by a row of the tables, but for those of the store, and
// for Observe, which stands beside a reason to store (TestObserve).
func TestEveryReasonIsReached(t *testing.T) {
	reached := map[Reason]bool{Purged: true, StoreFull: true, CaptureFull: true, StoreDown: true, Reloaded: true, KeyPartial: true, Shared: true, Found: true, Stale: true, Observe: true, Canary: true, Purge: true}
	for _, r := range requestRows {
		reached[testPolicy().Request(get(r.changes...)).Reason] = true
	}
	for _, r := range responseRows {
		p, v := r.policy(), get(r.request...)
		reached[p.Response(v, p.Request(v), page(r.lines...), testNow).Reason] = true
	}
	for _, r := range bodyRows {
		reached[testPolicy().Body(page(r.head), []byte(r.body), r.whole, r.trailers)] = true
	}
	declared := declaredReasons(t)
	if len(declared) < 35 {
		t.Errorf("found %d constants only", len(declared))
	}
	for name, reason := range declared {
		if !reached[reason] {
			t.Errorf("no row reaches %s (%q)", name, reason)
		}
	}
}

// The words and the page that explains them to operators are the same.
func TestEveryReasonIsDocumented(t *testing.T) {
	const path = "../../docs/decisions.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	documented := map[Reason]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		documented[Reason(row[1])] = true
	}
	declared := declaredReasons(t)
	for name, reason := range declared {
		if !documented[reason] {
			t.Errorf("%s has no row for %s (%q)", path, name, reason)
		}
		delete(documented, reason)
	}
	for reason := range documented {
		t.Errorf("%s has a row for %q, which is no reason", path, reason)
	}
}
