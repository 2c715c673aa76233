package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"uwgate/demo/stack"
)

// A page is the output of the demo: 80 columns, in colour on a terminal.
type page struct {
	out    *os.File
	colour bool
	steps  int
	dir    string // omitted from paths
}

func newPage(out *os.File) *page {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &page{out: out, colour: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (p *page) title(text string) { p.line(p.bold(text) + "\n") }

func (p *page) line(text string) { fmt.Fprintln(p.out, text) }

// step prints the heading of a step.
func (p *page) step(what, outcome string) {
	p.steps++
	head := fmt.Sprintf("%d  %s", p.steps, what)
	p.line(fmt.Sprintf("\n%s  %s", p.bold(fmt.Sprintf("%-24s", head)), p.green(outcome)))
}

func (p *page) field(name, format string, args ...any) {
	p.line(fmt.Sprintf("   %-12s %s", name, fmt.Sprintf(format, args...)))
}

// programs lists the running programs.
func (p *page) programs(s *stack.Stack, conf string) {
	p.dir = s.Dir
	p.field("directory", "%s", s.Dir)
	p.field("nginx.conf", "%s", conf)
	for _, proc := range s.Processes() {
		p.field(proc.Name, "%s", p.short(proc.Addr))
	}
}

// short removes the directory from an address.
func (p *page) short(addr string) string { return strings.Replace(addr, p.dir+"/", "", 1) }

func (p *page) whatToTry(s *stack.Stack, c *control, uwgate string) {
	p.line("\n" + p.bold("Try it"))
	p.field("the site", "%s", s.URL("/"))
	p.field("log in", "%s with demo / demo", s.URL("/login"))
	p.field("admin", "%s, also with demo / demo", s.URL("/admin/"))
	p.field("metrics", "http://%s/metrics", s.Admin)
	p.field("logs", "%s/*.log", s.Dir)
	p.line("\nIn another terminal:\n")
	p.line("   export UWGATE_CONFIG=" + c.file)
	for _, command := range []string{
		"status", "explain " + s.URL("/articles/"), "explain " + s.URL("/hello"), "purge " + s.URL("/articles/"), "help lifetimes",
	} {
		p.line("   " + uwgate + " " + command)
	}
	p.line("\n/hello has `Vary: Cookie`, as most pages of Django do. With `--vary-cookie anonymous`\nuwgate stores it. `make demo DEMO=-observe` shows what uwgate would store.")
	p.line("\nA page from memcached has no line below. Ctrl-C stops everything.\n")
	p.line(p.bold("time      status  took      verdict                      request"))
}

// follow prints uwgate's access log until ctx is done.
func follow(ctx context.Context, s *stack.Stack, p *page) error {
	access := s.AccessReader()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		requests, err := access.Next()
		for _, r := range requests {
			p.request(r)
		}
		if err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *page) request(r stack.Access) {
	verdict := r.Verdict + ", " + r.Reason
	if r.Verdict != "pass" {
		verdict = fmt.Sprintf("%s, %s %s", r.Verdict, r.Reason, seconds(float64(r.TTL)))
	}
	text := fmt.Sprintf("%-27s", verdict)
	if r.Verdict == "store" {
		text = p.green(text)
	}
	p.line(fmt.Sprintf("%s  %-6d  %-8s  %s  %s %s", r.Time.Local().Format(time.TimeOnly), r.Status, millis(seconds(r.Took)), text, r.Method, r.URI))
}

// millis formats a duration to a tenth of a millisecond.
func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func (p *page) bold(s string) string  { return p.paint("1", s) }
func (p *page) green(s string) string { return p.paint("32", s) }

func (p *page) paint(code, s string) string {
	if !p.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
