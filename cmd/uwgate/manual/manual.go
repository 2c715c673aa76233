package manual

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
)

// Width is the number of columns of help texts.
const Width = 80

// A Book has all that can be said of the program. It is not changed after New.
type Book struct {
	commands []command
	topics   []settings.Topic
	date     string // of the manual pages, as in "November 30, 2026"
}

// A command is one of package cli's, and its flags.
type command struct {
	*cli.Command
	flags []settings.Description
}

// New returns the book of these commands.
func New(commands []*cli.Command, date string) *Book {
	b := &Book{topics: settings.Topics(), date: date}
	for _, c := range commands {
		b.commands = append(b.commands, command{c, settings.Describe(c.Flags)})
	}
	return b
}

func (b *Book) command(name string) *command {
	for i := range b.commands {
		if b.commands[i].Name == name {
			return &b.commands[i]
		}
	}
	return nil
}

func (b *Book) topic(name string) *settings.Topic {
	for i := range b.topics {
		if b.topics[i].Name == name {
			return &b.topics[i]
		}
	}
	return nil
}

// firstOf are the settings of serve that matter first to a command, besides its own flags. A
// command that is not named takes few, or has those of serve.
var firstOf = map[string][]string{
	"serve":        {"config", "listen", "backend", "memcached", "ttl", "exclude", "vary-cookie", "observe", "admin", "log"},
	"config":       {"config"},
	"nginx":        {"config", "listen", "backend", "memcached", "hash", "key", "format", "vary-cookie", "nginx-adds"},
	"check":        {"config", "listen", "backend", "memcached", "hash", "key", "format"},
	"explain":      {"config", "admin", "admin-token-file", "backend", "memcached", "key"},
	"status":       {"config", "admin", "admin-token-file"},
	"top":          {"config", "admin", "admin-token-file"},
	"report":       {"config", "admin", "admin-token-file"},
	"healthcheck":  {"config", "admin"},
	"warm":         {"config", "listen", "memcached", "admin", "admin-token-file"},
	"deploy-check": {"config", "memcached", "key"},
}

// first returns the flags that matter first; rest whether there are others, which are
// settings of serve.
func (c *command) first() (first []settings.Description, rest bool) {
	names, listed := firstOf[c.Name]
	for _, f := range c.flags {
		if f.Own || !listed || slices.Contains(names, f.Name) {
			first = append(first, f)
		} else {
			rest = true
		}
	}
	slices.SortStableFunc(first, func(a, b settings.Description) int { return order(a) - order(b) })
	return first, rest
}

// order puts the flags of the command alone before settings.
func order(d settings.Description) int {
	if d.Own {
		return 0
	}
	return 1
}

// subjects are the words that Help knows, apart from the names of settings.
func (b *Book) subjects() (words []string) {
	for _, c := range b.commands {
		words = append(words, c.Name)
	}
	for _, t := range b.topics {
		words = append(words, t.Name)
	}
	return append(words, allTopics)
}

// allTopics is the word for the list of all settings.
const allTopics = "settings"

// statuses are the exit statuses of all commands.
const statuses = "Exit status: 0 done, 1 failed, 2 not tried: check and nginx were given flags that they cannot use. " +
	"What else a command says by its status stands in its own help: explain has 3."

// sentences puts each sentence into a line of its own.
func sentences(text string) string {
	var b strings.Builder
	words := strings.Fields(text)
	for i, w := range words {
		b.WriteString(w)
		end := strings.HasSuffix(w, ".") || strings.HasSuffix(w, ":") && i == len(words)-1
		switch {
		case i == len(words)-1:
		case end:
			b.WriteString("\n")
		default:
			b.WriteString(" ")
		}
	}
	return b.String()
}
