package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
	"uwgate/cmd/uwgate/warm"
	"uwgate/gateway/admin"
	"uwgate/uwsgi"
)

func warmCommand() *cli.Command {
	set := settings.ForWarm()
	return &cli.Command{
		Name:  "warm",
		Usage: "request the pages of a site, so that they are stored before visitors come",
		UsageText: "uwgate warm --sitemap https://www.example.com/sitemap.xml --connect 127.0.0.1:443\n" +
			"uwgate warm --sitemap sitemap.xml.gz --rate 20 --concurrency 4\n" +
			"psql -Atc 'select path from pages' shop | uwgate warm --urls - --site https://www.example.com\n" +
			"uwgate warm --config /etc/uwgate/uwgate.yaml --through gateway https://www.example.com/",
		Description: "Requests are those of a visitor who comes for the first time. Fewer are sent while\n" +
			"responses are slow, and, with the --admin of `uwgate serve`, while visitors wait for a worker.\n\n" +
			"Exit status: 0 all pages were served, 1 one was not (a status of 500 and more, 429, or no\n" +
			"whole response), a sitemap could not be read, or Ctrl-C ended it.",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return warmPages(c, set) },
	}
}

func warmPages(c *cli.Context, set *settings.Set) error {
	s, err := set.Read()
	if err != nil {
		return err
	}
	j := &warming{s: s, stdin: c.App.Reader, args: c.Args().Slice()}
	if err := j.prepare(); err != nil {
		return fmt.Errorf("warm: %w", err)
	}
	defer j.nginx.Close()
	if s.Command.Warm.DryRun {
		return j.list(c.Context, c.App.Writer)
	}
	show := newWarmShow(c.App.Writer, c.App.ErrWriter, s.Command)
	w := &warm.Warmer{From: j.from, Concurrency: s.Command.Warm.Concurrency, Rate: s.Command.Warm.Rate, Each: show.each, Known: show.known}
	if !s.Control.Admin.IsZero() {
		w.Waiting = func(ctx context.Context) (int, error) {
			n, err := j.waiting(ctx)
			if err != nil && ctx.Err() == nil {
				show.warnOnce(fmt.Sprintf("warm: whether visitors wait is not known: %v", err))
			}
			return n, err
		}
	}
	summary := w.Run(c.Context, j.sieve.Sift(j.source(c.Context)))
	left := j.sieve.Left()
	summary.Left = &left
	if err := show.end(summary); err != nil {
		return err
	}
	if err := summary.Err(); err != nil {
		return fmt.Errorf("warm: %w", err)
	}
	return nil
}

// list prints the pages.
func (j *warming) list(ctx context.Context, w io.Writer) error {
	var errs []error
	for page, err := range j.sieve.Sift(j.source(ctx)) {
		if err == nil {
			_, err = fmt.Fprintln(w, page)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("warm: %w", err))
		}
		if ctx.Err() != nil || len(errs) > maxListErrors {
			break
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// maxListErrors is how many errors a list of pages may have.
const maxListErrors = 20

// A warming is what one run of the command uses.
type warming struct {
	s     *settings.Settings
	stdin io.Reader
	args  []string

	nginx *warm.HTTP
	from  warm.Fetcher
	hosts *warm.Hosts // of sitemaps and their pages
	sieve *warm.Sieve
}

func (j *warming) prepare() error {
	cmd := j.s.Command
	if len(cmd.Warm.Sitemaps)+len(cmd.Warm.URLs)+len(j.args)+cmd.Warm.Hottest == 0 {
		return errors.New("name the pages: URLs, --sitemap, --urls or --hottest; `uwgate warm --help` has examples")
	}
	if i := slices.IndexFunc(j.args, func(arg string) bool { return strings.HasPrefix(arg, "-") }); i >= 0 {
		return fmt.Errorf("%s stands behind a URL: write the flags first", j.args[i])
	}
	header, err := warmHeader(cmd.Headers)
	if err != nil {
		return err
	}
	j.nginx = &warm.HTTP{
		Network: cmd.Warm.Connect.Network, Addr: cmd.Warm.Connect.Addr, Insecure: cmd.Insecure,
		Agent: "uwgate-warm/" + buildVersion(), Header: header, Timeout: cmd.Warm.Timeout, Connections: cmd.Warm.Concurrency,
	}
	j.nginx.Open()
	j.from = j.nginx
	if cmd.Warm.Through == "gateway" {
		if j.from, err = j.gateway(); err != nil {
			return err
		}
	}
	j.sieve = &warm.Sieve{Site: cmd.Warm.Site, Limit: cmd.Warm.Limit}
	j.hosts = &warm.Hosts{Globs: j.ownHosts()}
	if len(cmd.Warm.Sitemaps) > 0 {
		j.sieve.Hosts = j.hosts
	}
	return nil
}

// ownHosts are those of --host, of --site and of the sitemaps that are named by URL. None
// means that the first page of a file decides.
func (j *warming) ownHosts() []string {
	cmd := j.s.Command.Warm
	hosts := append([]string{}, cmd.Hosts...)
	if cmd.Site != "" {
		hosts = append(hosts, warm.HostOf(cmd.Site))
	}
	for _, location := range cmd.Sitemaps {
		if warm.IsURL(location) {
			hosts = append(hosts, warm.HostOf(location))
		}
	}
	return hosts
}

// source lists what the flags name, one after the other.
func (j *warming) source(ctx context.Context) iter.Seq2[string, error] {
	cmd := j.s.Command.Warm
	maps := &warm.Sitemaps{Hosts: j.hosts, Open: func(ctx context.Context, location string) (io.ReadCloser, error) {
		return j.nginx.OpenSitemap(ctx, location, j.hosts)
	}}
	return func(yield func(string, error) bool) {
		for _, arg := range j.args {
			if !yield(arg, nil) {
				return
			}
		}
		for _, name := range cmd.URLs {
			for line, err := range j.lines(name) {
				if !yield(line, err) {
					return
				}
			}
		}
		for page, err := range maps.Pages(ctx, cmd.Sitemaps...) {
			if !yield(page, err) {
				return
			}
		}
		j.hottest(ctx, yield)
	}
}

// hottest lists the hottest stored pages.
func (j *warming) hottest(ctx context.Context, yield func(string, error) bool) {
	n := j.s.Command.Warm.Hottest
	if n == 0 {
		return
	}
	pages, _, err := j.storedPages(ctx, n)
	if err != nil {
		yield("", fmt.Errorf("--hottest: %w", err))
	}
	for _, p := range pages {
		if !yield(p.url, nil) {
			return
		}
	}
}

func (j *warming) storedPages(ctx context.Context, n int) ([]storedPage, int, error) {
	headers, err := parseHeaders(j.s.Command.Headers)
	if err != nil {
		return nil, 0, err
	}
	store, err := newStoreReader(ctx, j.s, browserHeaders(headers, j.nginx.Agent))
	if err != nil {
		return nil, 0, err
	}
	defer store.close()
	return store.hottest(ctx, n, j.s.Command.Warm.Hosts)
}

// lines are those of a file or of standard input.
func (j *warming) lines(name string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		in := j.stdin
		if name != "-" {
			f, err := os.Open(name)
			if err != nil {
				yield("", fmt.Errorf("--urls: %w", err))
				return
			}
			defer f.Close()
			in = f
		}
		warm.Lines(in)(yield)
	}
}

// waiting asks the gateway how many requests wait for a worker.
func (j *warming) waiting(ctx context.Context) (n int, err error) {
	var status admin.Status
	if err := (adminAPI{Control: j.s.Control, timeout: statusTimeout}).ask(ctx, "/api/v1/status", nil, &status); err != nil {
		return 0, err
	}
	for _, pool := range status.Pools {
		n += pool.Waiting
	}
	return n, nil
}

// gateway returns what requests pages from the gateway at --listen.
func (j *warming) gateway() (*warm.UWSGI, error) {
	headers, err := parseHeaders(j.s.Command.Headers)
	if err != nil {
		return nil, err
	}
	headers = browserHeaders(headers, j.nginx.Agent)
	for _, addr := range j.s.Listen.Addresses {
		if !addr.Secure {
			return &warm.UWSGI{Network: addr.Network, Addr: addr.Addr, Timeout: j.s.Command.Warm.Timeout, Vars: func(page string) (uwsgi.Vars, error) {
				return j.vars(page, headers)
			}}, nil
		}
	}
	return nil, errors.New("--through gateway needs a --listen without TLS; request the pages through nginx")
}

// anonymousAddr is an address for documentation (RFC 5737). Applications trust 127.0.0.1:
// Django's debug pages may be seen from there.
const anonymousAddr = "192.0.2.1"

// vars are what nginx sends for a page that it does not find.
func (j *warming) vars(page string, headers uwsgi.Vars) (uwsgi.Vars, error) {
	v, err := requestVars(http.MethodGet, page, headers)
	if err != nil {
		return nil, err
	}
	q, err := afterMiss(question{vars: v.Set(uwsgi.Var{Name: "REMOTE_ADDR", Value: anonymousAddr}), s: j.s})
	return q.vars, err
}

// warmHeader reads the header lines of the flags.
func warmHeader(lines []string) (http.Header, error) {
	header := http.Header{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !settings.IsHeaderName(name) || strings.ContainsAny(value, "\r\n\x00") {
			return nil, fmt.Errorf("--header %q: write 'Name: value'", line)
		}
		switch name = http.CanonicalHeaderKey(name); name {
		case "Host":
			return nil, fmt.Errorf("--header %q: the host is that of the URL; name nginx's address with --connect", line)
		case "Connection", "Content-Length", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range", "Te", "Transfer-Encoding", "Upgrade":
			return nil, fmt.Errorf("--header %q: a page that is requested so is not stored; leave it out", line)
		}
		header[name] = append(header[name], value)
	}
	return header, nil
}
