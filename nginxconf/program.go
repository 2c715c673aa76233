package nginxconf

import (
	"slices"
	"strings"
)

// Programs are directives with code of Lua, njs or Perl, or of a module that acts like
// code. What they do with a request cannot be known. Those that only give a variable its
// value make that variable opaque, see definitions. Those that only see responses, logs,
// connections or the start of nginx send no request anywhere.

// router are the programs that may send a request anywhere in its server, and change its
// path, arguments and variables. Lua's have a suffix, too.
var (
	early    = luaNames("server_rewrite_by_lua", "rewrite_by_lua", "access_by_lua") // before the handler
	handlers = luaNames("content_by_lua")
	others   = []string{"js_access", "js_content", "perl", "post_action", "eval"}
)

func luaNames(bases ...string) (names []string) {
	for _, base := range bases {
		names = append(names, base, base+"_file", base+"_block")
	}
	return names
}

// isProgram reports whether a directive may send requests anywhere.
func isProgram(name string) bool {
	return slices.Contains(early, name) || slices.Contains(handlers, name) || slices.Contains(others, name) || strings.HasPrefix(name, "echo_")
}

// programs returns those in force in the scope that run before its handler.
func (s *scope) programs() (all []*directive) {
	for _, name := range append(slices.Clip(early), "js_access", "eval") {
		if d := s.find(name); d != nil && d.arg(0) != "off" {
			all = append(all, d)
		}
	}
	return all
}

// collectPrograms finds the programs that may send requests anywhere.
func (b *builder) collectPrograms(http *directive) {
	http.walk(func(d *directive) {
		if isProgram(d.name) {
			b.config.Programs = append(b.config.Programs, d.program())
		}
	})
}

// program returns the directive without its code.
func (d *directive) program() Text {
	return Text{d.Place, (&directive{Place: d.Place, name: d.name}).String()}
}

func programTexts(ds []*directive) (texts []Text) {
	for _, d := range ds {
		texts = append(texts, d.program())
	}
	return texts
}

// wander follows a request that a program may send to any location of its server, with any
// path and arguments.
func (f *flow) wander(v visit, d *directive) {
	if !f.budget.spend(f.budget.locations) {
		return
	}
	if v.asked == nil {
		v.by = d
	}
	v.inside, v.split, v.doubt = true, d, d
	v.path, v.moved, v.args, v.recut, v.uri = d, d, d, d, ""
	f.server.walk(func(l *scope) {
		if l.name == "location" {
			w := v
			w.at = l
			f.enter(w)
		}
	})
}
