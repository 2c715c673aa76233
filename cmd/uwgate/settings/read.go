package settings

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"uwgate/nginxconf/parity"
)

// A Set is the settings that one command takes. It collects the command line, and can be
// read any number of times: each Read reads the files as they are then.
type Set struct {
	rows  []*row
	flags map[string]*flagValue
	env   func() environment
	dir   string // of a relative --config; empty: the working directory

	foreign bool // the settings are another process's: its secrets are not read
}

func newSet(rows ...[]row) *Set {
	set := &Set{flags: make(map[string]*flagValue), env: processEnvironment}
	for _, part := range rows {
		for i := range part {
			r := &part[i]
			set.rows = append(set.rows, r)
			set.flags[r.name] = &flagValue{toggle: r.toggle}
		}
	}
	return set
}

// Flags returns the flags for a command of package cli. Package cli only collects the
// texts that the command line has; Read makes values of them.
func (set *Set) Flags() []cli.Flag {
	flags := make([]cli.Flag, len(set.rows))
	for i, r := range set.rows {
		flags[i] = &rowFlag{row: r, value: set.flags[r.name]}
	}
	return flags
}

// Read returns the settings: from the command line, else the environment, else the file
// of --config, else the nginx.conf of --nginx, else the defaults. An error names
// everything that is wrong with single values; what is wrong with several together is
// found when Parts or Policy uses them.
func (set *Set) Read() (*Settings, error) {
	unknown := set.env().check()
	g := set.given()
	file, err := set.readConfig(g)
	if file == nil {
		return nil, errors.Join(unknown, err)
	}
	s, wrong := set.read(g, file)
	return s, errors.Join(unknown, err, wrong)
}

// readConfig reads the file of --config, if there is one. It returns nil if the file cannot
// be read; with an error about some of its lines, it returns the others.
func (set *Set) readConfig(g given) (*configFile, error) {
	path := g.single("config")
	if path == "" {
		return &configFile{}, nil
	}
	if set.dir != "" && !filepath.IsAbs(path) {
		path = filepath.Join(set.dir, path)
	}
	return readFile(g["config"].origin.name("config"), path)
}

// read adds what the files say to what is given above them.
func (set *Set) read(g given, file *configFile) (*Settings, error) {
	g.add(set, file.values)
	secrets := set.readSecrets(g)
	s := &Settings{source: source{set: set, file: file, given: g}}
	if r := set.row("nginx"); r != nil && !r.own {
		if err := s.readNginx(); err != nil {
			return nil, errors.Join(secrets, err, s.decode())
		}
	}
	return s, errors.Join(secrets, s.decode())
}

func (set *Set) row(name string) *row {
	for _, r := range set.rows {
		if r.name == name {
			return r
		}
	}
	return nil
}

// given returns what the command line and the environment set.
func (set *Set) given() given {
	g, env := make(given), set.env()
	for _, r := range set.rows {
		if texts := set.flags[r.name].texts; len(texts) > 0 {
			g[r.name] = newTexts(r, Origin{kind: fromCommandLine}, texts...)
			continue
		}
		if r.own {
			continue
		}
		switch text, ok := env[envName(r.name)]; {
		case !ok:
		case text != "" || r.blank:
			g[r.name] = newTexts(r, Origin{kind: fromEnvironment}, text)
		case r.toggle:
			g[r.name] = newTexts(r, Origin{kind: fromEnvironment}, "false")
		}
	}
	return g
}

// given are the texts of settings that are not the defaults.
type given map[string]texted

// A texted is the text of a setting and its origin.
type texted struct {
	texts  []string
	origin Origin
}

// newTexts splits the texts of a list: wherever they come from, a line feed separates
// two values, and white space around a value does not count. Of another setting the last
// text counts.
func newTexts(r *row, origin Origin, texts ...string) texted {
	if !r.list {
		return texted{texts[len(texts)-1:], origin}
	}
	t := texted{origin: origin}
	for _, text := range texts {
		for _, value := range strings.Split(text, "\n") {
			t.texts = append(t.texts, strings.TrimSpace(value))
		}
	}
	return t
}

// single returns the text of a setting, "" if there is none.
func (g given) single(name string) string {
	if texts := g[name].texts; len(texts) > 0 {
		return texts[len(texts)-1]
	}
	return ""
}

// add takes in values that a file has, where nothing above it has set them. It passes
// over settings that the command does not take.
func (g given) add(set *Set, values []fileValue) {
	for _, v := range values {
		r := set.row(v.name)
		if _, above := g[v.name]; r == nil || above || len(v.values) == 0 {
			continue
		}
		g[v.name] = newTexts(r, v.origin, v.values...)
	}
}

// decode reads all texts into their fields.
func (s *Settings) decode() error {
	s.bad = make(map[string]bool)
	for _, name := range s.file.bad {
		s.bad[name] = true
	}
	var errs []error
	for _, r := range s.set.rows {
		errs = append(errs, s.takeAll(r, s.texts(r.name)))
	}
	for _, r := range allRows() {
		if taken := s.set.row(r.name); taken == nil || taken.own {
			errs = append(errs, s.takeAll(&r, r.defaults))
		}
	}
	return errors.Join(errs...)
}

// takeAll reads the texts of a setting into its field.
func (s *Settings) takeAll(r *row, texts []string) error {
	var errs []error
	for _, text := range texts {
		if err := r.take(s, text); err != nil {
			s.bad[r.name] = true
			errs = append(errs, s.refuse(r.name, text, err))
		}
	}
	return errors.Join(errs...)
}

// refuse returns the error for a value of a setting.
func (s *Settings) refuse(name, value string, err error) error {
	if s.set.row(name) == nil {
		return fmt.Errorf("--%s: %w", name, plain(err))
	}
	return &Error{Setting: name, Origin: s.Origin(name), Value: value, Err: plain(err), row: s.set.row(name)}
}

// Refuse returns the error for the value of a setting that could not be put to use.
func (s *Settings) Refuse(name string, err error) error {
	return s.refuse(name, strings.Join(s.texts(name), " "), err)
}

// RefuseOne returns the error for one value of a setting that could not be put to use.
func (s *Settings) RefuseOne(name, value string, err error) error {
	return s.refuse(name, value, err)
}

// texts returns what a setting holds as it is written.
func (s *Settings) texts(name string) []string {
	if t, ok := s.given[name]; ok {
		return t.texts
	}
	if r := s.set.row(name); r != nil {
		return r.defaults
	}
	return nil
}

// conflict returns the error for a setting that does not go with others, unless one of
// them has been reported already.
func (s *Settings) conflict(name string, with []string, format string, args ...any) error {
	if s.bad[name] || slices.ContainsFunc(with, func(other string) bool { return s.bad[other] }) {
		return nil
	}
	return fmt.Errorf("%s: %w", s.mention(name), fmt.Errorf(format, args...))
}

// mention names a setting with its value and its origin.
func (s *Settings) mention(name string) string {
	o := s.Origin(name)
	r := s.set.row(name)
	value := strings.Join(s.texts(name), " ")
	if r == nil || r.secret {
		return o.name(name)
	}
	switch o.kind {
	case fromFile:
		return o.place + ": " + o.assignment(name, value, r.toggle)
	case fromDefault:
		return o.assignment(name, value, r.toggle) + " (the default)"
	}
	return o.assignment(name, value, r.toggle)
}

// Origin returns where the value of a setting comes from. Name is that of its flag,
// without dashes.
func (s *Settings) Origin(name string) Origin { return s.given[name].origin }

// PrefersWorker reports whether the command line or the environment names a worker, and
// no gateway: a file may name both, since serve reads it, too.
func (s *Settings) PrefersWorker() bool {
	return s.Origin("backend").kind > fromFile && s.Origin("admin").kind <= fromFile
}

// withNginx returns the settings again, with those that nothing sets as nginx has them.
func (s *Settings) withNginx(conf *parity.Settings) (*Settings, error) {
	next := &Settings{Nginx: conf, source: source{set: s.set, file: s.file, given: make(given)}}
	for name, t := range s.given {
		next.given[name] = t
	}
	next.given.add(s.set, nginxValues(conf))
	return next, next.decode()
}
