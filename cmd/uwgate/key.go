package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/urfave/cli/v2"

	"uwgate/cachewriter"
	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

func keyCommand() *cli.Command {
	set := settings.ForKey()
	return &cli.Command{
		Name:  "key",
		Usage: "show under which key, and on which memcached server, nginx looks for a page",
		UsageText: "uwgate key --key ':1:CUSTOMKEY:$request_uri' --memcached 127.0.0.1:11211 https://example.com/a%20b?x=1\n" +
			"uwgate key --raw --hash consistent --memcached a:11211 --memcached b:11211 ':1:CUSTOMKEY:/'",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return showKeys(c, set) },
	}
}

// A keyReport is what `key` prints about one argument. Its JSON form is read by
// scripts: names stay.
type keyReport struct {
	Raw      string   `json:"raw"`  // as nginx evaluates it
	Wire     string   `json:"wire"` // as nginx sends it in a get
	WireHex  string   `json:"wire_hex"`
	Servers  []string `json:"servers"` // the addresses where nginx looks
	Storable bool     `json:"storable"`
	Reason   string   `json:"reason"` // why not; empty if storable
}

// A keyReporter reports keys by one set of settings.
type keyReporter struct {
	template *policy.Template
	headers  uwsgi.Vars
	ring     *cachewriter.Ring // nil: no servers given
	raw      bool
}

func showKeys(c *cli.Context, set *settings.Set) error {
	s, err := set.Read()
	if err != nil {
		return err
	}
	k, err := newKeyReporter(c.Context, s)
	if err != nil {
		return err
	}
	show := showText
	if s.Command.JSON {
		show = showJSON
	}
	return eachArgument(c, s.Command.Stdin, func(arg string) error {
		report, err := k.report(arg)
		if err != nil {
			return err
		}
		return show(c.App.Writer, report)
	})
}

func newKeyReporter(ctx context.Context, s *settings.Settings) (*keyReporter, error) {
	k := &keyReporter{raw: s.Command.Raw}
	if s.Template() == "" && s.Nginx != nil && !k.raw {
		return nil, s.Refuse("nginx", s.Nginx.KeyErr)
	}
	var err error
	if k.template, err = s.ParseTemplate(s.StandInKey()); err != nil {
		return nil, err
	}
	if k.headers, err = parseHeaders(s.Command.Headers); err != nil {
		return nil, err
	}
	if len(s.Store.Servers) > 0 {
		if k.ring, err = s.Ring(ctx); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// eachArgument calls f with the arguments, or the lines of standard input.
func eachArgument(c *cli.Context, stdin bool, f func(string) error) error {
	if !stdin {
		if !c.Args().Present() {
			return errors.New("key: give at least one URL (or --raw and a key, or --stdin); `uwgate key --help` has examples")
		}
		for _, arg := range c.Args().Slice() {
			if err := f(arg); err != nil {
				return err
			}
		}
		return nil
	}
	if c.Args().Present() {
		return fmt.Errorf("key: with --stdin there are no arguments, but here is %q", c.Args().First())
	}
	lines := bufio.NewScanner(c.App.Reader)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := f(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (k *keyReporter) report(arg string) (keyReport, error) {
	raw := arg
	if !k.raw {
		vars, err := requestVars("GET", arg, k.headers)
		if err != nil {
			return keyReport{}, err
		}
		if raw, err = k.template.Expand(vars); err != nil {
			return keyReport{}, fmt.Errorf("key %q: %w", arg, err)
		}
	}
	wire := cachewriter.Escape(raw)
	r := keyReport{Raw: raw, Wire: wire, WireHex: hex.EncodeToString([]byte(wire)), Servers: []string{}}
	if k.ring != nil {
		r.Servers = k.ring.Pick(raw)
	}
	switch err := cachewriter.CheckKey(wire); {
	case errors.Is(err, cachewriter.ErrKeyTooLong):
		r.Reason = string(policy.KeyTooLong)
	case err != nil:
		r.Reason = string(policy.NoKey)
	}
	r.Storable = r.Reason == ""
	return r, nil
}

func showJSON(w io.Writer, r keyReport) error { return writeJSON(w, r) }

func showText(w io.Writer, r keyReport) error {
	var b strings.Builder
	fmt.Fprintf(&b, "raw     %s\nwire    %s\n", printable(r.Raw), printable(r.Wire))
	for _, s := range r.Servers {
		fmt.Fprintf(&b, "server  %s\n", s)
	}
	if !r.Storable {
		fmt.Fprintf(&b, "never stored: %s\n", r.Reason)
	}
	_, err := io.WriteString(w, b.String()+"\n")
	return err
}

// printable quotes a text that has control bytes, which a terminal would obey.
func printable(s string) string {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return fmt.Sprintf("%q", s)
		}
	}
	return s
}

// parseHeaders reads lines "Name: value" into the vars that nginx makes of headers.
func parseHeaders(lines []string) (uwsgi.Vars, error) {
	var v uwsgi.Vars
	for _, line := range lines {
		h, ok := headerVar(line)
		if !ok {
			return nil, fmt.Errorf("-H %q: write 'Name: value'", line)
		}
		v = append(v, h)
	}
	return v, nil
}

// headerVar returns the var that nginx makes of a header line.
func headerVar(line string) (h uwsgi.Var, ok bool) {
	name, value, ok := strings.Cut(line, ":")
	name = strings.TrimSpace(name)
	if !ok || name == "" || strings.ContainsAny(name, " \t=") {
		return uwsgi.Var{}, false
	}
	name = "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	return uwsgi.Var{Name: name, Value: strings.TrimSpace(value)}, true
}

// requestVars returns the vars that nginx with its stock uwsgi_params sends for a request
// of the URL.
func requestVars(method, rawURL string, headers uwsgi.Vars) (uwsgi.Vars, error) {
	scheme, host, target, err := splitURL(rawURL)
	if err != nil {
		return nil, err
	}
	path, args, _ := strings.Cut(target, "?")
	path, _, _ = strings.Cut(path, "#")
	args, _, _ = strings.Cut(args, "#")
	uri, err := normalizePath(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rawURL, err)
	}
	if given, ok := headers.Lookup("HTTP_HOST"); ok {
		host = given
	} else {
		headers = append(uwsgi.Vars{{Name: "HTTP_HOST", Value: host}}, headers...)
	}
	v := uwsgi.Vars{
		{Name: "QUERY_STRING", Value: args},
		{Name: "REQUEST_METHOD", Value: method},
		{Name: "CONTENT_TYPE", Value: headers.Get("HTTP_CONTENT_TYPE")},
		{Name: "CONTENT_LENGTH", Value: headers.Get("HTTP_CONTENT_LENGTH")},
		{Name: "REQUEST_URI", Value: target},
		{Name: "PATH_INFO", Value: uri},
		{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"},
		{Name: "REQUEST_SCHEME", Value: scheme},
		{Name: "REMOTE_ADDR", Value: "127.0.0.1"},
	}
	name, port := host, "80"
	if u := (&url.URL{Host: host}); u.Hostname() != "" {
		name = u.Hostname()
		if u.Port() != "" {
			port = u.Port()
		}
	}
	if scheme == "https" {
		v = append(v, uwsgi.Var{Name: "HTTPS", Value: "on"})
		if port == "80" {
			port = "443"
		}
	}
	v = append(v, uwsgi.Var{Name: "SERVER_PORT", Value: port}, uwsgi.Var{Name: "SERVER_NAME", Value: name})
	return append(v, headers...), nil
}

// splitURL splits a URL and leaves the target as it is: nginx's key consists of the bytes of
// the request line.
func splitURL(s string) (scheme, host, target string, err error) {
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] == 0x7f {
			return "", "", "", fmt.Errorf("%q: a browser escapes the byte at %d; write %%%02X", s, i, s[i])
		}
	}
	if strings.HasPrefix(s, "/") {
		return "http", "localhost", s, nil
	}
	scheme, rest, ok := strings.Cut(s, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "http" && scheme != "https" {
		return "", "", "", fmt.Errorf("%q: write a URL, as in https://example.com/page, or a path, as in /page", s)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, target = rest[:end], rest[end:]
	if host == "" {
		return "", "", "", fmt.Errorf("%q: the URL has no host", s)
	}
	if strings.Contains(host, "@") {
		return "", "", "", errors.New("the URL has a user before its host; a client sends that as a header, so write -H 'Authorization: …'")
	}
	// A client never sends the fragment, and a slash where there is no path.
	target, _, _ = strings.Cut(target, "#")
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return scheme, host, target, nil
}

// normalizePath decodes a path once, resolves dot segments and merges slashes, as
// ngx_http_parse_complex_uri does.
func normalizePath(path string) (string, error) {
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return "", fmt.Errorf("%w: nginx answers 400", err)
	}
	if strings.IndexByte(decoded, 0) >= 0 {
		return "", errors.New("a zero byte in the path: nginx answers 400")
	}
	var kept []string
	parts := strings.Split(decoded, "/")
	for i, part := range parts[1:] {
		last := i == len(parts)-2
		switch part {
		case "", ".":
			if last {
				kept = append(kept, "")
			}
		case "..":
			if len(kept) == 0 {
				return "", errors.New("the path climbs above the root: nginx answers 400")
			}
			kept = kept[:len(kept)-1]
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, part)
		}
	}
	return "/" + strings.Join(kept, "/"), nil
}
