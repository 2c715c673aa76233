package uwsgi

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
)

func TestVarsLookup(t *testing.T) {
	v := Vars{{"A", "first"}, {"B", ""}, {"A", "last"}, {"a", "other"}}
	if got := v.Get("A"); got != "last" {
		t.Errorf("Get(A) = %q, want the last one", got)
	}
	if got, ok := v.First("A"); !ok || got != "first" {
		t.Errorf("First(A) = %q, %t; want first", got, ok)
	}
	if got, ok := v.Lookup("B"); !ok || got != "" {
		t.Errorf("Lookup(B) = %q, %t; want an empty value", got, ok)
	}
	if got, ok := v.Lookup("C"); ok || got != "" {
		t.Errorf("Lookup(C) = %q, %t; want nothing", got, ok)
	}
	if got, ok := v.First("C"); ok || got != "" {
		t.Errorf("First(C) = %q, %t; want nothing", got, ok)
	}
	for name, want := range map[string]int{"A": 2, "B": 1, "C": 0} {
		if got := v.Count(name); got != want {
			t.Errorf("Count(%s) = %d, want %d", name, got, want)
		}
	}
}

func TestMerge(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   Vars
		want Vars // nil: refused
	}{
		{"nothing to do", Vars{{"A", "1"}, {"B", "1"}}, Vars{{"A", "1"}, {"B", "1"}}},
		{"equal meta-variables", Vars{{"A", "1"}, {"B", "2"}, {"A", "1"}}, Vars{{"A", "1"}, {"B", "2"}}},
		{"different meta-variables", Vars{{"PATH_INFO", "/a"}, {"B", "1"}, {"PATH_INFO", "/b"}}, Vars{{"PATH_INFO", "/b"}, {"B", "1"}}},
		{"empty and filled meta-variable", Vars{{"HTTPS", ""}, {"HTTPS", "on"}}, Vars{{"HTTPS", "on"}}},
		{"filled and empty meta-variable", Vars{{"HTTPS", "on"}, {"HTTPS", ""}}, Vars{{"HTTPS", ""}}},
		{"the content's own", Vars{{"CONTENT_LENGTH", "1"}, {"CONTENT_LENGTH", "01"}}, nil},
		{"a length, an empty one, and another", Vars{{"CONTENT_LENGTH", "1"}, {"CONTENT_LENGTH", ""}, {"CONTENT_LENGTH", "2"}}, nil},
		{"a length taken back", Vars{{"CONTENT_LENGTH", "1"}, {"CONTENT_LENGTH", ""}}, Vars{{"CONTENT_LENGTH", ""}}},
		{"equal hosts", Vars{{"HTTP_HOST", "a"}, {"HTTP_HOST", "a"}}, Vars{{"HTTP_HOST", "a"}}},
		{"different hosts", Vars{{"HTTP_HOST", "a"}, {"HTTP_HOST", "b"}}, Vars{{"HTTP_HOST", "b"}}},
		{"credentials", Vars{{"HTTP_AUTHORIZATION", "Basic a"}, {"HTTP_AUTHORIZATION", "Basic b"}}, Vars{{"HTTP_AUTHORIZATION", "Basic b"}}},
		{"dates", Vars{{"HTTP_IF_MODIFIED_SINCE", "x"}, {"HTTP_IF_MODIFIED_SINCE", "y"}}, Vars{{"HTTP_IF_MODIFIED_SINCE", "y"}}},
		{"ranges", Vars{{"HTTP_RANGE", "bytes=0-1"}, {"HTTP_RANGE", "bytes=2-3"}}, Vars{{"HTTP_RANGE", "bytes=2-3"}}},
		{"lengths", Vars{{"HTTP_CONTENT_LENGTH", "1"}, {"HTTP_CONTENT_LENGTH", "2"}}, Vars{{"HTTP_CONTENT_LENGTH", "2"}}},
		{"cookies", Vars{{"HTTP_COOKIE", "a=1"}, {"X", ""}, {"HTTP_COOKIE", "b=2"}, {"HTTP_COOKIE", ""}, {"HTTP_COOKIE", "a=1"}}, Vars{{"HTTP_COOKIE", "a=1; b=2; a=1"}, {"X", ""}}},
		{"equal cookies", Vars{{"HTTP_COOKIE", "a=1"}, {"HTTP_COOKIE", "a=1"}}, Vars{{"HTTP_COOKIE", "a=1"}}},
		{"forwarded for", Vars{{"HTTP_X_FORWARDED_FOR", "10.0.0.1"}, {"HTTP_X_FORWARDED_FOR", "10.0.0.2"}}, Vars{{"HTTP_X_FORWARDED_FOR", "10.0.0.1, 10.0.0.2"}}},
		{"list of RFC 9110", Vars{{"HTTP_ACCEPT", "a"}, {"HTTP_ACCEPT", "b"}}, Vars{{"HTTP_ACCEPT", "a, b"}}},
		{"unknown header", Vars{{"HTTP_X_DUP", "one"}, {"HTTP_X_DUP", "two"}}, Vars{{"HTTP_X_DUP", "one, two"}}},
		{"unknown header, the first one empty", Vars{{"HTTP_X_DUP", ""}, {"HTTP_X_DUP", "two"}}, Vars{{"HTTP_X_DUP", "two"}}},
		{"names differ in case", Vars{{"HTTP_HOST", "a"}, {"http_host", "b"}}, Vars{{"HTTP_HOST", "a"}, {"http_host", "b"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.in)
			got, err := tt.in.Merge()
			if !slices.Equal(tt.in, before) {
				t.Errorf("changed its receiver: %q, was %q", tt.in, before)
			}
			if tt.want == nil {
				wantCode(t, err, DuplicateVar)
				return
			}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Fatalf("%q, %v; want %q", got, err, tt.want)
			}
			testMerged(t, tt.in, got)
		})
	}
}

// testMerged checks what is true of every merge.
func testMerged(t *testing.T, in, merged Vars) {
	t.Helper()
	for _, v := range in {
		if n := merged.Count(v.Name); n != 1 {
			t.Fatalf("%s occurs %d times after Merge, want once", v.Name, n)
		}
		if in.Count(v.Name) == 1 && merged.Get(v.Name) != v.Value {
			t.Fatalf("%s is %q after Merge, want %q", v.Name, merged.Get(v.Name), v.Value)
		}
	}
	if again, err := merged.Merge(); err != nil || len(merged) > 0 && &again[0] != &merged[0] {
		t.Fatalf("second Merge copies or fails: %v", err)
	}
}

// Up to 128 vars the table is on the stack: the result must not depend on its
// size, nor on names that share a slot.
func TestRepeats(t *testing.T) {
	for _, n := range []int{0, 30, 120, 128, 129, 1000, 13000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			v := manyVars(n)
			if name, ok := v.Repeated(); ok {
				t.Errorf("Repeated() = %s without repeats", name)
			}
			v = append(v, Var{"CONTENT_LENGTH", "1"}, Var{"HTTP_X", "1"}, Var{"CONTENT_LENGTH", "1"}, Var{"HTTP_X", "1"})
			if name, ok := v.Repeated(); ok {
				t.Errorf("Repeated() = %s, want nothing for equal vars", name)
			}
			if merged, err := v.Merge(); err != nil || len(merged) != n+2 {
				t.Errorf("Merge() = %d vars, %v; want %d", len(merged), err, n+2)
			}
			for _, again := range []Var{{"HTTP_X", "2"}, {"CONTENT_LENGTH", "2"}} {
				v := append(slices.Clone(v), again)
				if name, ok := v.Repeated(); !ok || name != again.Name {
					t.Errorf("Repeated() = %q, %t; want %s", name, ok, again.Name)
				}
				if v.Agreed(again.Name) || !v.Agreed("HTTP_Y") {
					t.Error("Agreed does not see it, or sees more")
				}
			}
			if _, err := append(v, Var{"CONTENT_LENGTH", "2"}).Merge(); err == nil {
				t.Error("Merge does not see that CONTENT_LENGTH conflicts")
			}
		})
	}
}

func TestRepeatedAmongNamesThatCollide(t *testing.T) {
	var v Vars
	for c := byte('A'); c <= 'Z'; c++ {
		v = append(v, Var{"HTTP_" + string(c) + "_HEADER", "1"}) // the letter counts for nothing in the hash
	}
	if name, ok := v.Repeated(); ok {
		t.Errorf("Repeated() = %s without repeats", name)
	}
	if merged, err := v.Merge(); err != nil || len(merged) != len(v) {
		t.Errorf("Merge() = %d vars, %v; want %d", len(merged), err, len(v))
	}
	v = append(v, Var{"HTTP_M_HEADER", "2"})
	if name, ok := v.Repeated(); !ok || name != "HTTP_M_HEADER" {
		t.Errorf("Repeated() = %q, %t; want HTTP_M_HEADER", name, ok)
	}
}

func manyVars(n int) Vars {
	v := make(Vars, 0, n+8)
	for i := range n {
		v = append(v, Var{fmt.Sprintf("HTTP_X_HEADER_%04d", i), "value"})
	}
	return v
}

func BenchmarkRepeated(b *testing.B) {
	for _, n := range []int{20, 40, 128, 1000} {
		v := manyVars(n)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Repeated()
			}
		})
	}
}

func TestSetVar(t *testing.T) {
	for name, tt := range map[string]struct{ vars, want Vars }{
		"none":     {nil, Vars{{"A", "new"}}},
		"another":  {Vars{{"B", "1"}}, Vars{{"B", "1"}, {"A", "new"}}},
		"repeated": {Vars{{"A", "1"}, {"B", "2"}, {"A", "3"}}, Vars{{"B", "2"}, {"A", "new"}}},
	} {
		if got := tt.vars.Set(Var{"A", "new"}); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
