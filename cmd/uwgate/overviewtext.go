package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// overviewLines is how many lines an overview has at most.
const overviewLines = 10

// write prints the overview for people: what to do, the worst first, and then what is there.
func (o *overview) write(w io.Writer, now time.Time) error {
	rows := o.rows(now)
	lines := o.toDo(overviewLines - len(rows) - 1)
	lines = append(append(lines, rows...), o.conclusion())
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// toDo returns at most n lines, two for each thing.
func (o *overview) toDo(n int) (lines []string) {
	for i, x := range o.Wrong {
		left := len(o.Wrong) - i
		if n-len(lines) < 2 || n-len(lines) < 3 && left > 1 {
			return append(lines, fmt.Sprintf("%d. and %d more: uwgate check --json", i+1, left))
		}
		todo := strings.ReplaceAll(x.ToDo, "\n", "; ")
		lines = append(lines, printable(fmt.Sprintf("%d. %s", i+1, sentence(x.Text))), "   "+printable(todo))
	}
	return lines
}

// rows returns what is there.
func (o *overview) rows(now time.Time) (lines []string) {
	row := func(label, text string) { lines = append(lines, fmt.Sprintf("%-10s %s", label, printable(text))) }
	row("nginx", o.Nginx.String())
	row("gateway", o.Gateway.text(now))
	if o.Nginx.Files > 0 {
		row("lookups", o.lookupText())
	}
	if len(o.Memcached) > 0 {
		var all []string
		for _, m := range o.Memcached {
			all = append(all, m.String())
		}
		row("memcached", strings.Join(all, ", "))
	}
	if o.Command != "" && len(o.Wrong) == 0 {
		row("findings", o.findingText())
	}
	return lines
}

func (n nginxFound) String() string {
	switch {
	case n.File == "":
		return "not found"
	case n.Files == 0:
		return n.File + ", which cannot be read"
	}
	text := n.File
	if n.Files > 1 {
		text += " and " + countOf(n.Files-1, "included file")
	}
	text += "; workers run as " + n.User
	if n.PID != 0 {
		text += fmt.Sprintf("; process id %d", n.PID)
	}
	return text
}

func (g gatewayFound) text(now time.Time) string {
	listen := strings.Join(g.Listen, ", ")
	if g.PID == 0 {
		switch {
		case g.Config == "" && len(g.Others) > 0:
			return "none of this nginx" + g.neighbours()
		case g.Config == "":
			return "none runs"
		}
		return fmt.Sprintf("none runs; %s is for one that listens on %s", g.Config, listen)
	}
	text := fmt.Sprintf("process id %d", g.PID)
	if g.Since != nil {
		text += fmt.Sprintf(", up %v", now.Sub(*g.Since).Round(time.Second))
	}
	text += ", listens on " + listen
	if g.Config != "" {
		text += "; settings from " + g.Config
	}
	if len(g.Log) > 0 {
		text += "; logs to " + strings.Join(g.Log, ", ")
	}
	return text + g.neighbours()
}

// neighbours names the other gateways.
func (g gatewayFound) neighbours() (text string) {
	const most = 5
	if len(g.elsewhere) > 0 {
		text = "; " + countOf(len(g.elsewhere), "other gateway") + ": " + strings.Join(g.elsewhere[:min(len(g.elsewhere), most)], ", ")
	}
	if len(g.elsewhere) > most {
		text += " …"
	}
	for _, unread := range g.Unread {
		text += "; " + unread
	}
	return text
}

func (o *overview) lookupText() string {
	if o.Lookups == 0 {
		return "none"
	}
	text := fmt.Sprint(o.Lookups)
	if len(o.Sites) > 0 {
		text += " of " + strings.Join(o.Sites, " ")
	}
	switch o.HandedOver {
	case o.Lookups:
		text += "; nginx hands the key over"
	case 0:
		text += "; nginx does not hand the key over, so uwgate makes it by itself"
	default:
		text += fmt.Sprintf("; nginx hands the key over for %d of them", o.HandedOver)
	}
	if len(o.Misses) > 0 {
		text += "; misses go to " + strings.Join(o.Misses, ", ")
	}
	return text
}

func (m memcachedFound) String() string {
	if m.Version == "" {
		return m.Server + " does not respond"
	}
	return m.Server + " responds (version " + m.Version + ")"
}

func (o *overview) findingText() string {
	return fmt.Sprintf("%s, %s, %s: %s", countOf(o.Errors, "error"), countOf(o.Warnings, "warning"), countOf(o.Notes, "note"), o.Command)
}

// conclusion is the last line.
func (o *overview) conclusion() string {
	if len(o.Wrong) > 0 {
		return countOf(len(o.Wrong), "thing") + " to do."
	}
	return "Nothing is wrong by the files. Prove it through nginx: " + o.Command + " " + o.Via
}
