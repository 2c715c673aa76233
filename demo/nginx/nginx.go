// Package nginx has the files that the demo's nginx needs besides the output of
// `uwgate nginx`, and the unchanged recipe of 2013.
//
// Run a configuration with `nginx -p DIR -c nginx.conf`. DIR contains it as nginx.conf,
// and mime.types, uwsgi_params and an empty directory tmp. nginx stays in the foreground
// and writes to DIR only.
package nginx

import (
	"embed"
	"fmt"
	"io"
	"text/template"
)

// Frame is a whole configuration except for the site. It includes site.conf, and
// modules.conf if it exists.
//
//go:embed frame.conf
var Frame string

// Recipe is the configuration of the recipe: a template of text/template for a
// [Config], which is readable as it is.
//
//go:embed recipe.conf
var Recipe string

// Includes has nginx's mime.types and uwsgi_params, which both configurations include.
//
//go:embed mime.types uwsgi_params
var Includes embed.FS

// Config contains the values of a template. Addresses are in nginx's form.
type Config struct {
	Listen    string   // address of the site: "127.0.0.1:8080"
	Backend   string   // target of uwsgi_pass: "unix:/run/uwgate.sock"
	Memcached []string // at least one
	Hash      string   // "consistent" or "modulo"; anything else: round robin
}

// Pool reports whether there are several memcached servers.
func (c Config) Pool() bool { return len(c.Memcached) > 1 }

// Write executes the template text and writes the result to w.
func (c Config) Write(w io.Writer, text string) error {
	t, err := template.New("nginx.conf").Parse(text)
	if err != nil {
		return fmt.Errorf("nginx: parse template: %w", err)
	}
	return t.Execute(w, c)
}
