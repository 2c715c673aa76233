package nginxconf

import "strings"

// ReadTypes reads a file of nginx's types, such as /etc/nginx/mime.types, with what it
// includes. It returns the types by their extensions, in lower case as nginx compares
// them. The file may have only `types { … }`. An empty block maps nothing; it does not
// mean the stock map.
func ReadTypes(path string) (map[string]string, error) {
	p := newParser(path, "")
	text, err := p.load(path)
	if err != nil {
		return nil, err
	}
	ds, err := p.text(path, text)
	if err != nil {
		return nil, err
	}
	if len(p.gaps) > 0 {
		return nil, p.gaps[0].mistake("%s", p.gaps[0].Text)
	}
	return onlyTypes(Place{path, 1, 1}, ds)
}

// onlyTypes is strict: it does not accept a type that nginx would accept and never use.
func onlyTypes(file Place, ds []*directive) (map[string]string, error) {
	if len(ds) == 0 {
		return nil, file.mistake("no `types { … }` block in here; name the file that nginx includes, as in /etc/nginx/mime.types")
	}
	for _, d := range ds {
		if d.name != "types" || d.block == nil || len(d.args) > 0 {
			return nil, d.mistake("%s stands where only `types { … }` may; name a file with nothing else, as nginx's mime.types", d)
		}
		for _, line := range d.block {
			if err := checkType(line); err != nil {
				return nil, err
			}
		}
	}
	return mapTypes(ds), nil
}

func checkType(d *directive) error {
	switch {
	case d.block != nil:
		return d.mistake("a block within types; only lines as `text/html html htm;` may stand there")
	case !strings.Contains(d.name, "/"):
		return d.mistake("%q is no type; the type comes first and its extensions after it, as in `text/html html htm;`", d.name)
	case len(d.args) == 0:
		return d.mistake("%s has no extension; add one, or remove the line", d.name)
	}
	return nil
}

// mapTypes returns the map of the types blocks of one level. Of two types for an extension
// the last one counts, as in nginx.
func mapTypes(blocks []*directive) map[string]string {
	types := map[string]string{}
	for _, b := range blocks {
		for _, d := range b.block {
			for _, extension := range d.args {
				types[Lower(extension)] = d.name
			}
		}
	}
	return types
}

// builtinTypes returns nginx's map if no types block is in force
// (ngx_http_core_default_types).
func builtinTypes() map[string]string {
	return map[string]string{"html": "text/html", "gif": "image/gif", "jpg": "image/jpeg"}
}

// Lower is ngx_strlow: bytes beyond ASCII do not change.
func Lower(s string) string {
	var b []byte // nil: s has no capital so far
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			if b == nil {
				b = []byte(s)
			}
			b[i] = s[i] + 'a' - 'A'
		}
	}
	if b == nil {
		return s
	}
	return string(b)
}
