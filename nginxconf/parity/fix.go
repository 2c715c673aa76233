package parity

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// A Fix is what to do about a finding. The zero Fix is nothing.
type Fix struct {
	// Text is for people: the lines to write, the flags to give, or advice.
	Text string

	// Edits are the changes of nginx's configuration, to be made all together.
	Edits []nginxconf.Edit

	// Flags are those to give to `uwgate serve`. They replace all values of the same flags.
	// Unset are the names of flags that must not be given.
	Flags []Flag
	Unset []string

	// Manual says why only people can do it. "": the other fields say it all.
	Manual string
}

// String returns the text.
func (f Fix) String() string { return f.Text }

// manual is for people alone, since only they know what is right.
func manual(text, why string) Fix { return Fix{Text: text, Manual: why} }

// as gives the fix another text.
func (f Fix) as(text string) Fix {
	f.Text = text
	return f
}

// and adds another fix, and writes what is in both once.
func (f Fix) and(other Fix) Fix {
	if f.Text != other.Text {
		f.Text = strings.Trim(f.Text+"\n"+other.Text, "\n")
	}
	for _, e := range other.Edits {
		f.Edits = withEdit(f.Edits, e)
	}
	f.Flags = append(slices.Clip(f.Flags), other.Flags...)
	return f
}

// withEdit adds an edit, if it is not there already.
func withEdit(edits []nginxconf.Edit, e nginxconf.Edit) []nginxconf.Edit {
	isSame := func(own nginxconf.Edit) bool {
		return own.Place == e.Place && own.Do == e.Do && slices.Equal(own.Lines, e.Lines)
	}
	if slices.ContainsFunc(edits, isSame) {
		return edits
	}
	return append(slices.Clip(edits), e)
}

// give is about flags of serve.
func give(flags ...Flag) Fix {
	var texts []string
	for _, f := range flags {
		texts = append(texts, f.String())
	}
	return Fix{Text: strings.Join(texts, " "), Flags: flags}
}

func edit(at nginxconf.Place, do nginxconf.Action, lines ...string) Fix {
	text := strings.Join(lines, "\n")
	if do == nginxconf.Delete {
		text = "remove the line"
	}
	return Fix{Text: text, Edits: []nginxconf.Edit{{Place: at, Do: do, Lines: lines}}}
}

func replace(at nginxconf.Place, lines ...string) Fix { return edit(at, nginxconf.Replace, lines...) }
func remove(at nginxconf.Place) Fix                   { return edit(at, nginxconf.Delete) }
func begin(block nginxconf.Place, lines ...string) Fix {
	return edit(block, nginxconf.Begin, lines...)
}
func end(block nginxconf.Place, lines ...string) Fix { return edit(block, nginxconf.End, lines...) }

// put gives a block those directives. It replaces those that the block has already. A new
// `set` comes first, so that nothing ends the rewrites before it.
func (k *checker) put(block nginxconf.Place, lines ...string) (f Fix) {
	for _, line := range lines {
		words := strings.Fields(line)
		one := end(block, line)
		if words[0] == "set" {
			one = begin(block, line)
		}
		for _, own := range k.config.In(block, words[0]) {
			if !isNamed(words[0]) || strings.Fields(own.Value)[0] == words[1] {
				one = replace(own.Place, line)
			}
		}
		f = f.and(one)
	}
	return f
}

// isNamed reports whether a block can have several of a directive, one for each first
// argument.
func isNamed(directive string) bool {
	return slices.Contains([]string{"set", "uwsgi_param", "add_header", "map", "upstream"}, directive)
}

// level returns the block, or the nearest block around it, that has one of the directives.
// Zero: none has.
func (k *checker) level(block nginxconf.Place, directive string) nginxconf.Place {
	for !block.IsZero() && len(k.config.In(block, directive)) == 0 {
		block = k.config.Around(block)
	}
	return block
}

// params gives a pass those params, at the level of those that it has.
func (k *checker) params(p pass, lines ...string) Fix {
	level := k.level(p.Location.Place, "uwsgi_param")
	if level.IsZero() {
		level = p.Server.Place
	}
	return k.put(level, lines...)
}

// http returns the http block around a server.
func (k *checker) http(server nginxconf.Block) nginxconf.Place {
	return k.config.Around(server.Place)
}

// Together returns a Fix with all edits and flags that can be made at once. It leaves out
// a fix that wants something else of the same directive or flag as one before it: check
// the result, and make what it still needs.
func Together(fixes []Fix) (all Fix) {
	wanted := map[string]string{}
	for _, f := range fixes {
		wishes := f.wishes()
		fits := true
		for what, how := range wishes {
			other, isWanted := wanted[what]
			fits = fits && (!isWanted || other == how)
		}
		if !fits {
			continue
		}
		maps.Copy(wanted, wishes)
		for _, e := range f.Edits {
			all.Edits = withEdit(all.Edits, e)
		}
		all.Unset = append(all.Unset, f.Unset...)
		for _, flag := range f.Flags {
			if !slices.Contains(all.Flags, flag) {
				all.Flags = append(all.Flags, flag)
			}
		}
	}
	return all
}

// wishes returns what a fix makes of each directive and flag.
func (f Fix) wishes() map[string]string {
	wishes := map[string]string{}
	for _, e := range f.Edits {
		at := fmt.Sprintf("%s:%d ", e.Place, e.Column)
		if e.Do == nginxconf.Replace || e.Do == nginxconf.Delete {
			wishes[at] += strings.Join(e.Lines, "\n")
			continue
		}
		for _, line := range e.Lines {
			words := strings.Fields(line)
			switch name := words[0]; {
			case name == "if", name == "server", name == "include":
			case isNamed(name), name == "location":
				wishes[at+name+" "+words[1]] += line
			default:
				wishes[at+name] += line
			}
		}
	}
	for _, flag := range f.Flags {
		wishes["--"+flag.Name] += flag.Value + "\n"
	}
	for _, name := range f.Unset {
		wishes["--"+name] = "unset"
	}
	return wishes
}
