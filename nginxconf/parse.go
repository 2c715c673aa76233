package nginxconf

import (
	"fmt"
	"strings"
)

// A directive is a statement with its block. Included files are part of the block.
type directive struct {
	Place
	name  string
	args  []string
	block []*directive // of one that has a block; included files are part of it
	index *index       // of a long block
}

// arg returns the n-th argument, "" if there is none.
func (d *directive) arg(n int) string {
	if d == nil || n >= len(d.args) {
		return ""
	}
	return d.args[n]
}

// text returns the first argument, or nginx's default if there is no such directive.
func (d *directive) text(byDefault string) Text {
	if d == nil {
		return Text{Value: byDefault}
	}
	return Text{d.Place, d.arg(0)}
}

// joined returns all arguments, or the zero Text if there is no such directive.
func (d *directive) joined() Text {
	if d == nil {
		return Text{}
	}
	return Text{d.Place, strings.Join(d.args, " ")}
}

func (d *directive) String() string { return asCode(append([]string{d.name}, d.args...)...) }

// seenFrom names the directive with its line, and with its file if the other one is
// elsewhere.
func (d *directive) seenFrom(other *directive) string {
	if d.File == other.File {
		return fmt.Sprintf("%s of line %d", d, d.Line)
	}
	return fmt.Sprintf("%s of %s", d, d.Place)
}

func (d *directive) asBlock() Block { return Block{d.Place, strings.Join(d.args, " ")} }

// maxDepth is how deep blocks and includes may be nested. nginx's own contexts need eight
// levels.
const maxDepth = 50

// walk calls f for all directives in the block, outer ones first.
func (d *directive) walk(f func(*directive)) {
	for _, inner := range d.block {
		f(inner)
		inner.walk(f)
	}
}

// A parser reads a configuration with all that it includes.
type parser struct {
	prefix string // the folder of relative includes
	bytes  int64  // how many may still be read
	files  int    // likewise

	depth   int
	reading []string // the files that include each other, the outermost first
	read    []string // in this order, each once
	gaps    []Gap
}

// text parses the text of a file.
func (p *parser) text(file, text string) ([]*directive, error) {
	return p.directives(newLexer(file, text), nil)
}

// directives reads up to the end of the block that the statement opens, or of the file if
// it is nil.
func (p *parser) directives(l *lexer, opens *statement) (ds []*directive, err error) {
	for {
		s, err := l.next()
		switch {
		case err != nil:
			return nil, err
		case s.end == 0 && opens != nil:
			return nil, s.mistake("the file ends before the `}` of %s, which line %d opens", opens, opens.Line)
		case s.end == '}' && opens == nil:
			return nil, s.mistake("unexpected \"}\": no block is open here")
		case s.end == 0, s.end == '}':
			return ds, nil
		}
		some, err := p.directive(l, s)
		if err != nil {
			return nil, err
		}
		ds = append(ds, some...)
	}
}

// directive returns the directive of a statement, or for an include those of its files.
func (p *parser) directive(l *lexer, s statement) ([]*directive, error) {
	d := &directive{Place: s.Place, name: s.words[0], args: s.words[1:]}
	if d.name == "include" {
		return p.include(d, s.end)
	}
	if s.end == ';' {
		return []*directive{d}, nil
	}
	if strings.HasSuffix(d.name, "_by_lua_block") {
		d.block = []*directive{}
		return []*directive{d}, l.skipLua(s.Place)
	}
	if err := p.enter(s.Place); err != nil {
		return nil, err
	}
	defer p.leave()
	block, err := p.directives(l, &s)
	// Not nil, since it is a block even if it is empty.
	d.block = append([]*directive{}, block...)
	return []*directive{d}, err
}

func (p *parser) enter(at Place) error {
	if p.depth++; p.depth > maxDepth {
		return at.mistake("more than %d blocks and includes in each other", maxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }
