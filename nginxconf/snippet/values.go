package snippet

import (
	"cmp"
	"errors"
	"mime"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf"
)

// values are the quoted values of the templates.
type values struct {
	As    string // what upstreams, variables and named locations have at their end
	Flags string // of the command that prints the part
	Path  string // where the comments put the files of the parts, without what follows -

	HTTP, Several, Mirrored bool
	ForwardedProto          bool
	Listen, Names, Servers  []string
	IsDefault               bool
	Gateways, Backups       []string // server lines
	IsFar                   bool     // nginx may be on another machine than the gateway
	NoBackup                string
	ReadTimeout             int // in seconds; 0: none
	Pass                    string
	HashLine                string
	Key                     string
	NoArgs                  bool   // the key does not depend on arguments
	Cut                     string // the pattern of a run of ignored arguments
	HitsTo                  string // the argument of access_log
	Fragments               []string
	FragmentKey             string
	Sentinels               []string // as arguments of a shell
	TLS
	hitValues
	visitorValues
}

type hitValues struct {
	Types     string // the file
	TypeLines []string
	Charset   string // the directive
	Refusals  []int  // the statuses of requests that nginx does not look up
	GzipFlag  uint
	Headers   []addedHeader
}

type visitorValues struct {
	Identity  []string       // regexes of identity cookies
	Strangers string         // the regex of the cookies of strangers
	Plain     string         // the regex of such cookies among which none can name a visitor
	Named     []namedHeaders // whose senders are not looked up
}

// namedHeaders are the headers of one map, and the variable that is set if one of them is
// there.
type namedHeaders struct{ Variable, Headers string }

// An addedHeader is a header of hits, with two variables: what the gateway sent, and what
// nginx adds to that.
type addedHeader struct{ Name, Value, Sent, Variable string }

func (s *Site) values() (*values, error) {
	var q quoter
	v := &values{
		HTTP:      s.Format == policy.FormatHTTP,
		Several:   len(s.Servers) > 1,
		Mirrored:  len(s.Servers) > 1 && s.Hash == cachewriter.All,
		IsDefault: s.isDefault(),
	}
	s.addName(v, &q)
	v.Key, v.NoArgs = q.quoteKey(s.key()), s.lacksArgs()
	v.ForwardedProto = slices.Contains(nginxconf.Variables(s.key()), "visitors_scheme"+v.As)
	s.addGateways(v, &q)
	v.HashLine = s.hashLine()
	v.Listen = s.listens(&q)
	for _, name := range s.Names {
		v.Names = append(v.Names, q.quote("a server name", name))
	}
	for _, srv := range s.Servers {
		v.Servers = append(v.Servers, serverLine(&q, srv))
	}
	s.addVisitors(v, &q)
	s.addHitsTo(v, &q)
	s.addFragments(v, &q)
	s.addArgs(v, &q)
	if !v.HTTP {
		s.addHits(v, &q)
	}
	return v, errors.Join(q.errs...)
}

// CheckName returns an error if a site cannot have that name.
func CheckName(name string) error {
	isGood := name != "" && 'a' <= name[0] && name[0] <= 'z' && strings.Trim(name, nameLetters) == "" &&
		!strings.Contains(name, "__") && !strings.HasSuffix(name, "_")
	if !isGood {
		return errors.New("write a word of small letters, digits and single _ between them, since variables of nginx end in it")
	}
	return nil
}

const nameLetters = "abcdefghijklmnopqrstuvwxyz0123456789_"

func (s *Site) addName(v *values, q *quoter) {
	name := cmp.Or(s.Name, DefaultName)
	if err := CheckName(name); err != nil {
		q.fail("name %q: %v", name, err)
	}
	v.As = s.suffix()
	v.Path = "uwgate/" + name
	if v.As != "" {
		v.Flags = " --name " + name
	}
}

func (s *Site) suffix() string {
	if s.Name == "" || s.Name == DefaultName {
		return ""
	}
	return "_" + s.Name
}

func (s *Site) addGateways(v *values, q *quoter) {
	if len(s.Gateways) == 0 {
		q.fail("the gateway has no address")
	}
	v.IsFar = slices.ContainsFunc(s.Gateways, func(a string) bool { return !IsLocal(a) }) && len(s.Gateways)+len(s.Backups) > 1
	attempts := "max_fails=0"
	if v.IsFar {
		attempts = "max_fails=3 fail_timeout=2s"
	}
	for _, address := range s.Gateways {
		v.Gateways = append(v.Gateways, q.quote("the gateway's address", address)+" "+attempts)
	}
	for _, line := range s.Backups {
		v.Backups = append(v.Backups, q.quoteFields("a worker's address", append(strings.Fields(line), "backup", "max_fails=0")))
	}
	v.NoBackup = s.NoBackup
	v.ReadTimeout = int((s.ReadTimeout + time.Second - 1) / time.Second)
	v.Pass = "uwgate" + v.As
	if s.Secure {
		v.Pass = "suwsgi://" + v.Pass
		v.Secure, v.ClientCert = true, s.ClientCert
		v.CertName = q.quote("a name in a certificate", cmp.Or(s.CertName, "uwgate.internal"))
	}
}

// IsLocal reports whether the address, as nginx has it, is one of the machine itself.
func IsLocal(address string) bool {
	if _, isSocket := nginxconf.CutUnix(address); isSocket {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// key returns the key's expression, with the variables of this site.
func (s *Site) key() string {
	key := s.Key
	if key == "" {
		key = DefaultKey
		if s.ForwardedProto {
			key = ForwardedKey
		}
		if len(s.IgnoreArgs) > 0 {
			key = strings.Replace(key, "$request_uri", "$page_uri"+s.suffix(), 1)
		}
	}
	key = policy.WithGeneration(s.Generation, key)
	if s.suffix() == "" {
		return key
	}
	e := slices.Clone(nginxconf.ParseExpression(key))
	for i, p := range e {
		if name := nginxconf.Lower(p.Text); p.IsVariable && (name == "visitor" || name == "visitors_scheme") {
			e[i].Text += s.suffix()
		}
	}
	return e.String()
}

// lacksArgs reports whether URLs that differ in arguments have one key. A variable of a map
// may have them.
func (s *Site) lacksArgs() bool {
	return !slices.ContainsFunc(nginxconf.Variables(s.key()), func(name string) bool {
		isPrinted := strings.HasPrefix(name, "visitor") && !nginxconf.IsOwn(name)
		return nginxconf.IsArgs(name) || name == "request_uri" || name == "request" || !nginxconf.IsOwn(name) && !isPrinted
	})
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

// isDefault reports whether the site is nginx's default for its addresses.
func (s *Site) isDefault() bool { return slices.Equal(s.Names, []string{DefaultHost}) }

func (s *Site) listens(q *quoter) []string {
	listens := s.Listen
	if len(listens) == 0 {
		listens = []string{"80"}
	}
	var lines []string
	for _, listen := range listens {
		fields := strings.Fields(listen)
		if s.isDefault() && !slices.Contains(fields, "default_server") {
			fields = append(fields, "default_server")
		}
		lines = append(lines, q.quoteFields("listen", fields))
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

func (s *Site) addArgs(v *values, q *quoter) {
	if len(s.IgnoreArgs) == 0 {
		return
	}
	if s.Key != "" {
		q.fail("arguments can be ignored in the key %s only: leave the key's own template out, or the arguments in", DefaultKey)
	}
	names := patterns(s.IgnoreArgs, `[^&=]`)
	v.Cut = q.quotePattern("an ignored argument", `~^([^?]*\?(?:.*?&)??)(?:(?:`+names+`)(?:=[^&]*)?(?:&|$))+(.*)$`)
}

// addHits adds the directives that make a response of a bare body.
func (s *Site) addHits(v *values, q *quoter) {
	if s.Format == policy.FormatGzip {
		v.GzipFlag = s.GzipFlag
	}
	if s.TypesFile != "" {
		v.Types = q.quote("the types file", s.TypesFile)
	}
	v.TypeLines = q.typeLines(cmp.Or(s.HitType, defaultHitType))
	v.Refusals = refusals
	if i := slices.IndexFunc(v.TypeLines, isCharset); i >= 0 {
		v.Charset = v.TypeLines[i]
		v.TypeLines = slices.Delete(v.TypeLines, i, i+1)
	}
	prefix := "$hit_"
	if v.As != "" {
		prefix = "$hits" + v.As + "__" // no other site's header has that variable
	}
	seen := map[string]int{}
	for _, h := range s.Adds {
		if strings.Trim(h.Name, nameBytes) != "" {
			q.fail("header %q: nginx has variables for headers of letters, digits and dashes only", h.Name)
			continue
		}
		name := strings.ReplaceAll(strings.ToLower(h.Name), "-", "_")
		seen[name]++
		variable := prefix + name
		if n := seen[name]; n > 1 {
			variable += "_" + strconv.Itoa(n)
		}
		v.Headers = append(v.Headers, addedHeader{
			Name: h.Name, Value: q.quoteValue("the value of "+h.Name, h.Value),
			Sent: "$upstream_http_" + name, Variable: variable,
		})
	}
}

const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// refusals are the statuses of nginx's modules for access and limits.
var refusals = []int{401, 403, 429, 500, 503}

func isCharset(line string) bool { return strings.HasPrefix(line, "charset ") }

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

// dedent takes four spaces from the beginning of each line, which the lines of a server
// block have.
func dedent(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "    "), "\n    ", "\n")
}
