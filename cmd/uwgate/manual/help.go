package manual

import (
	"fmt"
	"strings"

	"uwgate/cmd/uwgate/settings"
)

// Overview returns the help of the program.
func (b *Book) Overview() string {
	var t strings.Builder
	t.WriteString("uwgate stores the pages of uWSGI applications in memcached, where nginx's\nmemcached_pass finds them.\n\n" +
		"  uwgate serve --listen ADDRESS --backend ADDRESS --memcached ADDRESS [flags]\n" +
		"  uwgate COMMAND [flags]\n\nCommands:\n")
	for _, c := range b.commands {
		row(&t, c.Name, c.Usage)
	}
	t.WriteString("\nHelp (`uwgate help WORD`):\n")
	row(&t, "COMMAND", "the flags of a command, as `uwgate COMMAND --help` does")
	row(&t, "SETTING", "one setting, as in `uwgate help ttl`")
	row(&t, allTopics, "all settings of serve, by topic")
	for _, topic := range b.topics {
		row(&t, topic.Name, topic.About)
	}
	t.WriteString("\n")
	t.WriteString(settings.Wrap("Addresses are host:port, unix:/path or @name. Every setting of serve is a flag (--listen), a name in the environment (UWGATE_LISTEN) and a key of a YAML file (--config FILE). Flags win over the environment, and the environment wins over the file. In the environment a list has one value a line. -v prints the version.", "", Width))
	t.WriteString("\n" + settings.Wrap(statuses, "", Width))
	return t.String()
}

// row writes a word and what it stands for.
func row(t *strings.Builder, word, text string) {
	const column = 17
	lines := settings.Wrap(text, strings.Repeat(" ", column), Width)
	if len(word)+2 < column-1 {
		lines = fmt.Sprintf("  %-*s", column-2, word) + lines[column:]
	} else {
		lines = "  " + word + "\n" + lines
	}
	t.WriteString(lines)
}

// Help returns the help of a command, a topic or a setting; "" if there is none of that name.
func (b *Book) Help(word string) string {
	word = strings.TrimLeft(word, "-")
	if c := b.command(word); c != nil {
		return b.commandHelp(c)
	}
	if t := b.topic(word); t != nil {
		return topicHelp(t)
	}
	if word == allTopics {
		return b.settingsHelp()
	}
	for _, t := range b.topics {
		for _, d := range t.Settings {
			if d.Name == word {
				return settingHelp(t, d)
			}
		}
	}
	return ""
}

func (b *Book) commandHelp(c *command) string {
	var t strings.Builder
	t.WriteString(settings.Wrap("uwgate "+c.Name+": "+c.Usage, "", Width) + "\n")
	for line := range strings.Lines(c.UsageText) {
		t.WriteString(usageLine(strings.TrimSpace(line)))
	}
	if c.Description != "" {
		for paragraph := range strings.SplitSeq(c.Description, "\n\n") {
			t.WriteString("\n" + settings.Wrap(paragraph, "", Width))
		}
	}
	first, rest := c.first()
	if len(first) > 0 {
		t.WriteString("\nFlags:\n")
	}
	for _, d := range first {
		flag(&t, d)
	}
	if rest {
		text := "It takes the other settings of serve, too, so that one --config, or the same flags, are right for all commands (`uwgate help TOPIC`):"
		if c.Name == "serve" {
			text = "The other settings, by topic (`uwgate help TOPIC`):"
		}
		t.WriteString("\n" + settings.Wrap(text, "", Width))
		for _, topic := range b.topics {
			row(&t, topic.Name, topic.About)
		}
	}
	return t.String()
}

// usageLine writes an example of a command line, broken as a shell allows it.
func usageLine(line string) string {
	const prefix = "  "
	if len(line)+len(prefix) <= Width {
		return prefix + line + "\n"
	}
	lines := strings.Split(strings.TrimSuffix(settings.Wrap(line, "", Width-8), "\n"), "\n")
	return prefix + strings.Join(lines, " \\\n"+prefix+"    ") + "\n"
}

// flag writes a flag and what it does.
func flag(t *strings.Builder, d settings.Description) {
	t.WriteString("  " + usage(d) + "\n")
	text := d.Text()
	if len(d.Defaults) > 0 && d.Defaults[0] != "" && d.Defaults[0] != "0" && !(d.Toggle && d.Defaults[0] == "false") {
		text += "; default " + strings.Join(d.Defaults, " ")
	}
	t.WriteString(settings.Wrap(text, "      ", Width))
}

// usage is a flag with the word for its value.
func usage(d settings.Description) string {
	text := "--" + d.Name
	if d.Short != "" {
		text = "-" + d.Short + ", " + text
	}
	if v := d.Value(); v != "" {
		text += " " + v
	}
	if d.Toggle && len(d.Defaults) > 0 && d.Defaults[0] == "true" {
		text += "=false"
	}
	if d.List {
		text += " …"
	}
	return text
}

func topicHelp(topic *settings.Topic) string {
	var t strings.Builder
	t.WriteString(settings.Wrap(topic.Title+": "+topic.About+".", "", Width) + "\n")
	for _, d := range topic.Settings {
		flag(&t, d)
	}
	t.WriteString("\n" + settings.Wrap("… may be repeated. Each is a name in the environment, as "+topic.Settings[0].Environment()+", and a key of the YAML file, too.", "", Width))
	return t.String()
}

func (b *Book) settingsHelp() string {
	var t strings.Builder
	t.WriteString("All settings of serve. `uwgate help TOPIC` and `uwgate help SETTING` say more.\n")
	for _, topic := range b.topics {
		t.WriteString("\n" + settings.Wrap(topic.Name+": "+topic.About, "", Width))
		var names []string
		for _, d := range topic.Settings {
			names = append(names, d.Name)
		}
		t.WriteString(settings.Wrap(strings.Join(names, " "), "  ", Width))
	}
	return t.String()
}

func settingHelp(topic settings.Topic, d settings.Description) string {
	var t strings.Builder
	t.WriteString(usage(d) + "\n" + settings.Wrap(d.Sentence(), "  ", Width) + "\n")
	fact := func(name, text string) { fmt.Fprintf(&t, "  %-12s %s\n", name, text) }
	fact("values", d.Kind)
	if len(d.Defaults) > 0 {
		fact("default", strings.Join(d.Defaults, " "))
	}
	fact("example", "--"+d.Name+" "+d.Example)
	if d.Toggle {
		t.Reset()
		t.WriteString(usage(d) + "\n" + settings.Wrap(d.Sentence(), "  ", Width) + "\n")
		fact("values", d.Kind)
		fact("default", strings.Join(d.Defaults, " "))
		fact("example", "--"+d.Name+"="+d.Example)
	}
	fact("environment", d.Environment())
	if d.Name != "config" {
		fact("file", d.Name)
	}
	if d.Restart {
		fact("change", "takes a restart")
	} else {
		fact("change", "takes a reload (HUP)")
	}
	fact("topic", "`uwgate help "+topic.Name+"`")
	return t.String()
}

// Guess returns the word of Help that was probably meant; "" if none is near.
func (b *Book) Guess(word string) string {
	names := b.subjects()
	for _, t := range b.topics {
		for _, d := range t.Settings {
			names = append(names, d.Name)
		}
	}
	return settings.GuessWord(word, names)
}

// Commands returns a page of Markdown with the help of all commands.
func (b *Book) Commands() string {
	var t strings.Builder
	t.WriteString("# Commands\n\n<!-- Made by: go test ./cmd/uwgate -run TestCommandsPage -update -->\n\n" +
		settings.Wrap("`uwgate help COMMAND` prints the same. Every setting of serve ([settings.md](settings.md)) is a flag of the commands that need it, so one `--config FILE` is right for all.", "", 120) +
		"\n" + settings.Wrap(statuses, "", 120))
	for i := range b.commands {
		c := &b.commands[i]
		fmt.Fprintf(&t, "\n## %s\n\n", c.Name)
		for line := range strings.Lines(b.commandHelp(c)) {
			if line != "\n" {
				line = "    " + line
			}
			t.WriteString(line)
		}
	}
	return t.String()
}
