package settings

import (
	"flag"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// copied is what package cli sets under the other names of a flag. No command line can
// have it.
const copied = "\x00"

// A flagValue collects the texts that a command line has for a setting.
type flagValue struct {
	texts  []string
	toggle bool
}

// Set implements flag.Value.
func (v *flagValue) Set(text string) error {
	if text != copied {
		v.texts = append(v.texts, text)
	}
	return nil
}

func (v *flagValue) String() string   { return copied }
func (v *flagValue) IsBoolFlag() bool { return v.toggle }

// A rowFlag is a row as package cli sees it.
type rowFlag struct {
	*row
	value *flagValue
}

var (
	_ cli.DocGenerationSliceFlag = (*rowFlag)(nil)
)

func (f *rowFlag) Apply(set *flag.FlagSet) error {
	f.value.texts = nil
	for _, name := range f.Names() {
		set.Var(f.value, name, f.help)
	}
	return nil
}

func (f *rowFlag) Names() []string {
	if f.short == "" {
		return []string{f.name}
	}
	return []string{f.name, f.short}
}

func (f *rowFlag) IsSet() bool            { return len(f.value.texts) > 0 }
func (f *rowFlag) String() string         { return cli.FlagStringer(f) }
func (f *rowFlag) TakesValue() bool       { return !f.toggle }
func (f *rowFlag) GetUsage() string       { return f.help }
func (f *rowFlag) GetValue() string       { return strings.Join(f.value.texts, "\n") }
func (f *rowFlag) GetDefaultText() string { return strings.Join(f.defaults, " ") }
func (f *rowFlag) IsSliceFlag() bool      { return f.list }
func (f *rowFlag) IsVisible() bool        { return true }

func (f *rowFlag) GetEnvVars() []string {
	if f.own {
		return nil
	}
	return []string{envName(f.name)}
}

// guess returns the name that was probably meant, "" if none is near.
func guess(name string, names []string) string {
	var known []cli.Flag
	for _, n := range names {
		known = append(known, &cli.StringFlag{Name: n})
	}
	return trimDashes(cli.SuggestFlag(known, name, true))
}

// Guess returns the name of the flag that was probably meant, "" if none is near.
func Guess(name string, flags []cli.Flag) string {
	return cli.SuggestFlag(slices.Clone(flags), trimDashes(name), true)
}

func trimDashes(s string) string { return strings.TrimLeft(s, "-") }

// GuessWord returns the word of several that was probably meant, "" if none is near.
func GuessWord(word string, words []string) string { return guess(word, words) }
