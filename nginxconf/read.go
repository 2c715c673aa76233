package nginxconf

import "fmt"

// Read reads a main configuration file, such as /etc/nginx/nginx.conf, with all that it
// includes. Relative includes are in its folder, or in the folder prefix if that is not
// empty.
//
// A mistake with which nginx would not start is an error, mostly a *SyntaxError, if it is
// in a directive that Read knows. Other directives are never errors. Included files that
// cannot be read are Gaps.
func Read(path, prefix string) (*Config, error) {
	p := newParser(path, prefix)
	text, err := p.load(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	p.reading = []string{path}
	return p.config(path, text)
}

// Parse reads the text of a main configuration file without includes; an include is an
// error. Places have the name as their file.
func Parse(name, text string) (*Config, error) {
	return (&parser{read: []string{name}}).config(name, text)
}

func (p *parser) config(path, text string) (*Config, error) {
	ds, err := p.text(path, text)
	if err != nil {
		return nil, err
	}
	if err := checkShapes(ds, shapes); err != nil {
		return nil, err
	}
	for _, d := range ds {
		d.addIndexes()
	}
	if (&directive{block: ds}).last("http") == nil {
		return nil, fmt.Errorf("%s: no `http { … }` in here; name nginx's main configuration file, such as /etc/nginx/nginx.conf", path)
	}
	c := &Config{Files: p.read, Gaps: p.gaps, tree: map[Place]*node{}}
	c.plant(&directive{block: ds})
	if err := build(ds, c); err != nil {
		return nil, err
	}
	return c, nil
}
