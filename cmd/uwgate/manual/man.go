package manual

import (
	"fmt"
	"slices"
	"strings"

	"uwgate/cmd/uwgate/settings"
)

// Pages returns the names of all manual pages, as in "uwgate-serve.1".
func (b *Book) Pages() []string {
	pages := []string{"uwgate.1"}
	for _, c := range b.commands {
		pages = append(pages, "uwgate-"+c.Name+".1")
	}
	return append(pages, filePage)
}

// filePage is the page of the configuration file.
const filePage = "uwgate.yaml.5"

// Page returns a manual page in mdoc; "" if there is none of that name. "serve" is
// uwgate-serve.1.
func (b *Book) Page(name string) string {
	switch name {
	case "uwgate", "uwgate.1":
		return b.mainPage()
	case "uwgate.yaml", filePage:
		return b.filePage()
	}
	c := b.command(strings.TrimSuffix(strings.TrimPrefix(name, "uwgate-"), ".1"))
	if c == nil {
		return ""
	}
	return b.commandPage(c)
}

// A page is mdoc that is being written.
type page struct{ strings.Builder }

func (b *Book) page(title, section, name, about string) *page {
	p := &page{}
	fmt.Fprintf(p, ".\\\" Made by uwgate man.\n.Dd %s\n.Dt %s %s\n.Os\n.Sh NAME\n.Nm %s\n.Nd ", b.date, strings.ToUpper(title), section, name)
	p.WriteString(escape(about) + "\n")
	return p
}

// text writes paragraphs: each sentence begins a line, and no line is long.
func (p *page) text(text string) {
	for sentence := range strings.SplitSeq(sentences(text), "\n") {
		p.WriteString(escape(strings.TrimSuffix(settings.Wrap(sentence, "", 72), "\n")) + "\n")
	}
}

// escape makes plain text of what mdoc would take for its own.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "“", `"`, "”", `"`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// argument makes one argument of a macro.
func argument(text string) string {
	return `"` + strings.ReplaceAll(escape(text), `"`, `\(dq`) + `"`
}

func (p *page) flag(d settings.Description) {
	p.WriteString(".It ")
	if d.Short != "" {
		fmt.Fprintf(p, "Fl %s , ", d.Short)
	}
	fmt.Fprintf(p, "Fl \\-%s", escape(d.Name))
	if v := d.Value(); v != "" {
		fmt.Fprintf(p, " Ar %s", argument(v))
	}
	if d.List {
		p.WriteString(" ...")
	}
	p.WriteString("\n")
	p.text(d.Sentence() + defaultSentence(d))
}

func defaultSentence(d settings.Description) string {
	if len(d.Defaults) == 0 || d.Defaults[0] == "" {
		return ""
	}
	return " The default is " + strings.Join(d.Defaults, " ") + "."
}

func (p *page) examples(text string) {
	p.WriteString(".Bd -literal -compact\n")
	for line := range strings.Lines(text) {
		p.WriteString(escape(strings.TrimRight(usageLine(strings.TrimSpace(line)), "\n")) + "\n")
	}
	p.WriteString(".Ed\n")
}

func (b *Book) mainPage() string {
	p := b.page("uwgate", "1", "uwgate", "store the pages of uWSGI applications where nginx finds them")
	p.WriteString(".Sh SYNOPSIS\n.Nm\n.Ar command\n.Op Ar flags\n.Sh DESCRIPTION\n")
	p.text("uwgate stands between nginx and uWSGI workers. When a worker responds to a GET with a page that is right for everyone, uwgate writes the body to memcached, under the key that nginx's memcached_pass looks up. The commands are:")
	p.WriteString(".Bl -tag -width deploy-check\n")
	for _, c := range b.commands {
		fmt.Fprintf(p, ".It Cm %s\n", escape(c.Name))
		p.text(strings.ToUpper(c.Usage[:1]) + c.Usage[1:] + ".")
	}
	p.WriteString(".El\n.Pp\n")
	p.text("Each has a page of its own, as in")
	p.WriteString(".Xr uwgate-serve 1 .\n.Sh ENVIRONMENT\n")
	p.text("Every setting of uwgate.yaml(5) can be set in the environment: UWGATE_TTL is ttl. A list has one value a line. CREDENTIALS_DIRECTORY names the folder of systemd's credentials, from which admin-token, purge-token and bypass-arg are read.")
	p.WriteString(".Sh FILES\n.Bl -tag -width Ds\n.It Pa /etc/uwgate/uwgate.yaml\n")
	p.text("The settings of the service, in the Debian package.")
	p.WriteString(".It Pa /run/uwgate/uwgate.sock\n")
	p.text("The socket for nginx's uwsgi_pass, in the Debian package.")
	p.WriteString(".El\n.Sh EXIT STATUS\n")
	p.text(strings.TrimPrefix(statuses, "Exit status: "))
	p.seeAlso(b, "uwgate")
	return p.String()
}

func (b *Book) commandPage(c *command) string {
	name := "uwgate-" + c.Name
	p := b.page(name, "1", name, c.Usage)
	p.WriteString(".Sh SYNOPSIS\n")
	fmt.Fprintf(p, ".Nm uwgate %s\n.Op Ar flags\n", escape(c.Name))
	if c.ArgsUsage != "" {
		fmt.Fprintf(p, ".Op Ar %s\n", argument(c.ArgsUsage))
	}
	p.WriteString(".Sh DESCRIPTION\n")
	about, status, _ := strings.Cut(c.Description, "Exit status: ")
	if about == "" {
		about = strings.ToUpper(c.Usage[:1]) + c.Usage[1:] + "."
	}
	for i, paragraph := range strings.Split(strings.TrimSpace(about), "\n\n") {
		if i > 0 {
			p.WriteString(".Pp\n")
		}
		p.text(paragraph)
	}
	if first, rest := c.first(); len(first) > 0 {
		p.WriteString(".Pp\n")
		p.text("The flags are:")
		p.WriteString(".Bl -tag -width Ds\n")
		for _, d := range first {
			p.flag(d)
		}
		p.WriteString(".El\n")
		if rest {
			p.WriteString(".Pp\n")
			p.text("Every other setting of uwgate.yaml(5) is a flag, too.")
		}
	}
	p.WriteString(".Sh EXIT STATUS\n")
	if status == "" {
		status = "0 done, 1 failed."
	}
	p.text(status)
	if c.UsageText != "" {
		p.WriteString(".Sh EXAMPLES\n")
		p.examples(c.UsageText)
	}
	p.seeAlso(b, name)
	return p.String()
}

// seeAlso lists the other pages.
func (p *page) seeAlso(b *Book, but string) {
	var refs []string
	for _, name := range b.Pages() {
		dot := strings.LastIndexByte(name, '.')
		if name[:dot] != but {
			refs = append(refs, name[dot+1:]+" "+name[:dot])
		}
	}
	slices.Sort(refs)
	refs = append(refs, "8 nginx")
	p.WriteString(".Sh SEE ALSO\n")
	for i, ref := range refs {
		section, name, _ := strings.Cut(ref, " ")
		comma := " ,"
		if i == len(refs)-1 {
			comma = ""
		}
		fmt.Fprintf(p, ".Xr %s %s%s\n", name, section, comma)
	}
}

func (b *Book) filePage() string {
	p := b.page("uwgate.yaml", "5", "uwgate.yaml", "the settings of uwgate")
	p.WriteString(".Sh DESCRIPTION\n")
	p.text("The file of uwgate serve \\-\\-config is YAML: a mapping of settings. A setting that may have several values takes a list. Each setting is a flag and a name in the environment, too. Flags win over the environment, the environment wins over the file, and the file wins over nginx's configuration (nginx).")
	p.WriteString(".Pp\n")
	p.text("After a HUP the file is read again. A setting that is marked with restart changes only when uwgate starts.")
	for _, t := range b.topics {
		fmt.Fprintf(p, ".Ss %s\n", escape(t.Title))
		p.text(strings.ToUpper(t.About[:1]) + t.About[1:] + ".")
		p.WriteString(".Bl -tag -width Ds\n")
		for _, d := range t.Settings {
			if d.Name == "config" {
				continue
			}
			fmt.Fprintf(p, ".It Cm %s : Ar %s\n", escape(d.Name), argument(d.Kind))
			text := d.Sentence() + defaultSentence(d)
			if len(d.Defaults) == 0 {
				text += " Example: " + d.Example + "."
			}
			if d.Restart {
				text += " (restart)"
			}
			p.text(text)
		}
		p.WriteString(".El\n")
	}
	p.WriteString(".Ss Rules and pools\n")
	p.text("rules is a list of what differs for some pages, and pools is a list of servers of several applications. `uwgate config \\-\\-example` explains their keys.")
	p.WriteString(".Sh EXAMPLES\n.Bd -literal -compact\nlisten: unix:/run/uwgate/uwgate.sock\nbackend: unix:/run/app.sock\nmemcached: 127.0.0.1:11211\nttl: 10m\nrules:\n  \\- path: /account/\n    action: bypass\n.Ed\n")
	p.seeAlso(b, "uwgate.yaml")
	return p.String()
}
