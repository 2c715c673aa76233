package page

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"uwgate/gateway/admin"
)

// A Page serves the status page beside what an Admin serves. Its fields are set before its
// first use and not changed afterwards.
type Page struct {
	// Admin is what the page is made from. It must be set.
	Admin *admin.Admin

	// Explain returns what `uwgate explain` prints for a URL, and whether the page would be
	// stored. Its error is about the URL, for who has typed it. Nil: the form does not offer it.
	Explain func(ctx context.Context, url string) (text string, stored bool, err error)

	// Log gets what an operator should know. Nil is silent.
	Log *zap.Logger

	once   sync.Once
	token  string     // of the forms
	making sync.Mutex // one page is made at a time
}

//go:embed page.html
var source string

//go:embed style.css
var style string

//go:embed live.js
var script string

var document = template.Must(template.New("page").Parse(source))

// contentPolicy is the Content-Security-Policy: nothing but this very style and script.
var contentPolicy = "default-src 'none'; style-src '" + hashOf(style) + "'; script-src '" + hashOf(script) +
	"'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Handler serves the page, and all other paths as the Admin does.
func (p *Page) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", p.Admin.Handler())
	mux.HandleFunc("GET /{$}", p.guarded(p.overview))
	mux.HandleFunc("POST /explain", p.guarded(p.form(p.explain)))
	mux.HandleFunc("POST /purge", p.guarded(p.form(p.purge)))
	for _, path := range []string{"GET /explain", "GET /purge"} { // as after a reload in another tab
		mux.HandleFunc(path, p.guarded(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "./", http.StatusSeeOther)
		}))
	}
	return admin.ForbidOtherSites(mux)
}

// guarded sets the headers of all responses, and calls next for who may see the page.
func (p *Page) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		_, password, _ := r.BasicAuth()
		switch {
		case p.Admin.Permits(r) || admin.IsToken(password, p.Admin.Token):
			next(w, r)
		case p.Admin.Token != "":
			h.Set("WWW-Authenticate", `Basic realm="uwgate: the admin-token is the password", charset="UTF-8"`)
			http.Error(w, "the status page needs the admin-token: give it as the password, with any user name", http.StatusUnauthorized)
		case admin.OverFile(r):
			http.Error(w, "the status page is for localhost: open it under that name, or as http://127.0.0.1, through your tunnel; under another name it needs --admin-token", http.StatusForbidden)
		default:
			http.Error(w, "over TCP the status page needs a token: start uwgate with --admin-token, or with --admin unix:/path", http.StatusForbidden)
		}
	}
}

// formToken is what a form has to send back. Other sites cannot read it.
func (p *Page) formToken() string {
	p.once.Do(func() { p.token = rand.Text() })
	return p.token
}

// overview serves GET /.
func (p *Page) overview(w http.ResponseWriter, r *http.Request) {
	v := p.view("Status")
	v.Form.URL = clip(r.URL.Query().Get("url"), maxURL)
	v.Overview = overviewOf(&input{
		Status: p.Admin.Status(), Report: p.Admin.Report(), IsListening: p.Admin.Gateway.IsListening(), Now: time.Now(),
	})
	p.write(w, http.StatusOK, v)
}

// input is what the overview is made from.
type input struct {
	Status      *admin.Status
	Report      *admin.Report
	IsListening bool
	Now         time.Time
}

// A view is what the template shows. Of the parts that may be nil it has one.
type view struct {
	Title   string
	Version string
	Observe bool
	Style   template.CSS
	Script  template.JS
	Form    form

	Overview    *overview
	Explanation *explanation
	Confirm     *confirmation
	Purged      *purged
	Problem     string // why there is nothing else
}

func (p *Page) view(title string) *view {
	return &view{
		Title: title, Version: versionOf(p.Admin.Version), Observe: p.Admin.Gateway.Stats().Requests.Observe,
		Style: template.CSS(style), Script: template.JS(script),
		Form: form{Token: p.formToken(), CanExplain: p.Explain != nil, Scopes: scopes},
	}
}

func (p *Page) write(w http.ResponseWriter, status int, v *view) {
	text, err := p.make(v)
	if err != nil {
		p.log().Error("the status page could not be made; please report it", zap.Error(err))
		http.Error(w, "the page could not be made: the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(text)
}

func (p *Page) make(v *view) ([]byte, error) {
	p.making.Lock()
	defer p.making.Unlock()
	var b bytes.Buffer
	err := document.Execute(&b, v)
	return b.Bytes(), err
}

func (p *Page) log() *zap.Logger {
	if p.Log == nil {
		return zap.NewNop()
	}
	return p.Log
}
