package nginxconf

import (
	"path/filepath"
	"strings"
	"testing"

	"uwgate/nginxconf/nginxtest"
)

// locations are those of a server. The text after NAME says which one served a request.
const locations = `
	location / { NAME "root"; }
	location = / { NAME "root exactly"; }
	location = /exact { NAME "exact"; }
	location /exact { NAME "exact and longer"; }
	location ^~ /first/ { NAME "no regex"; }
	location /first/second/ { NAME "longer than that"; }
	location ~ \.php$ { NAME "php"; }
	location ~* \.(GIF|jpg)$ { NAME "pictures"; }
	location ~ ^/a { NAME "a"; }
	location =/glued { NAME "glued exact"; }
	location ^~/gluedprefix/ { NAME "glued prefix"; }
	location ~glued$ { NAME "glued regex"; }
	location /out/ {
		NAME "outer";
		location /out/in/ { NAME "inner"; }
		location = /out/exact { NAME "inner exact"; }
		location ~ \.in$ { NAME "inner regex"; }
		location ^~ /out/static/ { NAME "inner without regex"; location ~ \.deep$ { NAME "deep"; } }
	}
	location ~ ^/q {
		NAME "regex";
		location ~ \.q$ { NAME "regex in a regex"; }
	}
	location @named { NAME "named"; }
`

var located = []struct{ path, want string }{
	{"/", "root exactly"},
	{"/x", "root"},
	{"/exact", "exact"},
	{"/exactly", "exact and longer"},
	{"/first/x.php", "no regex"},
	{"/first/second/x.php", "php"},
	{"/first/second/", "longer than that"},
	{"/x.php", "php"},
	{"/X.PHP", "root"},
	{"/a.php", "php"},
	{"/abc", "a"},
	{"/x.Gif", "pictures"},
	{"/x.gif.x", "root"},
	{"/glued", "glued exact"},
	{"/gluedprefix/x.php", "glued prefix"},
	{"/xglued", "glued regex"},
	{"/out/", "outer"},
	{"/out/x.php", "php"},
	{"/out/in/x", "inner"},
	{"/out/in/x.in", "inner regex"},
	{"/out/in/x.php", "php"},
	{"/out/exact", "inner exact"},
	{"/out/static/x.in", "inner without regex"},
	{"/out/static/x.deep", "deep"},
	{"/out/static/x.php", "php"},
	{"/q", "regex"},
	{"/q/x.q", "regex in a regex"},
	{"/q.php", "php"},
	{"/@named", "root"},
}

func TestLocate(t *testing.T) {
	ds, err := new(parser).text("nginx.conf", "server {"+locations+"}")
	if err != nil {
		t.Fatal(err)
	}
	server := newScope(ds[0], &scope{directive: &directive{name: "http"}})
	for _, tt := range located {
		if got := server.locate(tt.path).last("NAME").arg(0); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.path, got, tt.want)
		}
	}
}

func TestNginxLocatesTheSame(t *testing.T) {
	program := nginxtest.Program(t)
	dir := nginxtest.Frame(t, "", "")
	socket := filepath.Join(dir, "show.sock")
	site := "server { listen unix:" + socket + ";" + strings.ReplaceAll(locations, "NAME", "return 200") + "}"
	if err := nginxtest.WriteFile(dir, "site.conf", site); err != nil {
		t.Fatal(err)
	}
	nginxtest.Start(t, program, dir, socket)
	client := nginxtest.Client(socket)
	for _, tt := range located {
		if got := nginxtest.Show(t, client, tt.path, ""); got != tt.want {
			t.Errorf("%s: nginx says %q, want %q", tt.path, got, tt.want)
		}
	}
}
