// Package nginx holds two complete nginx configurations: the recipe of 2013 as it
// was, and the one that uwgate recommends.
//
// They are text/template files, executed with a [Config], and readable without:
// run one with `nginx -p FOLDER -c NAME.conf`, where FOLDER holds it, mime.types,
// uwsgi_params and an empty folder tmp. It stays in the foreground and writes
// nowhere else.
package nginx

import (
	"embed"
	"fmt"
	"io"
	"text/template"
)

// Templates are recipe.conf and recommended.conf.
//
//go:embed recipe.conf recommended.conf
var Templates embed.FS

// Frame is what goes around a site's configuration, site.conf, as `uwgate nginx`
// prints it, and modules.conf with load_module lines, if there is one.
//
//go:embed frame.conf
var Frame string

// Includes are nginx's own mime.types and uwsgi_params, which both include.
//
//go:embed mime.types uwsgi_params
var Includes embed.FS

// Config fills a template. Every address is written as nginx wants it.
type Config struct {
	Listen    string   // of the site: "127.0.0.1:8080"
	Backend   string   // what uwsgi_pass goes to: "unix:/run/uwgate.sock"
	Memcached []string // one at least
	Hash      string   // how a server is chosen: "consistent", "modulo", anything else: round robin
}

// Pool tells whether there are several memcached servers.
func (c Config) Pool() bool { return len(c.Memcached) > 1 }

// Write executes the template text into w.
func (c Config) Write(w io.Writer, text string) error {
	t, err := template.New("nginx.conf").Parse(text)
	if err != nil {
		return fmt.Errorf("nginx: parse template: %w", err)
	}
	return t.Execute(w, c)
}
