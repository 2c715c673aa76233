package nginxconf

import (
	"testing"
)

// Two expressions have the same canonical form exactly if nginx evaluates them alike.
func TestCanonical(t *testing.T) {
	for _, tt := range []struct{ name, a, b string }{
		{"braces", "${uri}", "$uri"},
		{"case", "$Request_URI", "$request_uri"},
		{"synonyms", "$document_uri?$query_string", "$uri?$args"},
		{"braces that are needed", "${host}s", "${HOST}s"},
		{"no variables", "a", "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a, b := Canonical(tt.a), Canonical(tt.b); a != b {
				t.Errorf("got %q for %q and %q for %q", a, tt.a, b, tt.b)
			}
		})
	}
	for _, tt := range []struct{ name, a, b string }{
		{"case of text", "A$uri", "a$uri"},
		{"a longer name", "${host}s", "$hosts"},
		{"raw and decoded", "$request_uri", "$uri"},
		{"order", "$host$uri", "$uri$host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a, b := Canonical(tt.a), Canonical(tt.b); a == b {
				t.Errorf("got %q for %q and %q", a, tt.a, tt.b)
			}
		})
	}
}

func TestConditionsOnTheMethod(t *testing.T) {
	for _, tt := range []struct {
		condition, method string
		met, known        bool
	}{
		{"$request_method = POST", "GET", false, true},
		{"$request_method = POST", "POST", true, true},
		{"($request_method = POST)", "POST", true, true},
		{"$request_method != GET", "GET", false, true},
		{"$request_method != GET", "PUT", true, true},
		{"${Request_Method} = 'GET'", "GET", true, true},
		{"$request_method ~ ^(GET|HEAD)$", "GET", true, true},
		{"$request_method !~ ^(GET|HEAD)$", "GET", false, true},
		{"$request_method ~* ^post", "POST", true, true},
		{"$request_method !~* ^post", "POST", false, true},
		{"$request_method ~ (?<=x)", "GET", false, false}, // which Go cannot read
		{"$cookie_sessionid", "GET", false, false},
		{"$request_method$identified = GET", "GET", false, false},
		{"", "GET", false, false},
	} {
		t.Run(tt.method+" "+tt.condition, func(t *testing.T) {
			if met, known := MethodMeets(tt.method, tt.condition); met != tt.met || known != tt.known {
				t.Errorf("got %v, %v; want %v, %v", met, known, tt.met, tt.known)
			}
		})
	}
}
