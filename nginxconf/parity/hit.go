package parity

import (
	"cmp"
	"fmt"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/nginxconf/snippet"
	"uwgate/uwsgi"
)

// hasHead reports whether hits have the application's own head.
func (l Lookup) hasHead() bool { return l.Srcache }

// Format returns how nginx reads a hit.
func (l Lookup) Format() policy.Format {
	switch {
	case l.hasHead():
		return policy.FormatHTTP
	case l.gzipBits() != 0:
		return policy.FormatGzip
	}
	return policy.FormatBody
}

// format compares how nginx reads stored values with how the gateway writes them.
func (k *checker) format(l Lookup) {
	told := k.g.Format
	switch {
	case told == "" || told == l.Format():
	case told == policy.FormatHTTP:
		k.error(l.Place, formatDiffers, give(Flag{"format", string(l.Format())}),
			"memcached_pass reads bodies, but uwgate stores whole responses (--format http): visitors would see the heads")
	case l.hasHead():
		k.error(l.Place, formatDiffers, give(Flag{"format", "http"}),
			"srcache_fetch reads whole responses, but uwgate stores only bodies (--format %s): every lookup is a miss", told)
	case told == policy.FormatGzip:
		k.error(l.Place, formatDiffers, k.put(l.Location.Place, fmt.Sprintf("memcached_gzip_flag %d;", cmp.Or(k.g.GzipFlag, defaultGzipFlag)), "gunzip on;", "gzip_vary on;"),
			"there is no memcached_gzip_flag here, but uwgate compresses pages (--format gzip): visitors would see the compressed bytes")
	default:
		k.note(l.GzipFlag.Place, gzipFlagIdle, give(Flag{"format", "gzip"}, Flag{"gzip-flag", l.gzipFlag()}),
			"memcached_gzip_flag %s is for compressed values, but uwgate stores none (--format %s)", l.GzipFlag.Value, told)
	}
	k.gzip(l)
	k.ownFlags(l)
	if !l.Store.IsZero() {
		k.error(l.Store.Place, srcacheStore, remove(l.Store.Place),
			"with srcache_store nginx stores pages by itself and does not check whether they are for everybody: pages of one visitor are served to others")
	}
	if l.hasHead() {
		k.fetchedMethods(l)
	}
}

// fetchedMethods looks for methods that are looked up and must reach the application.
func (k *checker) fetchedMethods(l Lookup) {
	d := k.last(l.Location.Place, "srcache_methods")
	isSafe := func(method string) bool { return method == "GET" || method == "HEAD" }
	methods := strings.Fields(d.Value)
	if i := slices.IndexFunc(methods, func(method string) bool { return !isSafe(method) }); i >= 0 {
		k.error(d.Place, srcacheMethods, k.put(l.Location.Place, "srcache_methods GET HEAD;"),
			"nginx looks up a %s, and responds with the page of a GET if it is in memcached: the application does not get the request", methods[i])
	}
}

func (k *checker) gzip(l Lookup) {
	if l.Format() != policy.FormatGzip || k.g.Format != "" && k.g.Format != policy.FormatGzip {
		return
	}
	if told := uint64(k.g.GzipFlag); told != 0 && l.gzipBits()&told == 0 {
		k.error(l.GzipFlag.Place, gzipFlagDiffers, give(Flag{"gzip-flag", l.gzipFlag()}),
			"memcached_gzip_flag is %s, but uwgate marks compressed pages with %d: visitors would see the compressed bytes", l.GzipFlag.Value, told)
	}
	if l.Gunzip.Value != "on" {
		k.warning(l.at(l.Gunzip.Place), gunzipOff, k.put(l.Location.Place, "gunzip on;"),
			"gunzip is off: clients that do not accept gzip get compressed pages")
	}
}

// ownFlags looks for flags that every page of uwgate's has.
func (k *checker) ownFlags(l Lookup) {
	const own = uint64(cachewriter.ReservedFlags)
	if l.hasHead() || l.gzipBits()&own == 0 {
		return
	}
	rest := l.gzipBits() &^ own
	if rest == 0 && k.g.Format == policy.FormatGzip {
		rest = defaultGzipFlag
	}
	k.error(l.GzipFlag.Place, gzipFlagDiffers, k.put(l.Location.Place, fmt.Sprintf("memcached_gzip_flag %d;", rest)),
		"memcached_gzip_flag is %s, but uwgate marks its pages with the flags %d, %d and %d, compressed or not: nginx would label every hit as compressed",
		l.GzipFlag.Value, cachewriter.FlagRecorded, cachewriter.FlagTagged, cachewriter.FlagStored)
}

func (l Lookup) gzipBits() uint64 {
	bits, _ := strconv.ParseUint(l.GzipFlag.Value, 10, 64) // which Read has seen to
	return bits
}

// defaultGzipFlag is the default of serve's --gzip-flag.
const defaultGzipFlag = 2

// gzipFlag returns one of the bits that nginx tests, preferably the default.
func (l Lookup) gzipFlag() string {
	bits := l.gzipBits()
	if bits&defaultGzipFlag != 0 {
		bits = defaultGzipFlag
	}
	return strconv.FormatUint(bits&-bits, 10)
}

const defaultHitType = "text/html; charset=utf-8"

// typeOfHits returns the Content-Type of hits whose path has no known extension. It is
// empty if the charset is a variable.
func (l Lookup) typeOfHits() string {
	t, charset := l.DefaultType.Value, l.Charset.Value
	switch {
	case strings.Contains(charset, "$"):
		return ""
	case charset == "off" || charset == "" || !slices.Contains(l.CharsetTypes, nginxconf.Lower(t)):
		return t
	}
	return t + "; charset=" + charset
}

func (k *checker) hitType(l Lookup) {
	if l.hasHead() || l.isTypedByExtension() {
		return
	}
	got := l.typeOfHits()
	if got == "" {
		k.warning(l.Charset.Place, hitTypeDiffers, k.put(l.Location.Place, "charset utf-8;"),
			"the charset of hits is %s, a variable: it may differ from the charset of the pages that uwgate stores", l.Charset.Value)
		return
	}
	if k.g.HitType != "" {
		k.hitTypeDiffers(l, got)
		return
	}
	base, params, _ := mime.ParseMediaType(got)
	switch {
	case l.DefaultType.IsZero(), base == "application/octet-stream":
		k.error(l.at(l.DefaultType.Place), noDefaultType, k.put(l.Location.Place, "default_type text/html;", "charset utf-8;"),
			"hits are %s if the path has no extension; without --nginx uwgate stores pages of other types, too, such as text/html, and their hits have the wrong type", base)
	case strings.HasPrefix(base, "text/") && params["charset"] == "" && l.Charset.IsZero():
		k.warning(l.Place, noCharset, k.put(l.Location.Place, "charset utf-8;"),
			"hits are %s without a charset: pages that name one are never stored", base)
	}
}

func (k *checker) hitTypeDiffers(l Lookup, got string) {
	if policy.SameType(got, k.g.HitType) {
		return
	}
	lines, _ := snippet.TypeLines(k.g.HitType)
	at := l.DefaultType.Place
	base, _, _ := mime.ParseMediaType(got)
	if wanted, _, _ := mime.ParseMediaType(k.g.HitType); base == wanted {
		at = l.Charset.Place
	}
	k.error(l.at(at), hitTypeDiffers, k.put(l.Location.Place, lines...), "nginx sends hits as %s, but uwgate stores pages that are %s", got, k.g.HitType)
}

// types checks the types block, which decides the type of hits with an extension.
func (k *checker) types(l Lookup) {
	if l.hasHead() {
		return
	}
	if base, _, _ := mime.ParseMediaType(l.DefaultType.Value); base == "text/html" {
		if t, ok := l.Types["html"]; ok && t != base {
			k.error(l.at(l.TypesAt), typesHTML, k.htmlTypes(l),
				"nginx sends hits of /page.html as %s, but those of other paths as %s", t, base)
		}
	}
	switch {
	case k.g.Types != nil:
		k.typesDiffer(l)
	case l.TypesAt.IsZero():
		k.warning(l.Place, noTypes, end(k.http(l.Server), "include mime.types;").as("include mime.types;   # in the http block"),
			"no types block is in force: nginx knows only html, gif and jpg, and sends /robots.txt as %s; uwgate uses the usual mime.types", l.DefaultType.Value)
	}
}

// someExtensions is the number of differing extensions that a finding names.
const someExtensions = 3

func (k *checker) typesDiffer(l Lookup) {
	var differ []string
	for extension, t := range l.Types {
		if k.g.Types[extension] != t {
			differ = append(differ, extension)
		}
	}
	for extension := range k.g.Types {
		if _, ok := l.Types[extension]; !ok {
			differ = append(differ, extension)
		}
	}
	if len(differ) == 0 {
		return
	}
	slices.Sort(differ)
	var shown []string
	for _, extension := range differ[:min(len(differ), someExtensions)] {
		shown = append(shown, fmt.Sprintf(".%s is %s in nginx and %s in uwgate", extension, orUnmapped(l.Types[extension]), orUnmapped(k.g.Types[extension])))
	}
	more := ""
	if len(differ) > someExtensions {
		more = fmt.Sprintf("; and %d more", len(differ)-someExtensions)
	}
	k.error(l.at(l.TypesAt), typesDiffer, Fix{Text: "do not give --mime-types: `serve --nginx` takes the types from nginx. Or `include MIME.TYPES;`, with the file of --mime-types and no other types", Unset: []string{"mime-types"}},
		"nginx and uwgate do not have the same types: %s%s", strings.Join(shown, ", "), more)
}

func orUnmapped(t string) string {
	if t == "" {
		return "not mapped"
	}
	return t
}

// headers checks the add_header directives, which nginx applies to hits.
func (k *checker) headers(l Lookup) {
	if l.hasHead() {
		return
	}
	var told []string
	for _, f := range k.g.Adds {
		told = append(told, nginxconf.Lower(f.Name))
		k.added(l, f)
	}
	for _, h := range l.Headers {
		if f, ok := always(h); ok && !slices.Contains(k.g.Adds, f) && counts(f) && !slices.Contains(told, nginxconf.Lower(f.Name)) {
			k.note(h.Place, headerNotTold, k.adds(f, "").as(Flag{"nginx-adds", f.Name + ": " + f.Value}.String()),
				"nginx adds %q to hits; with the flag uwgate knows that pages with this header lose nothing", f.Name+": "+f.Value)
		}
	}
	for _, h := range l.HeadersLost {
		name := nginxconf.Lower(h.Name)
		isThere := slices.ContainsFunc(l.Headers, func(other nginxconf.AddHeader) bool { return nginxconf.Lower(other.Name) == name })
		if !isThere && !slices.Contains(told, name) && len(l.Headers) > 0 {
			k.warning(h.Place, headerLost, k.besideHeaders(l, headerLine(h)),
				"hits do not get %s: the add_header of %s cancels those of outer levels", h.Name, l.Headers[0].Place)
		}
	}
}

// always returns the header if every hit has it, with one value.
func always(h nginxconf.AddHeader) (f uwsgi.Field, ok bool) {
	if len(h.Values) != 1 || h.Values[0] == "" {
		return uwsgi.Field{}, false
	}
	return uwsgi.Field{Name: h.Name, Value: h.Values[0]}, true
}

// added checks that nginx adds a header of --nginx-adds.
func (k *checker) added(l Lookup, f uwsgi.Field) {
	line := "add_header " + f.Name + " " + nginxWord(f.Value) + ";"
	var other *nginxconf.AddHeader
	for _, h := range l.Headers {
		if nginxconf.Lower(h.Name) != nginxconf.Lower(f.Name) {
			continue
		}
		if len(h.Values) == 1 && h.Values[0] == f.Value {
			return
		}
		other = &h
	}
	switch lost := slices.IndexFunc(l.HeadersLost, func(h nginxconf.AddHeader) bool { return nginxconf.Lower(h.Name) == nginxconf.Lower(f.Name) }); {
	case other != nil && len(other.Values) == 0:
		k.warning(other.Place, headerNotAdded, replace(other.Place, line), "uwgate cannot know whether nginx adds %q to hits: %s is a variable", f.Name+": "+f.Value, other.Value)
	case other != nil:
		k.error(other.Place, headerNotAdded, k.adds(uwsgi.Field{Name: f.Name, Value: other.Values[0]}, f.Name).as(Flag{"nginx-adds", f.Name + ": " + other.Values[0]}.String()),
			"nginx adds %q to hits, but --nginx-adds says %q: uwgate stores pages whose hits lack that", other.Name+": "+other.Values[0], f.Name+": "+f.Value)
	case lost >= 0 && len(l.Headers) > 0:
		k.error(l.HeadersLost[lost].Place, headerNotAdded, k.addToHits(l, f),
			"hits do not get %s, although --nginx-adds says so: the add_header of %s cancels those of outer levels", f.Name, l.Headers[0].Place)
	default:
		k.error(l.Place, headerNotAdded, k.addToHits(l, f), "nginx does not add %q to hits, but --nginx-adds says so: uwgate stores pages whose hits lack it", f.Name+": "+f.Value)
	}
}

// addToHits adds a header to responses that do not have it: a miss has that of the application.
func (k *checker) addToHits(l Lookup, f uwsgi.Field) Fix {
	name := strings.ReplaceAll(nginxconf.Lower(f.Name), "-", "_")
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" { // no variable has that name
		return k.besideHeaders(l, "add_header "+f.Name+" "+nginxWord(f.Value)+";")
	}
	made := "$upstream_http_" + name + " " + nginxWord(f.Value)
	variable := k.names.of("hit_"+name, made, k.isVariable)
	block := "map $upstream_http_" + name + " $" + variable + ` { "" ` + nginxWord(f.Value) + "; }"
	return end(k.http(l.Server), block).and(k.besideHeaders(l, "add_header "+f.Name+" $"+variable+";"))
}

// counts reports whether the gateway refuses pages with the header unless --nginx-adds has
// it.
func counts(f uwsgi.Field) bool {
	v := uwsgi.Vars{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: "/"}, {Name: "HTTP_HOST", Value: "localhost"},
		{Name: "CACHE_KEY", Value: "localhost/"}, {Name: "CACHE_STATUS", Value: "404"}}
	r := &uwsgi.Response{StatusCode: 200, Header: uwsgi.Header{{Name: "Content-Type", Value: defaultHitType}, f}}
	isRefused := func(adds ...uwsgi.Field) bool {
		p := policy.Policy{Lifetimes: policy.Lifetimes{Default: time.Minute}, Hits: policy.Hits{Strict: true, Adds: adds}}
		return p.Response(v, p.Request(v), r, time.Time{}).Reason == policy.HeaderLoss
	}
	return isRefused() && !isRefused(f)
}

// nginxWord quotes an argument if nginx requires it.
func nginxWord(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t;{}\"'\\#") {
		return s
	}
	return nginxconf.Quote(s)
}

func headerLine(h nginxconf.AddHeader) string {
	line := "add_header " + h.Name + " " + nginxWord(h.Value)
	if h.Always {
		line += " always"
	}
	return line + ";"
}

// besideHeaders adds the line to those headers that hits get.
func (k *checker) besideHeaders(l Lookup, line string) Fix {
	if len(l.Headers) == 0 {
		return k.put(l.Location.Place, line)
	}
	return k.put(k.config.Around(l.Headers[0].Place), line).as(line + "   # beside that of " + l.Headers[0].Place.String())
}

// adds gives the flags of the headers that nginx adds, with another one. It leaves out
// those of one name.
func (k *checker) adds(f uwsgi.Field, without string) Fix {
	var flags []Flag
	for _, own := range append(slices.Clone(k.g.Adds), f) {
		if own == f || !strings.EqualFold(own.Name, without) {
			flags = append(flags, Flag{"nginx-adds", own.Name + ": " + own.Value})
		}
	}
	return give(flags...)
}

// htmlTypes gives the extensions of HTML the type text/html.
func (k *checker) htmlTypes(l Lookup) (f Fix) {
	for _, d := range k.config.In(l.TypesAt, "") {
		extensions := slices.DeleteFunc(strings.Fields(d.Value), func(e string) bool { return e == "html" || e == "htm" })
		switch t := k.config.Words(d.Place)[0]; {
		case len(extensions) == len(strings.Fields(d.Value)):
		case len(extensions) == 0:
			f = f.and(remove(d.Place))
		default:
			f = f.and(replace(d.Place, t+" "+strings.Join(extensions, " ")+";"))
		}
	}
	return f.and(end(l.TypesAt, "text/html html htm;")).as("types { text/html html htm; }   # and no other type for these")
}
