package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway"
	"uwgate/uwsgi"
)

func explainCommand() *cli.Command {
	set := settings.ForExplain()
	return &cli.Command{
		Name:  "explain",
		Usage: "show, step by step, why a page is stored or why not",
		UsageText: "uwgate explain --admin unix:/run/uwgate/admin.sock https://example.com/page\n" +
			"uwgate explain --config /etc/uwgate/uwgate.yaml -H 'Cookie: lang=de' https://example.com/page\n" +
			"uwgate explain --backend unix:/run/app.sock --memcached 127.0.0.1:11211 --request-file saved.bin",
		Description: "With --admin, the running gateway explains. With --backend and no --admin, this process\n" +
			"sends the request to the worker, and decides by the flags of `uwgate serve`. Either way\n" +
			"the worker makes the page, and nothing is written to memcached.\n\n" +
			"A request file holds a uwsgi packet as nginx sends it; or lines NAME=value; or JSON,\n" +
			"[[\"NAME\", \"value\"], …]; or an HTTP request as a browser or `curl -v` sends it.\n\n" +
			"Exit status: 0 the page would be stored, 3 it would not be, 1 there was an error.",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return explain(c, set) },
	}
}

// errNotStored ends a run of explain that has printed why.
var errNotStored = errors.New("the page would not be stored")

func explain(c *cli.Context, set *settings.Set) error {
	s, err := set.Read()
	if err != nil {
		return err
	}
	q, err := newQuestion(c, s)
	if err != nil {
		return err
	}
	var e *gateway.Explanation
	switch {
	case !s.Control.Admin.IsZero() && !s.PrefersWorker():
		e, err = askAdmin(c.Context, s.Control, q.vars)
	case len(s.Backends.Servers) > 0:
		e, err = askWorker(c.Context, s, q.vars)
	default:
		err = errors.New("no gateway to ask: name it with --admin, as in the settings of `uwgate serve`, or a worker with --backend")
	}
	if err != nil {
		return err
	}
	if s.Command.JSON {
		err = writeJSON(c.App.Writer, e)
	} else {
		err = writeExplanation(c.App.Writer, q, e)
	}
	if err == nil && !e.Policy.Verdict.Store {
		return errNotStored
	}
	return err
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// A question is the request to explain.
type question struct {
	vars    uwsgi.Vars
	assumed []string // what explain assumes, in sentences
	s       *settings.Settings
}

// newQuestion makes the request from the URL or the file.
func newQuestion(c *cli.Context, s *settings.Settings) (question, error) {
	path := s.Command.RequestFile
	switch {
	case flagBehind(c) != "":
		return question{}, fmt.Errorf("explain: %s stands behind the URL: write flags before it", flagBehind(c))
	case path != "" && c.Args().Present():
		return question{}, fmt.Errorf("explain: give a URL or --request-file, not both: %q", c.Args().First())
	case path != "" && (len(s.Command.Headers) > 0 || s.Command.Method != ""):
		return question{}, errors.New("explain: -H and -X go with a URL; with --request-file, write headers and method into the file")
	case path != "":
		return questionOfFile(c.App.Reader, s, path)
	case c.Args().Len() != 1:
		return question{}, errors.New("explain: give one URL, or --request-file; `uwgate explain --help` has examples")
	}
	headers, err := parseHeaders(s.Command.Headers)
	if err != nil {
		return question{}, err
	}
	return questionOf(s, cmp.Or(s.Command.Method, "GET"), c.Args().First(), headers)
}

// questionOf makes the request for a URL or a path.
func questionOf(s *settings.Settings, method, target string, headers uwsgi.Vars) (question, error) {
	vars, err := requestVars(method, target, headers)
	if err != nil {
		return question{}, err
	}
	return afterMiss(question{vars, assumedOrigin(target, headers), s})
}

// flagBehind returns a flag after the first argument, where package cli reads none; "" if
// there is no flag.
func flagBehind(c *cli.Context) string {
	for _, arg := range c.Args().Slice() {
		if strings.HasPrefix(arg, "-") {
			return arg
		}
	}
	return ""
}

// assumedOrigin returns what requestVars assumes for a path.
func assumedOrigin(target string, headers uwsgi.Vars) []string {
	switch _, hasHost := headers.Lookup("HTTP_HOST"); {
	case !strings.HasPrefix(target, "/"):
		return nil
	case hasHost:
		return []string{"The scheme is http; for https write the whole URL."}
	}
	return []string{"The scheme is http and the host localhost; for others write the whole URL."}
}

func questionOfFile(stdin io.Reader, s *settings.Settings, path string) (question, error) {
	data, err := readAll(stdin, path)
	if err != nil {
		return question{}, fmt.Errorf("--request-file: %w", err)
	}
	saved, err := parseRequest(data)
	if err != nil {
		return question{}, inFile(path, err)
	}
	q := question{s: s}
	if saved.body {
		q.assumed = append(q.assumed, "What follows the head in the file is left out: explain sends no body.")
	}
	if saved.vars != nil {
		q.vars = saved.vars
		return q, nil
	}
	q.assumed = append(q.assumed, assumedOrigin(saved.url, saved.headers)...)
	if q.vars, err = requestVars(saved.method, saved.url, saved.headers); err != nil {
		return question{}, inFile(path, err)
	}
	return afterMiss(q)
}

// readAll reads a file, or standard input for "-".
func readAll(stdin io.Reader, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(path)
}

// inFile adds the file, and the line if it is known.
func inFile(path string, err error) error {
	var at *lineError
	if errors.As(err, &at) {
		return fmt.Errorf("%s:%d: %s", path, at.line, at.what)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// afterMiss adds what nginx hands over after a lookup that missed, unless the key is
// derived.
func afterMiss(q question) (question, error) {
	method := q.vars.Get("REQUEST_METHOD")
	asks := method == "GET" || method == "HEAD"
	if q.s.DerivedKey() != "" {
		q.assumed = append(q.assumed, "nginx hands no key over: it is derived by --key"+yesNo(q.s.Key.Template == "", ", as --nginx has it.", "."))
		return q, nil
	}
	expression := cmp.Or(q.s.Template(), q.s.StandInKey())
	template, err := q.s.ParseTemplate(expression)
	if err != nil {
		return q, err
	}
	key, err := template.Expand(q.vars)
	if err != nil {
		return q, fmt.Errorf("explain: the key %s: %w", expression, err)
	}
	q.vars = append(q.vars, uwsgi.Var{Name: "CACHE_KEY", Value: key})
	said := "nginx hands CACHE_KEY over, made as " + expression
	if asks {
		q.vars = append(q.vars, uwsgi.Var{Name: "CACHE_STATUS", Value: "404"})
		said += ", and CACHE_STATUS 404, for it has looked the page up and missed. For another key give --key, or the vars in --request-file."
	} else {
		said += ", and no CACHE_STATUS, for it looks nothing up for " + method + "."
	}
	q.assumed = append(q.assumed, said)
	return q, nil
}

// askWorker sends the request to a worker, and decides in this process.
func askWorker(ctx context.Context, s *settings.Settings, vars uwsgi.Vars) (*gateway.Explanation, error) {
	parts, err := s.Parts(ctx)
	if err != nil {
		return nil, err
	}
	g := assemble(parts, &logbook{log: zap.NewNop(), access: zap.NewNop()})
	defer g.Backends.Close()
	e := g.Explain(ctx, vars)
	return e, g.Store.Close(ctx)
}

// explainTimeout bounds the wait for a gateway, whose own timeouts for the
// worker may be long.
const explainTimeout = 5 * time.Minute

func askAdmin(ctx context.Context, control settings.Control, vars uwsgi.Vars) (*gateway.Explanation, error) {
	body, err := adminRequest(vars)
	if err != nil {
		return nil, err
	}
	e := &gateway.Explanation{}
	if err := (adminAPI{control, explainTimeout, ", or give --backend in place of --admin"}).ask(ctx, "/api/v1/explain", body, e); err != nil {
		return nil, err
	}
	return e, nil
}

// adminRequest returns the request for the API. JSON is UTF-8; vars need not be.
func adminRequest(vars uwsgi.Vars) ([]byte, error) {
	pairs := make([][2]string, len(vars))
	for i, v := range vars {
		if !utf8.ValidString(v.Name) || !utf8.ValidString(v.Value) {
			return nil, fmt.Errorf("%q holds bytes that are not UTF-8, which the admin API cannot take; ask the worker with --backend", v.Name)
		}
		pairs[i] = [2]string{v.Name, v.Value}
	}
	return json.Marshal(map[string]any{"vars": pairs})
}

func firstLine(b []byte) string {
	s, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return s
}
