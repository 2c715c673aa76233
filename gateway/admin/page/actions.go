package page

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"uwgate/gateway/admin"
	"uwgate/gateway/purge"
)

// A form is the one for a URL.
type form struct {
	Token      string
	URL        string
	CanExplain bool
	Scopes     []scope
}

// A scope is how much is purged around a URL.
type scope struct{ Value, Label string }

var scopes = []scope{
	{"page", "this page"},
	{"path", "this page with any query"},
	{"prefix", "all pages that begin so"},
	{"site", "the whole site"},
}

const (
	maxURL  = 8 << 10
	maxForm = 32 << 10 // bytes
)

// form calls next for forms that this process has made.
func (p *Page) form(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		switch err := r.ParseForm(); {
		case err != nil:
			p.problem(w, http.StatusBadRequest, "The form could not be read: "+err.Error())
		case !admin.IsToken(r.PostForm.Get("token"), p.formToken()):
			p.problem(w, http.StatusForbidden, "This form is from before the gateway's last start. Nothing was done: open the page again.")
		default:
			next(w, r)
		}
	}
}

func (p *Page) problem(w http.ResponseWriter, status int, text string) {
	v := p.view("Not done")
	v.Problem = text
	p.write(w, status, v)
}

// An explanation is what `uwgate explain` prints, in its sections.
type explanation struct {
	URL      string
	Verdict  string
	Stored   bool
	Sections []section
}

type section struct{ Title, Text string }

// explain serves POST /explain.
func (p *Page) explain(w http.ResponseWriter, r *http.Request) {
	raw := strings.TrimSpace(r.PostForm.Get("url"))
	if p.Explain == nil || raw == "" || len(raw) > maxURL {
		p.problem(w, http.StatusBadRequest, "Write the URL of a page, as in https://www.example.com/news/.")
		return
	}
	text, stored, err := p.Explain(r.Context(), raw)
	if err != nil {
		p.problem(w, http.StatusBadRequest, err.Error())
		return
	}
	v := p.view("Explain")
	v.Form.URL = raw
	v.Explanation = explanationOf(text)
	v.Explanation.URL, v.Explanation.Stored = raw, stored
	p.write(w, http.StatusOK, v)
}

// explanationOf splits what explain prints: titles are not indented, and the last line is the
// verdict.
func explanationOf(text string) *explanation {
	e := &explanation{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "":
		case !strings.HasPrefix(line, "  "):
			e.Sections = append(e.Sections, section{Title: line})
		case len(e.Sections) > 0:
			e.Sections[len(e.Sections)-1].Text += strings.TrimPrefix(line, "  ") + "\n"
		}
	}
	if n := len(e.Sections); n > 0 {
		e.Verdict, e.Sections = e.Sections[n-1].Title, e.Sections[:n-1]
	}
	return e
}

// A confirmation asks before a purge.
type confirmation struct {
	What        string
	URL         string
	Scope, Mode string
	Soft        bool
	Wide        bool // more than one page
	Token       string
}

// purged is what has become of a purge.
type purged struct {
	What   string
	Result *purge.Result
	Took   string
}

// purge serves POST /purge.
func (p *Page) purge(w http.ResponseWriter, r *http.Request) {
	c := confirmation{URL: strings.TrimSpace(r.PostForm.Get("url")), Scope: r.PostForm.Get("scope"), Mode: r.PostForm.Get("mode"), Token: p.formToken()}
	order, err := c.order()
	if err == nil {
		err = order.Check()
	}
	if err != nil {
		p.problem(w, http.StatusBadRequest, "Nothing was purged: "+err.Error())
		return
	}
	if r.PostForm.Get("confirm") != "yes" {
		v := p.view("Purge?")
		v.Confirm = &c
		p.write(w, http.StatusOK, v)
		return
	}
	result, err := p.Admin.Gateway.Purge(r.Context(), order, callerOf(r))
	if limit := (*purge.RateError)(nil); errors.As(err, &limit) {
		p.problem(w, http.StatusTooManyRequests, "Nothing was purged: "+err.Error())
		return
	} else if err != nil {
		p.problem(w, http.StatusBadRequest, "Nothing was purged: "+err.Error())
		return
	}
	v := p.view("Purged")
	v.Form.URL = c.URL
	v.Purged = &purged{What: c.What, Result: result, Took: seconds(result.Took)}
	p.write(w, http.StatusOK, v)
}

// order is what is to be purged, and completes c.
func (c *confirmation) order() (*purge.Request, error) {
	if len(c.URL) > maxURL {
		return nil, fmt.Errorf("the URL is longer than %d bytes", maxURL)
	}
	u, err := purge.ParseURL(c.URL)
	if err != nil {
		return nil, err
	}
	bare, _, _ := strings.Cut(c.URL, "?")
	r := &purge.Request{Soft: c.Mode == "soft"}
	c.Soft, c.Wide = r.Soft, true
	switch c.Scope {
	case "page", "":
		r.URLs, c.What, c.Wide = []string{c.URL}, "the page "+c.URL, false
	case "path":
		r.Paths, c.What = []string{bare}, "the page "+bare+" with any query"
	case "prefix":
		r.Prefixes, c.What = []string{c.URL}, "all pages that begin with "+c.URL
	case "site":
		r.Sites, c.What = []string{u.Host}, "all pages of "+u.Host
	default:
		return nil, fmt.Errorf("%q is none of the things that can be purged", clip(c.Scope, 40))
	}
	if c.Mode != "soft" && c.Mode != "hard" && c.Mode != "" {
		return nil, fmt.Errorf("%q is not a way to purge: it is hard or soft", clip(c.Mode, 40))
	}
	return r, nil
}

// callerOf is the address of the browser, for the log; "" over a UNIX socket.
func callerOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
