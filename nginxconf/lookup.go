package nginxconf

import (
	"slices"
	"strconv"
	"strings"
)

// collectLookups makes the Lookups of a server's scopes, in the order of their places.
func (b *builder) collectLookups(s *scope) error {
	if d := s.fetches(); d != nil {
		if err := b.addLookup(s, d); err != nil {
			return err
		}
	}
	for d, inner := range s.parts() {
		if inner != nil {
			if err := b.collectLookups(inner); err != nil {
				return err
			}
		}
		if d.name != "memcached_pass" || b.fetched[s.location()] {
			continue
		}
		if h := s.handler(); h != d {
			b.gap(d, "%s counts for nothing: the requests are those of %s", d, h.seenFrom(d))
			continue
		}
		if except := s.exceptGET(); except != nil {
			b.gap(d, "%s counts for nothing: %s takes GETs away from it, and nginx looks for a file", d, except.seenFrom(d))
			continue
		}
		if err := b.addLookup(s, d); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) addLookup(s *scope, d *directive) error {
	l := &Lookup{
		Place:    d.Place,
		Server:   s.server().asBlock(),
		Location: s.location().asBlock(),
		If:       s.condition(),
		Listens:  s.server().listens(),
		Programs: programTexts(s.programs()),
		Guards:   s.guards(),
		Skip:     s.find("srcache_fetch_skip").text(""),
		scope:    s,
		ways:     []*scope{nil},
	}
	if from := b.leads[s.location()]; len(from) > 0 {
		l.ways = from
	}
	for _, d := range s.server().own("server_name") {
		l.Names = append(l.Names, d.args...)
	}
	if err := b.describeHits(l, s); err != nil {
		return err
	}
	var err error
	if d.name == "srcache_fetch" {
		l.Srcache, l.fetch = true, d
		l.Misses = b.passOf(s)
		err = b.fetch(l, s, d)
	} else {
		l.Misses, l.Diverted = b.misses(l, s), b.diverted(s)
		l.Key = b.key(s, "memcached_key")
		err = b.ask(l, s, d)
	}
	b.followRuns(l)
	b.config.Lookups = append(b.config.Lookups, l)
	b.lookups[s] = l
	return err
}

// stray records requests that are looked up for another path than others for their URL.
func (l *Lookup) stray(q query) {
	s := Stray{Text: first(Text{}, q.path), By: first(Text{}, q.by)}
	s.Differs = q.differs != nil
	s.Refuses = q.by != nil && slices.Contains(denials, q.by.name)
	if !slices.Contains(l.Strays, s) {
		l.Strays = append(l.Strays, s)
	}
}

// ask describes the memcached that the pass directive leads to.
func (b *builder) ask(l *Lookup, s *scope, pass *directive) (err error) {
	module := strings.TrimSuffix(pass.name, "_pass")
	l.Memcached = b.upstreams.of(pass)
	if l.ConnectTimeout, err = s.duration(module + "_connect_timeout"); err != nil {
		return err
	}
	if l.ReadTimeout, err = s.duration(module + "_read_timeout"); err != nil {
		return err
	}
	l.NextUpstream = Text{Value: "error timeout"}
	if d := s.find(module + "_next_upstream"); d != nil {
		l.NextUpstream = d.joined()
	}
	return nil
}

// describeHits describes what nginx makes of hits.
func (b *builder) describeHits(l *Lookup, s *scope) (err error) {
	l.GzipFlag = s.find("memcached_gzip_flag").text("0")
	if _, err := strconv.ParseUint(l.GzipFlag.Value, 10, 63); err != nil {
		return l.GzipFlag.mistake("memcached_gzip_flag %s: it takes a number", l.GzipFlag.Value)
	}
	l.Gunzip = s.find("gunzip").text("off")
	l.DefaultType = s.find("default_type").text("text/plain")
	l.Charset = s.find("charset").text("off")
	l.CharsetTypes = s.charsetTypes()
	l.Types = builtinTypes()
	if blocks, _ := s.inForce("types"); len(blocks) > 0 {
		l.Types, l.TypesAt = b.typesOf(blocks), blocks[0].Place
	}
	l.Headers, l.HeadersLost = b.headers(s)
	l.ErrorPages, err = s.errorPages()
	return err
}

// typesOf returns the map of the types blocks of one level, which many lookups share.
func (b *builder) typesOf(blocks []*directive) map[string]string {
	types := b.types[blocks[0]]
	if types == nil {
		types = mapTypes(blocks)
		b.types[blocks[0]] = types
	}
	return types
}

// CharsetTypes are the types that get a charset by default.
var CharsetTypes = []string{"text/html", "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript", "application/rss+xml"}

// charsetTypes returns those in force. nginx adds text/html to any list.
func (s *scope) charsetTypes() []string {
	ds, _ := s.inForce("charset_types")
	if len(ds) == 0 {
		return slices.Clone(CharsetTypes)
	}
	types := []string{"text/html"}
	for _, d := range ds {
		for _, t := range d.args {
			if t = Lower(t); !slices.Contains(types, t) {
				types = append(types, t)
			}
		}
	}
	return types
}

// misses returns the uwsgi_pass to which error_page 404 leads.
func (b *builder) misses(l *Lookup, s *scope) *Pass {
	for _, page := range l.ErrorPages {
		if page.Code == 404 {
			return b.passOfTarget(s, page.Target)
		}
	}
	return nil
}

// settleMisses completes Misses and Reached of a server's lookups. Where the last argument
// of an error_page or try_files has variables, only the flow knows the pass.
func (b *builder) settleMisses(lookups []*Lookup) {
	for _, l := range lookups {
		if l.heard {
			l.Unheard = Text{}
		}
		b.settleNever(l)
		l.settleDiffers()
		if l.Misses == nil && len(l.Reached) > 0 {
			l.Misses = l.Reached[0]
		}
		if l.Misses != nil && !slices.Contains(l.Reached, l.Misses) {
			l.Reached = append(l.Reached, l.Misses)
		}
	}
}

// passOf returns the uwsgi_pass that requests of the scope reach: its own, or that of the
// location which its try_files names last.
func (b *builder) passOf(s *scope) *Pass {
	for steps := 0; s != nil && steps < 10; steps++ {
		if s.name == "if" && s.handler() == nil {
			s = s.location()
		}
		if h := s.handler(); h != nil {
			return b.passes[h]
		}
		tries := s.last("try_files")
		if tries == nil {
			return nil
		}
		s = s.target(tries.args[len(tries.args)-1])
	}
	return nil
}

// diverted returns the uwsgi_pass in the `if` blocks of a location.
func (b *builder) diverted(s *scope) (passes []*Pass) {
	for _, inner := range s.inner {
		if h := inner.handler(); inner.name == "if" && h != nil && b.passes[h] != nil {
			passes = append(passes, b.passes[h])
		}
	}
	return passes
}
