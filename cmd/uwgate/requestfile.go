package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"uwgate/cmd/uwgate/settings"
	"uwgate/uwsgi"
)

// A savedRequest is the content of a request file: the vars that nginx sent, or a request
// that a browser or curl sent to nginx.
type savedRequest struct {
	vars uwsgi.Vars // nil: the file has a request, which follows

	method  string
	url     string     // from the request line; it may have no scheme and host
	headers uwsgi.Vars // HTTP_*, in order

	body bool // there is a body after the head
}

// A lineError is an error on a line of a file. Lines count from 1.
type lineError struct {
	line int
	what string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.what) }

// parseRequest reads a request file: a uwsgi packet, JSON as explain prints and the admin
// API reads it, lines NAME=value, or an HTTP request, with the marks of `curl -v` or without.
// It recognizes each by its content. Errors in text are *lineErrors.
func parseRequest(data []byte) (*savedRequest, error) {
	text := strings.TrimSpace(string(data))
	switch {
	case bytes.IndexByte(data, 0) >= 0: // the second modifier of a packet, and of no text
		return parsePacket(data)
	case text == "":
		return nil, errors.New("is empty; see `uwgate explain --help` for what may be in it")
	case text[0] == '[' || text[0] == '{':
		return parseJSON(data)
	}
	return parseLines(string(data))
}

func parsePacket(data []byte) (*savedRequest, error) {
	r := bufio.NewReader(bytes.NewReader(data))
	req, err := uwsgi.Limits{Modifiers: uwsgi.PageModifiers()}.ReadRequest(r)
	if err != nil {
		return nil, fmt.Errorf("has a zero byte, so it should be a uwsgi packet, but: %w", err)
	}
	if req.IsPing() {
		return nil, errors.New("is a uwsgi ping, which asks for no page")
	}
	_, err = r.Peek(1)
	return &savedRequest{vars: nonNil(req.Vars), body: err == nil}, nil
}

// nonNil returns vars that are not nil: nil means that the file has an HTTP request.
func nonNil(v uwsgi.Vars) uwsgi.Vars {
	if v == nil {
		return uwsgi.Vars{}
	}
	return v
}

func parseJSON(data []byte) (*savedRequest, error) {
	var pairs [][]string
	err := json.Unmarshal(data, &pairs)
	if err != nil {
		var object struct{ Vars *[][]string }
		if json.Unmarshal(data, &object) == nil && object.Vars != nil {
			pairs, err = *object.Vars, nil
		}
	}
	if err != nil {
		return nil, jsonError(data, err)
	}
	v := uwsgi.Vars{}
	for i, pair := range pairs {
		if len(pair) != 2 || pair[0] == "" {
			return nil, fmt.Errorf("var %d of the list is not of the form [\"NAME\", \"value\"]", i+1)
		}
		v = append(v, uwsgi.Var{Name: pair[0], Value: pair[1]})
	}
	return &savedRequest{vars: v}, nil
}

func jsonError(data []byte, err error) error {
	what := `write [["NAME", "value"], …]`
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return &lineError{1, "this JSON is no list of vars; " + what}
	}
	end := min(int(syntax.Offset), len(data))
	return &lineError{1 + bytes.Count(data[:end], []byte("\n")), fmt.Sprintf("%v; %s", syntax, what)}
}

// parseLines reads lines NAME=value or an HTTP request.
func parseLines(text string) (*savedRequest, error) {
	lines := numbered(text)
	if strings.HasPrefix(lines[0].text, "* ") || strings.HasPrefix(lines[0].text, "> ") {
		if lines = sentByCurl(lines); len(lines) == 0 {
			return nil, &lineError{1, "no line begins with `> `, which is how `curl -v` marks what it sends"}
		}
	}
	if name, _, ok := strings.Cut(lines[0].text, "="); ok && settings.IsVarName(name) {
		return parseVarLines(lines)
	}
	return parseHTTP(lines)
}

// A line is a line of a text without its end. Lines count from 1.
type line struct {
	text   string
	number int
}

// numbered returns the lines without the blank ones at the beginning. The text has one that
// is not blank.
func numbered(text string) []line {
	var lines []line
	for i, s := range strings.Split(text, "\n") {
		s = strings.TrimSuffix(s, "\r")
		if len(lines) > 0 || strings.TrimSpace(s) != "" {
			lines = append(lines, line{s, i + 1})
		}
	}
	return lines
}

func sentByCurl(lines []line) []line {
	var sent []line
	for _, l := range lines {
		if rest, ok := strings.CutPrefix(l.text, ">"); ok {
			sent = append(sent, line{strings.TrimPrefix(rest, " "), l.number})
		}
	}
	return sent
}

func parseVarLines(lines []line) (*savedRequest, error) {
	v := uwsgi.Vars{}
	for _, l := range lines {
		name, value, ok := strings.Cut(l.text, "=")
		switch {
		case strings.TrimSpace(l.text) == "":
		case !ok || !settings.IsVarName(name):
			return nil, &lineError{l.number, fmt.Sprintf("%.40q is not of the form NAME=value, as the lines above", l.text)}
		default:
			v = append(v, uwsgi.Var{Name: name, Value: value})
		}
	}
	return &savedRequest{vars: v}, nil
}

// parseHTTP reads a request line and header lines up to a blank line.
func parseHTTP(lines []line) (*savedRequest, error) {
	first := lines[0]
	words := strings.Split(first.text, " ")
	if len(words) != 3 || words[0] == "" || !strings.HasPrefix(words[2], "HTTP/") {
		return nil, &lineError{first.number, fmt.Sprintf("%.40q is neither a request line, as `GET /page HTTP/1.1`, nor NAME=value; see `uwgate explain --help`", first.text)}
	}
	r := &savedRequest{method: words[0], url: words[1]}
	for i, l := range lines[1:] {
		if l.text == "" {
			rest := lines[i+2:]
			r.body = len(rest) > 1 || len(rest) == 1 && rest[0].text != ""
			break
		}
		h, ok := headerVar(l.text)
		if !ok || l.text[0] == ' ' || l.text[0] == '\t' { // a folded line, which nginx refuses
			return nil, &lineError{l.number, fmt.Sprintf("%.40q is not of the form Name: value", l.text)}
		}
		r.headers = append(r.headers, h)
	}
	return r.absolute(), nil
}

// absolute removes the Host header of a request with an absolute target: the target's host
// counts (RFC 9112 §3.2.2), and `uwsgi_param HTTP_HOST $host` has that one.
func (r *savedRequest) absolute() *savedRequest {
	if strings.HasPrefix(r.url, "/") {
		return r
	}
	var kept uwsgi.Vars
	for _, h := range r.headers {
		if h.Name != "HTTP_HOST" {
			kept = append(kept, h)
		}
	}
	r.headers = kept
	return r
}
