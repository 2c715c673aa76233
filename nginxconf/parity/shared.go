package parity

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf"
)

// A Flag is a flag of `uwgate serve`. A switch has no value.
type Flag struct{ Name, Value string }

// String writes the flag for a shell.
func (f Flag) String() string { return "--" + f.Name + " " + shellQuote(f.Value) }

func shellQuote(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_./:,@%+=[]", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// A sharedSetting is a setting that nginx and the gateway must have in common.
type sharedSetting struct {
	name      string // for people
	flag      string // of serve
	byDefault string // of the flag
	told      func(*Gateway) bool
	value     func(Lookup) string // the flag's, for that lookup; "" if it does not matter there

	wrong []Code // of findings that say that nginx's is no good

	// ignored reports whether two lookups may differ in the setting. Nil: they may not.
	ignored func(a, b Lookup) bool
}

var settings = []sharedSetting{
	{name: "format", flag: "format", byDefault: string(policy.FormatBody), wrong: []Code{filterSkipped},
		told:  func(g *Gateway) bool { return g.Format != "" },
		value: func(l Lookup) string { return string(l.Format()) }},
	{name: "gzip flag", flag: "gzip-flag", byDefault: strconv.Itoa(defaultGzipFlag),
		told:  func(g *Gateway) bool { return g.GzipFlag != 0 },
		value: func(l Lookup) string { return onlyIf(l.Format() == policy.FormatGzip, l.gzipFlag()) }},
	{name: "key", flag: "key", wrong: []Code{keyNotDerivable, keyConstant, keyRewritten, keyNotSet, handoverLost},
		told: func(g *Gateway) bool { return g.Key != "" },
		value: func(l Lookup) string {
			return onlyIf(l.isDerived() && l.Key.Late == "", nginxconf.Canonical(l.template()))
		}},
	{name: "list of memcached servers", flag: "memcached",
		told:    func(g *Gateway) bool { return g.Servers != nil },
		value:   func(l Lookup) string { return strings.Join(l.memcached(), ", ") },
		ignored: func(a, b Lookup) bool { return a.handsServerOver() && b.handsServerOver() }},
	{name: "hash", flag: "hash", byDefault: cachewriter.All.String(),
		told: func(g *Gateway) bool { return g.Hash != nil },
		value: func(l Lookup) string {
			return onlyIf(len(l.serverNames()) > 1 && l.hashesKey(), l.method().String())
		},
		ignored: func(a, b Lookup) bool { return a.handsServerOver() && b.handsServerOver() }},
	{name: "Content-Type of hits", flag: "hit-type", byDefault: defaultHitType, wrong: []Code{noDefaultType, noCharset},
		told:  func(g *Gateway) bool { return g.HitType != "" },
		value: func(l Lookup) string { return onlyIf(!l.hasHead() && !l.isTypedByExtension(), l.typeOfHits()) }},
}

// agree makes a setting of two lookups the same.
func (s sharedSetting) agree(k *checker, first, l Lookup) Fix {
	const text = "use the same for both, or run a gateway for each"
	switch s.flag {
	case "key", "memcached", "hash":
		if !first.hasHead() && !l.hasHead() || s.flag == "key" {
			return k.params(l.misses(), l.handoverLines()...).and(k.params(first.misses(), first.handoverLines()...))
		}
	case "hit-type":
		lines := []string{"default_type " + nginxWord(first.DefaultType.Value) + ";", "charset " + nginxWord(first.Charset.Value) + ";"}
		return k.put(l.Location.Place, lines...).as(text)
	case "gzip-flag":
		return k.put(l.Location.Place, "memcached_gzip_flag "+first.GzipFlag.Value+";").as(text)
	case "format":
		if !first.hasHead() && !l.hasHead() {
			return k.put(l.Location.Place, "memcached_gzip_flag "+first.GzipFlag.Value+";", "gunzip on;").as(text)
		}
	}
	return manual(text, "only you know which of the two is right")
}

func onlyIf(b bool, s string) string {
	if b {
		return s
	}
	return ""
}

// notTold reports the flags that a gateway needs if it does not read the configuration.
func (k *checker) notTold(ours *group) {
	for _, s := range settings {
		if s.told(&k.g) || s.flag == "memcached" || s.isDisputed(ours.lookups) {
			continue
		}
		for _, l := range ours.lookups {
			value := s.value(l)
			if value == "" || value == s.byDefault || k.isWrong(s) {
				continue
			}
			k.note(l.Place, notTold, give(Flag{s.flag, value}),
				"the %s is %s here; `serve --nginx` takes it from nginx, but without --nginx serve uses %s", s.name, value, cmp.Or(s.byDefault, "none"))
			break
		}
	}
}

// isDisputed reports whether lookups have different values, so that no flag is right.
func (s sharedSetting) isDisputed(ours []Lookup) bool {
	var values []string
	for _, l := range ours {
		if value := s.value(l); value != "" {
			values = append(values, value)
		}
	}
	return len(slices.Compact(values)) > 1
}

// isWrong reports whether a finding says that nginx's own value is wrong.
func (k *checker) isWrong(s sharedSetting) bool {
	return slices.ContainsFunc(s.wrong, k.found.has)
}

// Flags returns the flags with which a gateway stores pages where the lookup finds them.
// What cannot be known is left out.
func (l Lookup) Flags() []Flag {
	var flags []Flag
	for _, s := range settings {
		if s.flag == "memcached" {
			for _, server := range l.memcached() {
				flags = append(flags, Flag{s.flag, server})
			}
			continue
		}
		if value := s.value(l); value != "" {
			flags = append(flags, Flag{s.flag, value})
		}
	}
	return flags
}
