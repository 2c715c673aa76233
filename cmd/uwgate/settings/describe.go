package settings

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// A Description is what there is to know of one setting: for help texts, manual pages,
// completions and files.
type Description struct {
	Name     string
	Short    string // a one-letter name of the flag; empty: none
	Help     string // begins with a verb; one word or more in backticks stands for the value
	Kind     string // of its values, as in "time"
	Words    []string
	Defaults []string
	Example  string
	List     bool
	Toggle   bool
	Restart  bool // HUP does not change it
	Own      bool // of one command: a flag alone
}

// A Topic is settings of serve that belong together.
type Topic struct {
	Name     string // one word
	Title    string
	About    string
	Settings []Description
}

// Topics returns all settings of serve, in the order of docs/settings.md.
func Topics() []Topic {
	var topics []Topic
	for _, s := range sections {
		t := Topic{Name: s.topic, Title: s.title, About: s.about}
		for _, r := range s.rows() {
			t.Settings = append(t.Settings, r.describe())
		}
		topics = append(topics, t)
	}
	return topics
}

// Describe returns the descriptions of flags that Set.Flags has made.
func Describe(flags []cli.Flag) []Description {
	var all []Description
	for _, f := range flags {
		if f, ok := f.(*rowFlag); ok {
			all = append(all, f.row.describe())
		}
	}
	return all
}

func (r *row) describe() Description {
	return Description{
		Name: r.name, Short: r.short, Help: r.help, Kind: r.word, Words: r.words(), Defaults: r.defaults, Example: r.example,
		List: r.list, Toggle: r.toggle, Restart: r.restart, Own: r.own,
	}
}

// words returns the values of a setting that has a few words as values, else nil.
func (k kind) words() []string {
	words := strings.Split(k.word, ", ")
	if k.toggle || len(words) == 1 && k.word != "html" || strings.Contains(strings.Join(words, ""), " ") {
		return nil
	}
	return words
}

// Environment returns the setting's name in the environment.
func (d Description) Environment() string { return envName(d.Name) }

// Value returns the word that stands for the value, as in "ADDRESS"; "" for a flag without
// one.
func (d Description) Value() string {
	_, rest, _ := strings.Cut(d.Help, "`")
	value, _, _ := strings.Cut(rest, "`")
	if d.Toggle {
		return ""
	}
	if value == "" || strings.Contains(value, " or ") {
		return strings.ToUpper(strings.ReplaceAll(d.Kind, " ", "-"))
	}
	return value
}

// Text returns the help without backticks.
func (d Description) Text() string { return strings.ReplaceAll(d.Help, "`", "") }

// Sentence returns the help as a sentence.
func (d Description) Sentence() string {
	text := d.Text()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// Brief returns the first clause of the help.
func (d Description) Brief() string {
	brief, _, _ := strings.Cut(d.Text(), ";")
	brief, _, _ = strings.Cut(brief, ", as in")
	brief, _, _ = strings.Cut(brief, " (docs/")
	return brief
}
