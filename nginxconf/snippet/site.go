package snippet

import (
	"cmp"
	"embed"
	"io"
	"strings"
	"text/template"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A Site is the configuration of a site for nginx's http context. nginx looks pages up
// where a gateway with the same settings stores them. The texts are plain; Write quotes
// them where nginx requires it.
type Site struct {
	// Part is what is written; PartAll if empty.
	Part Part

	// Name tells the site from others in the same nginx: upstreams, variables and named
	// locations have it at their end. Empty: DefaultName, which stands nowhere.
	Name string

	// Listen are the arguments of nginx's listen directives, such as "443 ssl". Empty:
	// port 80.
	Listen []string

	// Names are those of server_name. DefaultHost alone makes the site nginx's default.
	// Empty: there is no server_name, and the site gets the requests without a host.
	Names []string

	// Gateways are the addresses of one gateway, as uwsgi_pass takes them, at least one.
	Gateways []string
	TLS
	Workers

	// ReadTimeout is how long nginx waits for a part of a response. It must be longer than
	// the gateway waits for a worker. Zero: nginx's default.
	ReadTimeout time.Duration

	// Servers are memcached's lines, at least one, such as "10.0.0.1:11211 weight=2". Hash
	// is how nginx chooses one of several.
	Servers []string
	Hash    cachewriter.Method

	// Format is the format of the values; FormatBody if empty. GzipFlag is the flag of
	// compressed values in FormatGzip.
	Format   policy.Format
	GzipFlag uint

	// Key is the expression of the key, with nginx's variables. Empty: DefaultKey.
	Key string

	// Generation is what all keys begin with, before a colon. Empty: there is none.
	Generation string

	Hits

	// Visitors decides whose requests are not looked up, and whose pages have keys of
	// their own. Nil: the tables of package policy.
	Visitors *policy.Visitors

	// Trusted are headers that nginx or a proxy in front of it sets for all visitors.
	// Requests with them are looked up, as are those with headers that Key contains.
	Trusted []string

	// ForwardedProto is set if the application uses the X-Forwarded-Proto of a proxy in
	// front of nginx. DefaultKey then has the scheme https for requests with that value.
	ForwardedProto bool

	// HitsTo is where nginx sends a line of its access log for each request of the site, as
	// its syslog:server= has it: unix:/path or host:port. Empty: nowhere.
	HitsTo string

	// Fragments are prefixes of paths, such as "/fragments/". They make nginx process the
	// SSI directives of pages; fragments with such paths are looked up, each under a key of
	// its own. FormatGzip cannot have any.
	Fragments []string

	// IgnoreArgs are globs of arguments that are cut from the key and from the requests to
	// the workers. They need the DefaultKey.
	IgnoreArgs []string
}

// TLS is how nginx connects to the gateway.
type TLS struct {
	Secure     bool   // with TLS
	CertName   string // a name in the gateway's certificate; "uwgate.internal" if empty
	ClientCert bool   // the gateway demands a certificate of nginx
}

// Workers are the servers that nginx asks for pages while the gateway accepts no
// connection.
type Workers struct {
	Backups  []string // server lines, without backup; empty: there are none
	NoBackup string   // why there are none, for a comment; empty: nobody wants to know
}

// Hits are the heads that nginx gives to hits. They do not matter in FormatHTTP, where a
// hit has its own head.
type Hits struct {
	HitType   string        // the Content-Type; "text/html; charset=utf-8" if empty
	TypesFile string        // the path of a file with a types block; "": the block around the site counts
	Adds      []uwsgi.Field // headers that hits get
}

// A Part is a part of the configuration that is a file of its own.
type Part string

const (
	PartAll    Part = "all"    // for the http block, with the server block of the site
	PartHTTP   Part = "http"   // for the http block: upstreams and maps
	PartServer Part = "server" // for the site's own server block
)

// DefaultName is the name of a Site without one.
const DefaultName = "uwgate"

// DefaultHost is the server name of nginx's default site.
const DefaultHost = "_"

// DefaultKey is the key of a Site without one.
const DefaultKey = "$visitor$scheme://$host$request_uri"

// ForwardedKey is the key of a Site with ForwardedProto and without one.
const ForwardedKey = "$visitor$visitors_scheme://$host$request_uri"

const defaultHitType = "text/html; charset=utf-8"

// TrackingArgs are globs of the arguments by which advertisers and newsletters
// follow their visitors.
var TrackingArgs = []string{
	"utm_*", "gclid", "gclsrc", "gbraid", "wbraid", "dclid", "gad_*", "srsltid", "_gl", "_ga", // Google
	"fbclid", "igshid", "msclkid", "twclid", "ttclid", "li_fat_id", "yclid", "epik", // Meta, Microsoft, X, TikTok, LinkedIn, Yandex, Pinterest
	"mc_cid", "mc_eid", "mkt_tok", "_hsenc", "_hsmi", "hsCtaTracking", "pk_*", "mtm_*", // Mailchimp, Marketo, HubSpot, Matomo
}

//go:embed *.conf.tmpl
var files embed.FS

var templates = template.Must(template.ParseFS(files, "*.conf.tmpl"))

// Write writes the configuration. An error says what cannot be written in nginx's syntax.
func (s *Site) Write(w io.Writer) error {
	v, err := s.values()
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := templates.ExecuteTemplate(&b, string(cmp.Or(s.Part, PartAll))+".conf.tmpl", v); err != nil {
		return err
	}
	text := b.String()
	if s.Part == PartServer {
		text = dedent(text)
	}
	_, err = io.WriteString(w, text)
	return err
}
