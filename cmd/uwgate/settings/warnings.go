package settings

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// A Warning is about settings that can be used, and that are probably not meant.
type Warning struct {
	Text string // the setting as it is written at its origin, and what it does
	Fix  string // what to write
}

// Warnings returns what is allowed and probably not meant. It reads no more of files than
// their modes.
func (s *Settings) Warnings() []Warning {
	var all []Warning
	for _, look := range []func(*Settings) []Warning{warnLifetimes, warnPages, warnSizes, warnAccess, warnSecrets, warnRules} {
		all = append(all, look(s)...)
	}
	return all
}

// warning is about the setting that is named.
func (s *Settings) warning(name, text, fix string) Warning {
	return Warning{s.mention(name) + ": " + text, fix}
}

func warnLifetimes(s *Settings) (all []Warning) {
	l := s.Lifetimes
	if l.Default > l.Max && !s.Origin("ttl").IsDefault() {
		all = append(all, s.warning("ttl", "pages are stored for "+l.Max.String()+" at most, by "+s.mention("max-ttl"), "raise --max-ttl or lower --ttl"))
	}
	if l.Default > 0 && l.Min > l.Default {
		all = append(all, s.warning("min-ttl", "pages without a lifetime of their own are stored for this time, not for "+s.mention("ttl"), "raise --ttl or lower --min-ttl"))
	}
	return all
}

func warnPages(s *Settings) (all []Warning) {
	if s.Pages.Observe {
		all = append(all, s.warning("observe", "uwgate decides and logs, and writes no page to memcached", "remove the setting when the log shows what you want"))
	}
	if slices.Contains(s.Pages.Exclude, "/") {
		all = append(all, s.warning("exclude", "every path begins with a slash, so no page is stored", "write the beginning of a path, as in /admin"))
	}
	return all
}

// memcachedItem is the size in bytes of the largest value that memcached takes unless its
// option -I says more, about: the key and the head of the item need room, too.
const memcachedItem = 1 << 20

func warnSizes(s *Settings) (all []Warning) {
	page := s.Pages.MaxObject
	if page >= memcachedItem {
		all = append(all, s.warning("max-object", "memcached refuses values of 1M and more unless it runs with a larger -I", "start memcached with -I "+(2*page).String()+", or write at most 1023k"))
	}
	if size := s.Traffic.CaptureMemory; size > 0 && size < page {
		all = append(all, s.warning("capture-memory", "pages that are larger are never stored, though --max-object allows them", "write several times --max-object, as in 64M"))
	}
	if size := s.Store.QueueBytes; size > 0 && size < page {
		all = append(all, s.warning("queue-bytes", "a page that is larger waits for an empty queue, though --max-object allows it", "write several times --max-object, as in 64M"))
	}
	return all
}

// writableByOthers is the bit of a socket's mode by which every user of the machine may
// connect.
const writableByOthers = 0o002

func warnAccess(s *Settings) (all []Warning) {
	for _, network := range s.Listen.Peers {
		if network.Bits() == 0 {
			all = append(all, s.warning("allow-peer", "whoever reaches the port can act as any visitor: uwgate believes who a client says that the visitor is", "write the addresses of nginx, or require certificates with --tls-client-ca"))
		}
	}
	onUnix := func(a Address) bool { return a.Network == "unix" && !a.IsAbstract() }
	if s.Listen.SocketMode&writableByOthers != 0 && len(s.Listen.Users) == 0 && slices.ContainsFunc(s.Listen.Addresses, onUnix) {
		all = append(all, s.warning("socket-mode", "every user of the machine who can enter the socket's folder may connect, and act as any visitor", "write 0660 and run uwgate in nginx's group, or name nginx's user with --allow-user"))
	}
	return all
}

// warnSecrets looks at who may read the secrets.
func warnSecrets(s *Settings) (all []Warning) {
	for _, r := range s.set.rows {
		if !r.secret {
			continue
		}
		fix := "put it into a file for uwgate alone and name that with --" + r.name + fileSuffix
		switch o := s.Origin(r.name); o.kind {
		case fromCommandLine:
			all = append(all, s.warning(r.name, "every user of the machine sees the command line", fix))
		case fromFile:
			if readableByOthers(s.config) {
				all = append(all, s.warning(r.name, "every user of the machine may read the file", fix+", or chmod o-r the file"))
			}
		case fromSecret:
			if readableByOthers(o.place) {
				all = append(all, s.warning(r.name, "every user of the machine may read the file", "chmod o-r "+o.place))
			}
		}
	}
	return all
}

func readableByOthers(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&fs.FileMode(0o004) != 0
}

// warnRules finds rules that no request reaches.
func warnRules(s *Settings) (all []Warning) {
	if s.file == nil {
		return nil
	}
	rules := s.file.rules
	for i := range rules {
		for j := range rules[:i] {
			if rules[j].hides(&rules[i]) {
				all = append(all, Warning{fmt.Sprintf("%s: rule%s is never used: the rule at %s matches all its requests first", rules[i].place, rules[i].quoted(), rules[j].place),
					"move the special rule above the general one, or remove it"})
				break
			}
		}
	}
	return all
}

func (r *rule) quoted() string {
	if r.name == "" {
		return ""
	}
	return " " + r.name
}

// hides reports whether no request that matches below comes past r. It knows that of equal
// conditions and of those that differ by a prefix, so it may miss some.
func (r *rule) hides(below *rule) bool {
	return !r.OnlyPurges() && len(below.Purge) == 0 &&
		coversAny(r.Hosts, below.Hosts) && coversAny(r.ContentTypes, below.ContentTypes) && coversAny(r.Methods, below.Methods) &&
		r.coversArgs(below) && r.coversPath(below)
}

// coversAny reports whether each of the globs below is one of the globs; no globs match all.
func coversAny(globs, below []string) bool {
	if len(globs) == 0 {
		return true
	}
	return len(below) > 0 && !slices.ContainsFunc(below, func(b string) bool {
		return !slices.ContainsFunc(globs, func(g string) bool { return covers(g, b) })
	})
}

// covers reports whether a glob with at most one star, at an end, matches all that below
// does.
func covers(glob, below string) bool {
	switch {
	case glob == below || glob == "*":
		return true
	case strings.Count(glob, "*") != 1:
		return false
	case strings.HasPrefix(glob, "*"):
		return strings.HasSuffix(below, glob[1:])
	case strings.HasSuffix(glob, "*"):
		return strings.HasPrefix(below, strings.TrimSuffix(glob, "*"))
	}
	return false
}

// coversArgs reports whether below requires each argument that r requires.
func (r *rule) coversArgs(below *rule) bool {
	return !slices.ContainsFunc(r.Args, func(arg string) bool {
		return !slices.ContainsFunc(below.Args, func(b string) bool {
			name, _, _ := strings.Cut(b, "=")
			return arg == b || arg == name
		})
	})
}

func (r *rule) coversPath(below *rule) bool {
	switch {
	case r.PathRegexp != nil:
		return below.PathRegexp != nil && r.PathRegexp.String() == below.PathRegexp.String()
	case r.PathGlob != "":
		return r.PathGlob == below.PathGlob || strings.HasSuffix(r.PathGlob, "*") && below.PathPrefix != "" && covers(r.PathGlob, below.PathPrefix)
	case r.PathPrefix == "":
		return true
	}
	glob, _, _ := strings.Cut(below.PathGlob, "*")
	return strings.HasPrefix(below.PathPrefix, r.PathPrefix) || strings.HasPrefix(glob, r.PathPrefix)
}
