// Package nginx holds what the demo's nginx needs besides the configuration that
// `uwgate nginx` prints, and the recipe of 2013 as it was.
//
// Run one with `nginx -p FOLDER -c nginx.conf`, where FOLDER holds it as nginx.conf,
// mime.types, uwsgi_params and an empty folder tmp. It stays in the foreground and
// writes nowhere else.
package nginx

import (
	"embed"
	"fmt"
	"io"
	"text/template"
)

// Frame is a whole configuration but for the site's: it includes site.conf, and
// modules.conf if that is there.
//
//go:embed frame.conf
var Frame string

// Recipe is the configuration of the recipe, a text/template file that is executed
// with a [Config], and readable without.
//
//go:embed recipe.conf
var Recipe string

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
