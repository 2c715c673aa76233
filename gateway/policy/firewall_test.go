package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

func TestScreenPasses(t *testing.T) {
	v := uwsgi.Vars{
		{Name: "QUERY_STRING", Value: "q=1"}, {Name: "REQUEST_METHOD", Value: "GET"}, {Name: "CONTENT_LENGTH", Value: ""},
		{Name: "REQUEST_URI", Value: "/%20\xff"}, {Name: "PATH_INFO", Value: "/ \xff\n"}, {Name: "SERVER_PROTOCOL", Value: "HTTP/2.0"},
		{Name: "SCRIPT_NAME", Value: "/app"}, {Name: "REMOTE_USER", Value: "ann"}, {Name: "HTTPS", Value: "on"},
		{Name: "HTTP_UWSGI_FILE", Value: "x"}, {Name: "HTTP_COOKIE", Value: "a=b\x01"}, {Name: "HTTP_AUTHORIZATION", Value: "x"},
		{Name: "HTTP_X_FORWARDED_FOR", Value: "1.1.1.1"},
	}
	clean, dropped, err := (&Firewall{}).Screen(v)
	if err != nil || len(dropped) != 0 || !equalVars(clean, v) {
		t.Errorf("got %v, dropped %v, %v; want all of them as they are", clean, dropped, err)
	}
}

func TestScreenDrops(t *testing.T) {
	tests := []struct {
		name     string
		firewall Firewall
		vars     []string // NAME=value
		want     []string // the ones that pass
		dropped  []string
	}{
		{name: "known magic vars", vars: []string{"UWSGI_FILE=exec://x", "UWSGI_SCHEME=x"}, dropped: []string{"UWSGI_FILE", "UWSGI_SCHEME"}},
		{name: "unknown magic vars share a label", vars: []string{"UWSGI_A=1", "UWSGI_B=2", "UWSGI_=3", "UWSGI_FILE=x"}, dropped: []string{"UWSGI_*", "UWSGI_FILE"}},
		{name: "repeated", vars: []string{"UWSGI_FILE=1", "UWSGI_FILE=2"}, dropped: []string{"UWSGI_FILE"}},
		{name: "allowed", firewall: Firewall{AllowVars: []string{"UWSGI_SCHEME"}}, vars: []string{"UWSGI_SCHEME=https", "UWSGI_SCHEMES=x"},
			want: []string{"UWSGI_SCHEME=https"}, dropped: []string{"UWSGI_*"}},
		{name: "allowed with one value", firewall: Firewall{AllowVars: []string{"UWSGI_SCHEME=https", "UWSGI_APPID="}}, vars: []string{"UWSGI_SCHEME=https", "UWSGI_APPID=x"},
			want: []string{"UWSGI_SCHEME=https"}, dropped: []string{"UWSGI_APPID"}},
		{name: "allowed with another value", firewall: Firewall{AllowVars: []string{"UWSGI_SCHEME=https"}}, vars: []string{"UWSGI_SCHEME=http"}, dropped: []string{"UWSGI_SCHEME"}},
		{name: "allowing is for UWSGI_ only", firewall: Firewall{AllowVars: []string{"HTTP_PROXY"}}, vars: []string{"HTTP_PROXY=x"}, dropped: []string{"HTTP_PROXY"}},
		{name: "httpoxy", vars: []string{"HTTP_PROXY=http://x"}, dropped: []string{"HTTP_PROXY"}},
		{name: "framing copies", vars: []string{"HTTP_CONTENT_LENGTH=5", "HTTP_TRANSFER_ENCODING=chunked"}, dropped: []string{"HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}},
		{name: "contradictory framing copies", vars: []string{"HTTP_CONTENT_LENGTH=5", "HTTP_CONTENT_LENGTH=6"}, dropped: []string{"HTTP_CONTENT_LENGTH"}},
		{name: "hop by hop", vars: []string{"HTTP_EXPECT=x", "HTTP_TE=x", "HTTP_KEEP_ALIVE=x", "HTTP_CONNECTION=keep-alive"},
			dropped: []string{"HTTP_EXPECT", "HTTP_TE", "HTTP_KEEP_ALIVE", "HTTP_CONNECTION"}},
		{name: "upgrade", vars: []string{"HTTP_UPGRADE=websocket", "HTTP_CONNECTION=keep-alive, Upgrade"},
			want: []string{"HTTP_UPGRADE=websocket", "HTTP_CONNECTION=keep-alive, Upgrade"}},
		{name: "upgrade without connection", vars: []string{"HTTP_UPGRADE=websocket", "HTTP_CONNECTION=x-upgrade"}, dropped: []string{"HTTP_UPGRADE", "HTTP_CONNECTION"}},
		{name: "connection without upgrade", vars: []string{"HTTP_UPGRADE=", "HTTP_CONNECTION=upgrade"}, dropped: []string{"HTTP_UPGRADE", "HTTP_CONNECTION"}},
		{name: "forwarded proto, no scheme", vars: []string{"HTTP_X_FORWARDED_PROTO=https", "HTTP_X_FORWARDED_SSL=on"}, dropped: []string{"HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_SSL"}},
		{name: "forwarded proto replaced", vars: []string{"REQUEST_SCHEME=http", "HTTP_X_FORWARDED_PROTO=https"},
			want: []string{"REQUEST_SCHEME=http", "HTTP_X_FORWARDED_PROTO=http"}, dropped: []string{"HTTP_X_FORWARDED_PROTO"}},
		{name: "forwarded proto set", vars: []string{"REQUEST_SCHEME=https"}, want: []string{"REQUEST_SCHEME=https", "HTTP_X_FORWARDED_PROTO=https"}},
		{name: "a scheme that is none", vars: []string{"REQUEST_SCHEME=a\r\nb"}, want: []string{"REQUEST_SCHEME=a\r\nb"}},
		{name: "forwarded proto trusted", firewall: Firewall{TrustForwardedProto: true}, vars: []string{"REQUEST_SCHEME=http", "HTTP_X_FORWARDED_PROTO=https"},
			want: []string{"REQUEST_SCHEME=http", "HTTP_X_FORWARDED_PROTO=https"}},
		{name: "length normalised", vars: []string{"CONTENT_LENGTH=007"}, want: []string{"CONTENT_LENGTH=7"}},
		{name: "length zero", vars: []string{"CONTENT_LENGTH=000"}, want: []string{"CONTENT_LENGTH=0"}},
		{name: "protocol that would be echoed", vars: []string{"SERVER_PROTOCOL=HTTP/1.1 200 OK\r\nX: y"}, want: []string{"SERVER_PROTOCOL=HTTP/1.1"}},
		{name: "no protocol: HTTP/0.9", vars: []string{"SERVER_PROTOCOL="}, want: []string{"SERVER_PROTOCOL=HTTP/1.1"}},
		{name: "HTTP/3", vars: []string{"SERVER_PROTOCOL=HTTP/3.0"}, want: []string{"SERVER_PROTOCOL=HTTP/3.0"}},
		{name: "no method", vars: []string{"HTTP_HOST=x"}, want: []string{"HTTP_HOST=x"}},
		{name: "nothing at all"},
		{name: "cookies joined", vars: []string{"HTTP_COOKIE=a=1", "HTTP_X=y", "HTTP_COOKIE=b=2"}, want: []string{"HTTP_COOKIE=a=1; b=2", "HTTP_X=y"}},
		{name: "the last of two counts", vars: []string{"PATH_INFO=/a", "HTTP_HOST=a", "PATH_INFO=/b", "HTTP_HOST=b"}, want: []string{"PATH_INFO=/b", "HTTP_HOST=b"}},
		{name: "a length taken back", vars: []string{"CONTENT_LENGTH=5", "CONTENT_LENGTH="}, want: []string{"CONTENT_LENGTH="}},
		{name: "repeats collapse", vars: []string{"REQUEST_URI=/", "REQUEST_URI=/"}, want: []string{"REQUEST_URI=/"}},
		{name: "a key handed over twice breaks no page", vars: []string{"CACHE_KEY=a", "HTTP_X=y", "CACHE_KEY=b"}, want: []string{"HTTP_X=y", "CACHE_KEY=a", "CACHE_KEY=b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := varsFrom(tt.vars)
			given := slices.Clone(v)
			clean, dropped, err := tt.firewall.Screen(v)
			if err != nil {
				t.Fatal(err)
			}
			if want := varsFrom(tt.want); !equalVars(clean, want) {
				t.Errorf("got %q, want %q", clean, want)
			}
			if !slices.Equal(dropped, tt.dropped) {
				t.Errorf("dropped %q, want %q", dropped, tt.dropped)
			}
			if !equalVars(v, given) {
				t.Errorf("the vars given were changed to %q", v)
			}
		})
	}
}

func varsFrom(pairs []string) uwsgi.Vars {
	var v uwsgi.Vars
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		v = append(v, uwsgi.Var{Name: name, Value: value})
	}
	return v
}

func TestScreenRefuses(t *testing.T) {
	tests := []struct {
		name string
		vars []string
		code uwsgi.Code
	}{
		{"method with a space", []string{"REQUEST_METHOD=GET /"}, uwsgi.ForbiddenVar},
		{"method with a line end", []string{"REQUEST_METHOD=GET\r\n"}, uwsgi.ForbiddenVar},
		{"method of 33 bytes", []string{"REQUEST_METHOD=" + strings.Repeat("X", 33)}, uwsgi.ForbiddenVar},
		{"URI with a space", []string{"REQUEST_URI=/a b"}, uwsgi.ForbiddenVar},
		{"URI with DEL", []string{"REQUEST_URI=/a\x7f"}, uwsgi.ForbiddenVar},
		{"URI with a line end", []string{"REQUEST_URI=/\n"}, uwsgi.ForbiddenVar},
		{"header with CR", []string{"HTTP_X=a\rb"}, uwsgi.ForbiddenVar},
		{"header with LF", []string{"HTTP_X=a\nb"}, uwsgi.ForbiddenVar},
		{"header with NUL", []string{"HTTP_X=a\x00b"}, uwsgi.ForbiddenVar},
		{"length abc", []string{"CONTENT_LENGTH=abc"}, uwsgi.BadContentLength},
		{"length -5", []string{"CONTENT_LENGTH=-5"}, uwsgi.BadContentLength},
		{"length 5,5", []string{"CONTENT_LENGTH=5,5"}, uwsgi.BadContentLength},
		{"length over 2^63", []string{"CONTENT_LENGTH=99999999999999999999"}, uwsgi.BadContentLength},
		{"two lengths", []string{"CONTENT_LENGTH=1", "CONTENT_LENGTH=2"}, uwsgi.DuplicateVar},
	}
	for _, tt := range tests {
		clean, _, err := (&Firewall{}).Screen(varsFrom(tt.vars))
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Status != 400 || refusal.Code != tt.code || clean != nil {
			t.Errorf("%s: got %v, %+v; want a 400 with code %s", tt.name, clean, err, tt.code)
		}
	}
}

func FuzzFirewall(f *testing.F) {
	f.Add("UWSGI_FILE", "x", "HTTP_X", "y", "5")
	f.Add("HTTP_UPGRADE", "x", "HTTP_CONNECTION", "upgrade", "")
	f.Add("REQUEST_METHOD", "GET", "REQUEST_METHOD", "GET", "007")
	f.Add("HTTP_COOKIE", "a", "HTTP_COOKIE", "b", "0")
	f.Add("CACHE_KEY", "a", "CACHE_KEY", "b", "0")
	f.Add("REQUEST_SCHEME", "http", "HTTP_X_FORWARDED_PROTO", "https", "0")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, length string) {
		v := uwsgi.Vars{{Name: name1, Value: value1}, {Name: "CONTENT_LENGTH", Value: length}, {Name: name2, Value: value2}}
		given := slices.Clone(v)
		firewall := &Firewall{}
		clean, dropped, err := firewall.Screen(v)
		if !equalVars(v, given) {
			t.Fatalf("changed what it was given to %q", v)
		}
		if err != nil {
			return
		}
		for _, x := range clean {
			if strings.HasPrefix(x.Name, "UWSGI_") || x.Name == "HTTP_PROXY" || x.Name == "HTTP_TRANSFER_ENCODING" {
				t.Errorf("%q passes", x.Name)
			}
			if strings.HasPrefix(x.Name, "HTTP_") && strings.ContainsAny(x.Value, "\r\n\x00") {
				t.Errorf("%q passes with %q", x.Name, x.Value)
			}
			if clean.Count(x.Name) > 1 && !isHandover(x.Name) {
				t.Errorf("%q passes twice", x.Name)
			}
		}
		for _, label := range dropped {
			if label != "UWSGI_*" && (&Firewall{}).drops(&uwsgi.Var{Name: label}, false) != label {
				t.Errorf("label %q is not among the known", label)
			}
		}
		again, _, err := firewall.Screen(clean)
		if err != nil || !sameVars(again, clean) {
			t.Errorf("screened again: %q, %v; want %q", again, err, clean)
		}
	})
}

// sameVars ignores the order, which a replaced var changes.
func sameVars(a, b uwsgi.Vars) bool {
	order := func(x, y uwsgi.Var) int { return strings.Compare(x.Name+"="+x.Value, y.Name+"="+y.Value) }
	return equalVars(slices.SortedFunc(slices.Values(a), order), slices.SortedFunc(slices.Values(b), order))
}
