package nginxconf

import (
	"slices"
	"strconv"
	"strings"
)

// errorPages returns those in force, one for each code.
func (s *scope) errorPages() ([]ErrorPage, error) {
	var pages []ErrorPage
	ds, _ := s.inForce("error_page")
	for _, d := range ds {
		some, err := d.errorPages()
		if err != nil {
			return nil, err
		}
		pages = append(pages, some...)
	}
	return pages, nil
}

// errorPages parses `error_page 404 502 =200 /target` (ngx_http_core_error_page).
func (d *directive) errorPages() ([]ErrorPage, error) {
	last := len(d.args) - 1
	page := ErrorPage{Place: d.Place, Target: d.args[last]}
	codes := d.args[:last]
	if status, ok := strings.CutPrefix(codes[len(codes)-1], "="); ok {
		codes = codes[:len(codes)-1]
		var err error
		if page.Changed, err = strconv.Atoi(status); err != nil && status != "" || len(codes) == 0 {
			return nil, d.mistake("%s: = stands behind the codes, and before a status if it is to be changed", d)
		}
		page.Keeps = status == ""
	}
	var pages []ErrorPage
	for _, text := range codes {
		code, err := strconv.Atoi(text)
		if err != nil || code < 300 || code > 599 {
			return nil, d.mistake("%s: %q is no status from 300 to 599", d, text)
		}
		page.Code = code
		pages = append(pages, page)
	}
	return pages, nil
}

// target returns the location to which an error page sends requests. It is nil if there is
// none, or if it cannot be known.
func (s *scope) target(target string) *scope {
	if strings.HasPrefix(target, "@") {
		return s.server().named(target)
	}
	path, _, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "$") {
		return nil
	}
	return s.server().locate(path)
}

// targets returns where an error_page or the end of a try_files may lead: if it is a variable
// that a map gives names of locations, and nothing else, these.
func (defs *definitions) targets(target string) []string {
	name, ok := ParseExpression(target).alone()
	made := defs.other[name]
	if !ok || made.Kind != "map" {
		return []string{target}
	}
	var all []string
	for _, result := range made.by.allResults() {
		switch {
		case !strings.HasPrefix(result, "@") || strings.Contains(result, "$"):
			return []string{target}
		case !slices.Contains(all, result):
			all = append(all, result)
		}
	}
	return all
}

// NamedTargets returns the named locations to which the target of an error_page leads: itself,
// or those that its map gives. None: it leads to a path.
func (c *Config) NamedTargets(target string) []string {
	all := c.defs.targets(target)
	if len(all) == 0 || !strings.HasPrefix(all[0], "@") {
		return nil
	}
	return all
}

// passOfTarget returns the first uwsgi_pass to which a target leads.
func (b *builder) passOfTarget(s *scope, target string) *Pass {
	for _, name := range b.defs.targets(target) {
		if p := b.passOf(s.target(name)); p != nil {
			return p
		}
	}
	return nil
}
