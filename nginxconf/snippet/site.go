package snippet

import (
	"cmp"
	_ "embed"
	"errors"
	"io"
	"mime"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/uwsgi"
)

// A Site is the configuration of a site for nginx's http context. nginx looks pages up
// where a gateway with the same settings stores them. The texts are plain; Write quotes
// them where nginx requires it.
type Site struct {
	// Listen are the arguments of nginx's listen directives, such as "443 ssl". Empty:
	// port 80.
	Listen []string

	// Names are those of server_name. Empty: the site is nginx's default for its port, or
	// gets the requests without a host.
	Names []string

	// Gateway is the address that the gateway listens on, as uwsgi_pass takes it.
	Gateway string
	TLS

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

// Hits are the heads that nginx gives to hits. They do not matter in FormatHTTP, where a
// hit has its own head.
type Hits struct {
	HitType   string        // the Content-Type; "text/html; charset=utf-8" if empty
	TypesFile string        // the path of a file with a types block; "": the block around the site counts
	Adds      []uwsgi.Field // headers that hits get
}

// DefaultKey is the key of a Site without one.
const DefaultKey = "$visitor$scheme://$host$request_uri"

const defaultHitType = "text/html; charset=utf-8"

// TrackingArgs are globs of the arguments by which advertisers and newsletters
// follow their visitors.
var TrackingArgs = []string{
	"utm_*", "gclid", "gclsrc", "gbraid", "wbraid", "dclid", "gad_*", "srsltid", "_gl", "_ga", // Google
	"fbclid", "igshid", "msclkid", "twclid", "ttclid", "li_fat_id", "yclid", "epik", // Meta, Microsoft, X, TikTok, LinkedIn, Yandex, Pinterest
	"mc_cid", "mc_eid", "mkt_tok", "_hsenc", "_hsmi", "hsCtaTracking", "pk_*", "mtm_*", // Mailchimp, Marketo, HubSpot, Matomo
}

//go:embed snippet.conf.tmpl
var snippetText string

var snippetTemplate = template.Must(template.New("snippet").Parse(snippetText))

// Write writes the configuration. An error says what cannot be written in nginx's syntax.
func (s *Site) Write(w io.Writer) error {
	var q quoter
	p := &parts{
		HTTP:     s.Format == policy.FormatHTTP,
		Gateway:  q.quote("the gateway's address", s.Gateway),
		Pass:     "uwgate",
		Several:  len(s.Servers) > 1,
		Mirrored: len(s.Servers) > 1 && s.Hash == cachewriter.All,
		Key:      q.quoteKey(s.key()),

		ForwardedProto: s.ForwardedProto && s.Key == "",
	}
	if s.Secure {
		p.Pass = "suwsgi://uwgate"
		p.Secure, p.ClientCert = true, s.ClientCert
		p.CertName = q.quote("a name in a certificate", cmp.Or(s.CertName, "uwgate.internal"))
	}
	p.KeyVariable = "$memcached_key"
	if p.HTTP {
		p.KeyVariable = "$page_key"
	}
	p.HashLine = s.hashLine()
	p.Listen = s.listens(&q)
	for _, name := range s.Names {
		p.Names = append(p.Names, q.quote("a server name", name))
	}
	for _, srv := range s.Servers {
		p.Servers = append(p.Servers, serverLine(&q, srv))
	}
	s.addVisitors(p, &q)
	s.addArgs(p, &q)
	if !p.HTTP {
		s.addHits(p, &q)
	}
	if err := errors.Join(q.errs...); err != nil {
		return err
	}
	return snippetTemplate.Execute(w, p)
}

// parts are the quoted values of the template.
type parts struct {
	HTTP, Several, Mirrored bool
	ForwardedProto          bool
	Listen, Names, Servers  []string
	Gateway, Pass           string
	HashLine                string
	KeyVariable, Key        string
	Cut                     string // the pattern of a run of ignored arguments
	TLS
	hitParts
	visitorParts
}

type hitParts struct {
	Types     string // the file
	TypeLines []string
	GzipFlag  uint
	Headers   []addedHeader
}

type visitorParts struct {
	Identity  []string       // regexes of identity cookies
	Strangers string         // the regex of the cookies of strangers
	Named     []namedHeaders // whose senders are not looked up
}

// namedHeaders are the headers of one map, and the variable that is set if one of them is
// there.
type namedHeaders struct{ Variable, Headers string }

// An addedHeader is a header of hits, with two variables: what the gateway sent, and what
// nginx adds to that.
type addedHeader struct{ Name, Value, Sent, Variable string }

func (s *Site) key() string {
	if s.Key != "" {
		return s.Key
	}
	key := DefaultKey
	if len(s.IgnoreArgs) > 0 {
		key = strings.Replace(key, "$request_uri", "$page_uri", 1)
	}
	if s.ForwardedProto {
		key = strings.Replace(key, "$scheme", "$visitors_scheme", 1)
	}
	return key
}

// hashLine returns the method of several servers. In the subrequest of srcache_fetch the
// page's key is $memc_key.
func (s *Site) hashLine() string {
	variable := "$memcached_key"
	if s.Format == policy.FormatHTTP {
		variable = "$memc_key"
	}
	switch {
	case len(s.Servers) < 2:
	case s.Hash == cachewriter.Modulo:
		return "hash " + variable + ";"
	case s.Hash == cachewriter.Consistent:
		return "hash " + variable + " consistent;"
	}
	return ""
}

func (s *Site) listens(q *quoter) []string {
	if len(s.Listen) == 0 {
		return []string{"80"}
	}
	var lines []string
	for _, listen := range s.Listen {
		lines = append(lines, q.quoteFields("listen", strings.Fields(listen)))
	}
	return lines
}

func serverLine(q *quoter, line string) string {
	fields := strings.Fields(line)
	if !slices.ContainsFunc(fields, func(p string) bool { return strings.HasPrefix(p, "max_fails=") }) {
		fields = append(fields, "max_fails=0")
	}
	return q.quoteFields("a memcached server", fields)
}

func (s *Site) addArgs(p *parts, q *quoter) {
	if len(s.IgnoreArgs) == 0 {
		return
	}
	if s.Key != "" {
		q.fail("arguments can be ignored in the key %s only: leave the key's own template out, or the arguments in", DefaultKey)
	}
	names := patterns(s.IgnoreArgs, `[^&=]`)
	p.Cut = q.quotePattern("an ignored argument", `~^([^?]*\?(?:.*?&)??)(?:(?:`+names+`)(?:=[^&]*)?(?:&|$))+(.*)$`)
}

// addHits adds the directives that make a response of a bare body.
func (s *Site) addHits(p *parts, q *quoter) {
	if s.Format == policy.FormatGzip {
		p.GzipFlag = s.GzipFlag
	}
	if s.TypesFile != "" {
		p.Types = q.quote("the types file", s.TypesFile)
	}
	p.TypeLines = q.typeLines(cmp.Or(s.HitType, defaultHitType))
	seen := map[string]int{}
	for _, h := range s.Adds {
		if strings.Trim(h.Name, nameBytes) != "" {
			q.fail("header %q: nginx has variables for headers of letters, digits and dashes only", h.Name)
			continue
		}
		name := strings.ReplaceAll(strings.ToLower(h.Name), "-", "_")
		seen[name]++
		variable := "$hit_" + name
		if n := seen[name]; n > 1 {
			variable += "_" + strconv.Itoa(n)
		}
		p.Headers = append(p.Headers, addedHeader{
			Name: h.Name, Value: q.quoteValue("the value of "+h.Name, h.Value),
			Sent: "$upstream_http_" + name, Variable: variable,
		})
	}
}

const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// TypeLines returns the directives that make nginx send hits with that Content-Type.
func TypeLines(hitType string) ([]string, error) {
	var q quoter
	lines := q.typeLines(hitType)
	return lines, errors.Join(q.errs...)
}

func (q *quoter) typeLines(hitType string) []string {
	bare, params, err := mime.ParseMediaType(hitType)
	charset := params["charset"]
	delete(params, "charset")
	if err != nil || len(params) > 0 {
		q.fail("type of hits %q: write it as in text/html; charset=utf-8, with no other parameters", hitType)
		return nil
	}
	lines := []string{"default_type " + q.quoteValue("the type of hits", bare) + ";"}
	if charset == "" {
		return append(lines, "charset off;")
	}
	lines = append(lines, "charset "+q.quoteValue("the charset of hits", charset)+";")
	if !slices.Contains(nginxconf.CharsetTypes, bare) {
		lines = append(lines, "charset_types "+strings.Join(append(nginxconf.CharsetTypes[1:len(nginxconf.CharsetTypes):len(nginxconf.CharsetTypes)], bare), " ")+";")
	}
	return lines
}
