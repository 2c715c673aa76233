package settings

import (
	"flag"
	"fmt"
	"io"
	"path/filepath"
)

// OfProcess returns the settings of a `uwgate serve` that another process runs: args is its
// command line after that word, env its environment, and dir its working directory. As for
// check, the file of --nginx is in Command, and nothing is taken from it.
func OfProcess(args, env []string, dir string) (*Settings, error) {
	set := ForCheck()
	set.dir, set.foreign = dir, true
	own := readEnvironment(env)
	set.env = func() environment { return own }
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for _, f := range set.Flags() {
		if err := f.Apply(flags); err != nil {
			return nil, err
		}
	}
	if err := flags.Parse(args); err != nil {
		return nil, fmt.Errorf("uwgate serve: %w", err)
	}
	if file, ok := own[envName("nginx")]; ok && len(set.flags["nginx"].texts) == 0 {
		set.flags["nginx"].texts = []string{file}
	}
	s, err := set.Read()
	if s != nil && s.Command.Nginx != "" && !filepath.IsAbs(s.Command.Nginx) {
		s.Command.Nginx = filepath.Join(dir, s.Command.Nginx)
	}
	return s, err
}

// IsBare reports whether the command line has no flag but one.
func (set *Set) IsBare(but string) bool {
	for name, f := range set.flags {
		if name != but && len(f.texts) > 0 {
			return false
		}
	}
	return true
}

// Config returns the file of --config, "" if there is none.
func (s *Settings) Config() string { return s.config }

// CommandLine returns flags that give the settings of the command line and the environment
// to another command, quoted for a shell. It leaves secrets out; the file stays that of
// --config.
func (s *Settings) CommandLine() []string {
	var words []string
	for _, r := range s.set.rows {
		t, ok := s.given[r.name]
		if !ok || t.origin.kind < fromEnvironment || r.own || r.secret {
			continue
		}
		for _, text := range t.texts {
			switch {
			case r.name == "config" && s.set.dir != "" && !filepath.IsAbs(text):
				text = filepath.Join(s.set.dir, text)
			case r.toggle:
				words = append(words, "--"+r.name+"="+text)
				continue
			}
			words = append(words, "--"+r.name, shellQuote(text))
		}
	}
	return words
}
