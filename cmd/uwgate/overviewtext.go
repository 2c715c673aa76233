package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// write prints the overview for people: what is there, and then what to do.
func (o *overview) write(w io.Writer, now time.Time) error {
	var s sheet
	s.section("This machine", len("memcached"))
	s.row("nginx", o.Nginx.String())
	s.row("gateway", o.Gateway.text(now))
	for _, text := range o.Gateway.Unread {
		s.row("", text)
	}
	if o.Nginx.Files > 0 {
		s.row("lookups", o.lookupText())
	}
	if len(o.Sites) > 0 {
		s.row("sites", strings.Join(o.Sites, " "))
	}
	for i, m := range o.Memcached {
		s.row(onlyFirst(i, "memcached"), m.String())
	}
	if o.Command != "" {
		s.row("findings", o.findingText())
	}
	if len(o.Wrong) > 0 {
		s.section("To do", 0)
		for i, x := range o.Wrong {
			s.row("", fmt.Sprintf("%d. %s", i+1, sentence(x.Text)))
			for line := range strings.Lines(x.ToDo) {
				s.value("  ", strings.TrimSuffix(line, "\n"))
			}
		}
	}
	_, err := fmt.Fprintf(w, "%s\n%s\n", s.String(), o.conclusion())
	return err
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
			return "none of this nginx; " + countOf(len(g.Others), "other gateway")
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
	if len(g.Others) > 0 {
		text += "; " + countOf(len(g.Others), "other gateway")
	}
	return text
}

func (o *overview) lookupText() string {
	if o.Lookups == 0 {
		return "none"
	}
	text := fmt.Sprint(o.Lookups)
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
