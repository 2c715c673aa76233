package policy

import (
	"strings"
	"testing"
	"time"

	"uwgate/uwsgi"
)

type responseRow struct {
	name    string
	lines   []string
	want    Reason
	ttl     int      // seconds; 0: not stored
	request []string // changes to the request
	change  func(*Policy)
}

// policy is the one under which the row is judged.
func (r responseRow) policy() *Policy {
	p := testPolicy()
	if r.change != nil {
		r.change(p)
	}
	return p
}

// under is a row whose policy differs from the plain one.
func under(r responseRow, change func(*Policy)) responseRow {
	r.change = change
	return r
}

func res(name string, want Reason, ttl int, lines ...string) responseRow {
	return responseRow{name: name, lines: lines, want: want, ttl: ttl}
}

// asked is a row whose request differs from the plain one.
func asked(r responseRow, changes ...string) responseRow {
	r.request = changes
	return r
}

// The page is fresh by its own words unless a row says otherwise: ok adds
// Cache-Control: max-age=60.
func ok(name string, lines ...string) responseRow {
	return res(name, MaxAge, 60, append(lines, "Cache-Control: max-age=60")...)
}

func no(name string, want Reason, lines ...string) responseRow {
	return res(name, want, 0, append(lines, "Cache-Control: max-age=60")...)
}

var responseRows = []responseRow{
	ok("plain"),

	// Status
	no("201", Status, "=201"),
	no("204", Status, "=204"),
	no("206", Status, "=206"),
	no("301", Status, "=301"),
	no("304", Status, "=304"),
	no("404", Status, "=404"),
	no("500", Status, "=500"),
	no("101", Status, "=101"),

	// Whose body is not the page (nginx.md 6.1)
	no("X-Accel-Redirect", AccelRedirect, "X-Accel-Redirect: /x"),
	no("X-Sendfile", AccelRedirect, "x-sendfile: /x"),
	no("X-LIGHTTPD-send-file", AccelRedirect, "X-LIGHTTPD-send-file: /x"),
	ok("X-Accel-Buffering is harmless", "X-Accel-Buffering: no"),

	// Cookies set
	no("Set-Cookie", SetCookie, "Set-Cookie: a=b"),
	no("set-cookie in lower case", SetCookie, "set-cookie: a=b"),
	no("empty Set-Cookie", SetCookie, "Set-Cookie: "),
	res("Set-Cookie and X-Accel-Expires", SetCookie, 0, "X-Accel-Expires: 60", "Set-Cookie: a=b"),

	// RFC 9111 §5.2.2.4, §5.2.2.5, §5.2.2.7: refusals
	res("no-store", NoStore, 0, "Cache-Control: no-store"),
	res("NO-STORE", NoStore, 0, "CACHE-CONTROL: NO-STORE"),
	res("private", Private, 0, "Cache-Control: private"),
	res("private with fields", Private, 0, `Cache-Control: private="x, y", max-age=60`),
	res("no-cache", NoCache, 0, "Cache-Control: no-cache"),
	res("no-cache with a field", NoCache, 0, `Cache-Control: no-cache="Set-Cookie", max-age=60`),
	res("private after a lifetime", Private, 0, "Cache-Control: s-maxage=60, private"),
	res("private in another line", Private, 0, "Cache-Control: max-age=60", "Cache-Control: private"),
	res("private with a value", Private, 0, "Cache-Control: private=1, max-age=60"),
	res("private and a semicolon", Private, 0, "Cache-Control: private; max-age=60"),
	res("private and a space", Private, 0, "Cache-Control: private max-age=60"),
	res("private, quoted", Private, 0, `Cache-Control: "private", max-age=60`),
	res("private without separating space", Private, 0, "Cache-Control: max-age=60,private"),
	res("private between tabs", Private, 0, "Cache-Control: max-age=60,\tprivate\t"),
	res("private behind an open quote", Private, 0, `Cache-Control: x="y, private`),
	res("private behind a quoted value", Private, 0, `Cache-Control: max-age="60" private`),
	res("no-store and must-understand, §5.2.2.3", MaxAge, 60, "Cache-Control: must-understand, no-store, max-age=60"),
	res("no-store and must-understand in two lines", MaxAge, 60, "Cache-Control: no-store", "Cache-Control: Must-Understand, max-age=60"),
	res("no-store and must-understand without a comma", NoStore, 0, "Cache-Control: no-store; must-understand, max-age=60"),
	res("no-store and must-understand that is quoted", NoStore, 0, `Cache-Control: no-store, x="must-understand", max-age=60`),
	res("no-store and must-understand with an argument", NoStore, 0, "Cache-Control: no-store, must-understand=1, max-age=60"),
	res("private and must-understand", Private, 0, "Cache-Control: private, must-understand, max-age=60"),
	res("must-understand alone", MaxAge, 60, "Cache-Control: must-understand, max-age=60"),
	res("must-understand on a status that is not stored", Status, 0, "=404", "Cache-Control: must-understand, no-store, max-age=60"),
	res("must-understand for Cache-Control, no-store for us", NoStore, 0, "Cache-Control: must-understand, max-age=60", "CDN-Cache-Control: no-store"),
	res("both for us", CDNCacheControl, 60, "CDN-Cache-Control: no-store, must-understand, max-age=60"),
	res("private and X-Accel-Expires", Private, 0, "X-Accel-Expires: 60", "Cache-Control: private"),
	res("no-store and X-Accel-Expires", NoStore, 0, "Cache-Control: no-store", "X-Accel-Expires: 60"),
	res("no-cache and X-Accel-Expires", NoCache, 0, "X-Accel-Expires: 60", "Cache-Control: no-cache"),
	res("a word inside a quoted string", MaxAge, 60, `Cache-Control: ext="a, private", max-age=60`),
	res("an escaped quote inside a quoted string", MaxAge, 60, `Cache-Control: ext="a\", private", max-age=60`),
	res("a longer word", MaxAge, 60, "Cache-Control: x-private, max-age=60"),
	res("Pragma alone, §5.4", NoCache, 0, "Pragma: no-cache"),
	res("Pragma among others", NoCache, 0, "Pragma: x, No-Cache"),
	ok("Pragma beside Cache-Control", "Pragma: no-cache"),
	res("another Pragma", DefaultTTL, 600, "Pragma: x"),

	// RFC 9111 §5.2.2.1, §5.2.2.10: lifetimes
	res("max-age", MaxAge, 60, "Cache-Control: max-age=60"),
	res("Max-Age", MaxAge, 60, "Cache-Control: Max-Age=60"),
	res("max-age with others", MaxAge, 60, "Cache-Control: public, max-age=60, must-revalidate, immutable"),
	res("max-age=0", Expired, 0, "Cache-Control: max-age=0"),
	res("max-age=abc", Expired, 0, "Cache-Control: max-age=abc"),
	res("max-age=", Expired, 0, "Cache-Control: max-age="),
	res("max-age without value", Expired, 0, "Cache-Control: max-age"),
	res("max-age quoted", Expired, 0, `Cache-Control: max-age="60"`),
	res("max-age=60foo", Expired, 0, "Cache-Control: max-age=60foo"),
	res("max-age=-5", Expired, 0, "Cache-Control: max-age=-5"),
	res("max-age=+5", Expired, 0, "Cache-Control: max-age=+5"),
	res("max-age=6.5", Expired, 0, "Cache-Control: max-age=6.5"),
	res("max-age=0x60", Expired, 0, "Cache-Control: max-age=0x60"),
	res("max-age= 60", Expired, 0, "Cache-Control: max-age= 60"),
	res("max-age =60", Expired, 0, "Cache-Control: max-age =60"),
	res("max-age=60;", Expired, 0, "Cache-Control: max-age=60; public"),
	res("max-age, overflow", Expired, 0, "Cache-Control: max-age=99999999999999999999"),
	res("max-age, over 2^31, §1.2.2", MaxAge, 86400, "Cache-Control: max-age=99999999999"),
	res("max-age with zeros in front", MaxAge, 60, "Cache-Control: max-age=0060"),
	res("max-age twice, the same", MaxAge, 60, "Cache-Control: max-age=60, max-age=60"),
	res("max-age twice, different, §4.2.1", Expired, 0, "Cache-Control: max-age=60, max-age=61"),
	res("max-age in two lines, different", Expired, 0, "Cache-Control: max-age=60", "Cache-Control: max-age=5"),
	res("max-age twice, one malformed", Expired, 0, "Cache-Control: max-age=60, max-age=x"),
	res("max-age behind an open quote", Expired, 0, `Cache-Control: x="y, max-age=60`),
	res("max-age before an open quote", MaxAge, 60, `Cache-Control: max-age=60, x="y`),
	res("max-age inside a quoted string", DefaultTTL, 600, `Cache-Control: x="max-age=60"`),
	res("x-max-age", DefaultTTL, 600, "Cache-Control: x-max-age=60"),
	res("empty members, RFC 9110 §5.6.1", MaxAge, 60, "Cache-Control: , ,max-age=60,,"),
	res("empty field", DefaultTTL, 600, "Cache-Control: "),
	res("only public", DefaultTTL, 600, "Cache-Control: public"),
	res("stale-while-revalidate grants nothing", DefaultTTL, 600, "Cache-Control: stale-while-revalidate=60"),
	res("s-maxage", SMaxAge, 30, "Cache-Control: s-maxage=30"),
	res("s-maxage beats max-age", SMaxAge, 30, "Cache-Control: max-age=60, s-maxage=30"),
	res("s-maxage beats max-age in another line", SMaxAge, 30, "Cache-Control: s-maxage=30", "Cache-Control: max-age=60"),
	res("s-maxage=0 beats max-age", Expired, 0, "Cache-Control: max-age=60, s-maxage=0"),
	res("malformed s-maxage is not replaced by max-age", Expired, 0, "Cache-Control: max-age=60, s-maxage=x"),
	res("malformed max-age is not replaced by Expires", Expired, 0, "Cache-Control: max-age=x", "Expires: "+httpDate(60)),

	// RFC 9111 §5.3
	res("Expires", Expires, 60, "Expires: "+httpDate(60)),
	res("Expires in the asctime form, RFC 9110 §5.6.7", Expires, 60, "Expires: Sun Mar  1 12:01:00 2026"),
	res("Expires in the RFC 850 form", Expires, 60, "Expires: Sunday, 01-Mar-26 12:01:00 GMT"),
	res("Expires now", Expired, 0, "Expires: "+httpDate(0)),
	res("Expires past", Expired, 0, "Expires: "+httpDate(-1)),
	res("Expires: 0", Expired, 0, "Expires: 0"),
	res("Expires: -1", Expired, 0, "Expires: -1"),
	res("Expires empty", Expired, 0, "Expires: "),
	res("Expires garbage", Expired, 0, "Expires: tomorrow"),
	res("Expires and Date", Expires, 60, "Date: "+httpDate(0), "Expires: "+httpDate(60)),
	res("the backend's clock is fast", Expires, 60, "Date: "+httpDate(30), "Expires: "+httpDate(90)),
	res("the page has been under way, §4.2.3", Expires, 30, "Date: "+httpDate(-30), "Expires: "+httpDate(30)),
	res("Expires with garbage for Date", Expires, 60, "Date: x", "Expires: "+httpDate(60)),
	res("Expires past, max-age counts", MaxAge, 60, "Expires: "+httpDate(-60), "Cache-Control: max-age=60"),
	res("max-age=0 before Expires", Expired, 0, "Expires: "+httpDate(60), "Cache-Control: max-age=0"),
	res("Expires twice, different, §4.2.1", DuplicateHeader, 0, "Expires: "+httpDate(60), "Expires: "+httpDate(90)),
	res("Expires twice, the same", Expires, 60, "Expires: "+httpDate(60), "Expires: "+httpDate(60)),
	res("Expires far away", Expires, 86400, "Expires: "+httpDate(400*86400)),

	// X-Accel-Expires (ngx_http_upstream_process_accel_expires)
	res("X-Accel-Expires", XAccelExpires, 20, "X-Accel-Expires: 20"),
	res("X-Accel-Expires beats all", XAccelExpires, 20, "Cache-Control: s-maxage=1, max-age=2", "Expires: 0", "X-Accel-Expires: 20"),
	res("X-Accel-Expires beats max-age=0", XAccelExpires, 20, "X-Accel-Expires: 20", "Cache-Control: max-age=0"),
	res("X-Accel-Expires: 0", Expired, 0, "X-Accel-Expires: 0", "Cache-Control: max-age=60"),
	res("X-Accel-Expires: @future", XAccelExpires, 40, "X-Accel-Expires: @1772366440"),
	res("X-Accel-Expires: @past", Expired, 0, "X-Accel-Expires: @1772366300", "Cache-Control: max-age=60"),
	res("X-Accel-Expires: @0", Expired, 0, "X-Accel-Expires: @0"),
	res("X-Accel-Expires: @ far away", XAccelExpires, 86400, "X-Accel-Expires: @999999999999999999"),
	res("X-Accel-Expires: negative is ignored", MaxAge, 60, "X-Accel-Expires: -5", "Cache-Control: max-age=60"),
	res("X-Accel-Expires: garbage is ignored", MaxAge, 60, "X-Accel-Expires: soon", "Cache-Control: max-age=60"),
	res("X-Accel-Expires: @garbage is ignored", MaxAge, 60, "X-Accel-Expires: @x", "Cache-Control: max-age=60"),
	res("X-Accel-Expires: empty is ignored", MaxAge, 60, "X-Accel-Expires: ", "Cache-Control: max-age=60"),
	res("X-Accel-Expires: overflow is ignored", MaxAge, 60, "X-Accel-Expires: 99999999999999999999", "Cache-Control: max-age=60"),
	res("X-Accel-Expires twice, different", DuplicateHeader, 0, "X-Accel-Expires: 5", "X-Accel-Expires: 6"),

	// RFC 9213 §2.1, §2.2: a dictionary of RFC 9651, whole or not at all
	res("CDN-Cache-Control", CDNCacheControl, 90, "CDN-Cache-Control: max-age=90"),
	res("CDN-Cache-Control beats Cache-Control and Expires", CDNCacheControl, 90, "Cache-Control: s-maxage=1, max-age=2", "Expires: 0", "CDN-Cache-Control: max-age=90"),
	res("CDN-Cache-Control beats max-age=0", CDNCacheControl, 90, "Cache-Control: max-age=0, must-revalidate", "CDN-Cache-Control: max-age=90"),
	res("CDN-Cache-Control before Cache-Control", CDNCacheControl, 90, "cdn-cache-control: max-age=90", "Cache-Control: max-age=60"),
	res("X-Accel-Expires beats CDN-Cache-Control", XAccelExpires, 20, "CDN-Cache-Control: max-age=90", "X-Accel-Expires: 20"),
	res("s-maxage in CDN-Cache-Control", CDNCacheControl, 30, "CDN-Cache-Control: max-age=90, s-maxage=30"),
	res("CDN-Cache-Control: max-age=0", Expired, 0, "CDN-Cache-Control: max-age=0", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control and Age", CDNCacheControl, 80, "CDN-Cache-Control: max-age=90", "Age: 10"),
	res("CDN-Cache-Control and a parameter, RFC 9213 §2.1", CDNCacheControl, 90, "CDN-Cache-Control: max-age=90;x=1"),
	res("CDN-Cache-Control with unknown directives", CDNCacheControl, 90, `CDN-Cache-Control: a, b="c, d", max-age=90, e=(1 2), f=?0`),
	res("CDN-Cache-Control in two lines", CDNCacheControl, 90, "CDN-Cache-Control: public", "CDN-Cache-Control: max-age=90"),
	res("CDN-Cache-Control, tabs about the comma", CDNCacheControl, 90, "CDN-Cache-Control: public\t,\tmax-age=90"),
	res("CDN-Cache-Control, no lifetime", Expired, 0, "CDN-Cache-Control: must-revalidate", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control, no lifetime, and the default", Expired, 0, "CDN-Cache-Control: public"),
	res("CDN-Cache-Control, no lifetime, and X-Accel-Expires", XAccelExpires, 20, "CDN-Cache-Control: public", "X-Accel-Expires: 20"),
	res("CDN-Cache-Control twice, the same", CDNCacheControl, 90, "CDN-Cache-Control: max-age=90, max-age=90"),
	res("CDN-Cache-Control twice, different", Expired, 0, "CDN-Cache-Control: max-age=90, max-age=91"),
	res("CDN-Cache-Control in two lines, different", Expired, 0, "CDN-Cache-Control: max-age=90", "CDN-Cache-Control: max-age=9"),
	res("CDN-Cache-Control, a string for a number", Expired, 0, `CDN-Cache-Control: max-age="90"`, "Cache-Control: max-age=60"),
	res("CDN-Cache-Control, a token for a number", Expired, 0, "CDN-Cache-Control: max-age=soon", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control, a decimal", Expired, 0, "CDN-Cache-Control: max-age=9.5", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control, no number", Expired, 0, "CDN-Cache-Control: max-age", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control, a negative number", Expired, 0, "CDN-Cache-Control: max-age=-5", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control, an inner list", Expired, 0, "CDN-Cache-Control: max-age=(90)", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control, over 2^31", CDNCacheControl, 86400, "CDN-Cache-Control: max-age=999999999999999"),
	res("CDN-Cache-Control, 16 digits: broken, and ignored", MaxAge, 60, "CDN-Cache-Control: max-age=9999999999999999", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control empty: ignored", MaxAge, 60, "CDN-Cache-Control: ", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control with a trailing comma: ignored", MaxAge, 60, "CDN-Cache-Control: max-age=90,", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control with an empty member: ignored", MaxAge, 60, "CDN-Cache-Control: max-age=90,, public", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control in upper case: ignored", MaxAge, 60, "CDN-Cache-Control: Max-Age=90", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control with a semicolon and a space", CDNCacheControl, 90, "CDN-Cache-Control: max-age=90; public"),
	res("CDN-Cache-Control without commas: ignored", MaxAge, 60, "CDN-Cache-Control: max-age=90 public", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control, space behind the equals sign: ignored", MaxAge, 60, "CDN-Cache-Control: max-age= 90", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control with an open quote: ignored", MaxAge, 60, `CDN-Cache-Control: max-age=90, a="b`, "Cache-Control: max-age=60"),
	res("CDN-Cache-Control broken in its second line: ignored", MaxAge, 60, "CDN-Cache-Control: max-age=90", "CDN-Cache-Control: ?", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control broken behind its lifetime: ignored", MaxAge, 60, "CDN-Cache-Control: s-maxage=90, ?", "Cache-Control: max-age=60"),
	res("CDN-Cache-Control broken, and nothing else", DefaultTTL, 600, "CDN-Cache-Control: max-age=90,"),
	res("no-store in CDN-Cache-Control", NoStore, 0, "CDN-Cache-Control: no-store", "Cache-Control: max-age=60"),
	res("private in CDN-Cache-Control", Private, 0, "CDN-Cache-Control: private, max-age=90"),
	res("no-cache in CDN-Cache-Control", NoCache, 0, "CDN-Cache-Control: max-age=90, no-cache"),
	res("no-store=?0 in CDN-Cache-Control", NoStore, 0, "CDN-Cache-Control: max-age=90, no-store=?0"),
	res("private with a field in CDN-Cache-Control", Private, 0, `CDN-Cache-Control: private="x", max-age=90`),
	res("no-store in a broken CDN-Cache-Control", NoStore, 0, "CDN-Cache-Control: max-age=90,, no-store", "Cache-Control: max-age=60"),
	res("private where a parameter stands in CDN-Cache-Control", Private, 0, "CDN-Cache-Control: max-age=90; private"),
	res("NO-STORE in CDN-Cache-Control", NoStore, 0, "CDN-Cache-Control: NO-STORE"),
	res("private behind an open quote in CDN-Cache-Control", Private, 0, `CDN-Cache-Control: a="b, private`),
	res("no-store in CDN-Cache-Control and X-Accel-Expires", NoStore, 0, "X-Accel-Expires: 60", "CDN-Cache-Control: no-store"),
	res("a word inside a string of CDN-Cache-Control", CDNCacheControl, 90, `CDN-Cache-Control: a="no-store, private", max-age=90`),
	res("no-store beside CDN-Cache-Control: a hit could not say so", NoStore, 0, "CDN-Cache-Control: max-age=90", "Cache-Control: no-store"),
	res("private beside CDN-Cache-Control", Private, 0, "CDN-Cache-Control: max-age=90", "Cache-Control: private"),
	res("no-cache beside CDN-Cache-Control", NoCache, 0, "CDN-Cache-Control: max-age=90", "Cache-Control: no-cache"),
	res("Pragma beside CDN-Cache-Control", NoCache, 0, "CDN-Cache-Control: max-age=90", "Pragma: no-cache"),
	asked(res("another cookie and CDN-Cache-Control", CDNCacheControl, 90, "CDN-Cache-Control: max-age=90"), "HTTP_COOKIE=lang=de"),

	// Edge Architecture Specification 1.0 §2.3, as a dictionary
	res("Surrogate-Control", SurrogateControl, 70, "Surrogate-Control: max-age=70"),
	res("Surrogate-Control beats Cache-Control and Expires", SurrogateControl, 70, "Cache-Control: s-maxage=1, max-age=2", "Expires: 0", "surrogate-control: max-age=70"),
	res("CDN-Cache-Control beats Surrogate-Control", CDNCacheControl, 90, "Surrogate-Control: max-age=70", "CDN-Cache-Control: max-age=90"),
	res("X-Accel-Expires beats Surrogate-Control", XAccelExpires, 20, "Surrogate-Control: max-age=70", "X-Accel-Expires: 20"),
	res("CDN-Cache-Control broken, Surrogate-Control counts", SurrogateControl, 70, "CDN-Cache-Control: max-age=90,", "Surrogate-Control: max-age=70"),
	res("Surrogate-Control and Age", SurrogateControl, 60, "Surrogate-Control: max-age=70", "Age: 10"),
	res("Surrogate-Control: max-age=0", Expired, 0, "Surrogate-Control: max-age=0", "Cache-Control: max-age=60"),
	res("Surrogate-Control, fresh and stale", SurrogateControl, 70, "Surrogate-Control: max-age=70+600"),
	res("Surrogate-Control, fresh and stale for another", MaxAge, 60, "Surrogate-Control: max-age=70+600;abc", "Cache-Control: max-age=60"),
	res("Surrogate-Control, a plus and no number: ignored", MaxAge, 60, "Surrogate-Control: max-age=70+", "Cache-Control: max-age=60"),
	res("Surrogate-Control, three numbers: ignored", MaxAge, 60, "Surrogate-Control: max-age=70+1+2", "Cache-Control: max-age=60"),
	res("a plus in CDN-Cache-Control: ignored", MaxAge, 60, "CDN-Cache-Control: max-age=90+600", "Cache-Control: max-age=60"),
	res("Surrogate-Control with content", SurrogateControl, 70, `Surrogate-Control: max-age=70, content="ESI/1.0, x"`),
	res("Surrogate-Control with content alone", MaxAge, 60, `Surrogate-Control: content="ESI/1.0"`, "Cache-Control: max-age=60"),
	res("Surrogate-Control with content alone, and the default", DefaultTTL, 600, `Surrogate-Control: content="ESI/1.0"`),
	res("Surrogate-Control for another surrogate", MaxAge, 60, "Surrogate-Control: max-age=70;abc", "Cache-Control: max-age=60"),
	res("Surrogate-Control for another and for all", SurrogateControl, 70, "Surrogate-Control: max-age=5;abc, max-age=70"),
	res("Surrogate-Control has no s-maxage", MaxAge, 60, "Surrogate-Control: s-maxage=70", "Cache-Control: max-age=60"),
	res("Surrogate-Control twice, different", Expired, 0, "Surrogate-Control: max-age=70", "Surrogate-Control: max-age=7"),
	res("Surrogate-Control, a string for a number", Expired, 0, `Surrogate-Control: max-age="70"`, "Cache-Control: max-age=60"),
	res("Surrogate-Control broken: ignored", MaxAge, 60, "Surrogate-Control: max-age=70;;", "Cache-Control: max-age=60"),
	res("Surrogate-Control broken behind its lifetime: ignored", MaxAge, 60, "Surrogate-Control: max-age=70, ?", "Cache-Control: max-age=60"),
	res("Surrogate-Control empty: ignored", MaxAge, 60, "Surrogate-Control: ", "Cache-Control: max-age=60"),
	res("no-store in Surrogate-Control", NoStore, 0, "Surrogate-Control: no-store", "Cache-Control: max-age=60"),
	res("no-store for another surrogate", NoStore, 0, "Surrogate-Control: no-store;abc, max-age=70"),
	res("no-store-remote is for those far away", SurrogateControl, 70, "Surrogate-Control: no-store-remote, max-age=70"),
	res("no-store in a broken Surrogate-Control", NoStore, 0, "Surrogate-Control: max-age=70 no-store", "Cache-Control: max-age=60"),
	res("private in Surrogate-Control", Private, 0, "Surrogate-Control: private, max-age=70"),
	res("no-cache in Surrogate-Control", NoCache, 0, "Surrogate-Control: no-cache"),
	res("private beside Surrogate-Control", Private, 0, "Surrogate-Control: max-age=70", "Cache-Control: private"),

	// RFC 9111 §5.3: what is no date of RFC 9110 §5.6.7 has passed
	res("Expires, RFC 850", Expires, 60, "Date: "+httpDate(0), "Expires: Sunday, 01-Mar-26 12:01:00 GMT"),
	res("Expires, asctime", Expires, 60, "Date: "+httpDate(0), "Expires: Sun Mar  1 12:01:00 2026"),
	res("Expires with two spaces", Expired, 0, "Expires: Sun,  01 Mar 2026 12:01:00 GMT"),
	res("Expires with an hour of one digit", Expired, 0, "Expires: Mon, 02 Mar 2026 7:01:00 GMT"),
	res("Expires in another zone", Expired, 0, "Expires: Sun, 01 Mar 2026 12:01:00 UTC"),
	res("Expires in lower case", Expired, 0, "Expires: sun, 01 mar 2026 12:01:00 gmt"),
	res("Expires with dashes", Expired, 0, "Expires: Sun, 01-Mar-2026 12:01:00 GMT"),
	res("Expires in ISO 8601", Expired, 0, "Expires: 2026-03-01T12:01:00Z"),
	res("Expires that is no date, and max-age", MaxAge, 60, "Expires: 0", "Cache-Control: max-age=60"),

	// RFC 9111 §5.1, §4.2.3
	res("Age", MaxAge, 50, "Age: 10", "Cache-Control: max-age=60"),
	res("Age and s-maxage", SMaxAge, 50, "Age: 10", "Cache-Control: s-maxage=60"),
	res("Age and Expires", Expires, 50, "Age: 10", "Date: "+httpDate(0), "Expires: "+httpDate(60)),
	res("Age does not shorten a point in time", Expires, 60, "Age: 10", "Expires: "+httpDate(60)),
	res("Age and X-Accel-Expires", XAccelExpires, 50, "Age: 10", "X-Accel-Expires: 60"),
	res("Age and X-Accel-Expires: @", XAccelExpires, 40, "Age: 10", "X-Accel-Expires: @1772366440"),
	res("Age and the default", DefaultTTL, 590, "Age: 10"),
	res("Age equal", Expired, 0, "Age: 60", "Cache-Control: max-age=60"),
	res("Age greater", Expired, 0, "Age: 600", "Cache-Control: max-age=60"),
	res("Age huge", Expired, 0, "Age: 99999999999999999999", "Cache-Control: max-age=60"),
	res("Age garbage", MaxAge, 60, "Age: abc", "Cache-Control: max-age=60"),
	res("Age empty", MaxAge, 60, "Age: ", "Cache-Control: max-age=60"),
	res("Age negative", MaxAge, 60, "Age: -1", "Cache-Control: max-age=60"),
	res("Age with a fraction", MaxAge, 60, "Age: 1.5", "Cache-Control: max-age=60"),
	res("Age with a sign", MaxAge, 60, "Age: +5", "Cache-Control: max-age=60"),
	res("Age in quotes", MaxAge, 60, `Age: "50"`, "Cache-Control: max-age=60"),
	res("Age with a word behind it", MaxAge, 60, "Age: 50 s", "Cache-Control: max-age=60"),
	res("Age, the first of a list", MaxAge, 60, "Age: 0, old", "Cache-Control: max-age=60"),
	res("Age, the first of a list, later ones older", MaxAge, 50, "Age: 10 , 7200", "Cache-Control: max-age=60"),
	res("Age, a word first in a list", MaxAge, 60, "Age: old, 10", "Cache-Control: max-age=60"),
	res("Age with zeros", MaxAge, 50, "Age: 0000000000000000000000010", "Cache-Control: max-age=60"),
	res("Age of zeros", MaxAge, 60, "Age: 000", "Cache-Control: max-age=60"),
	res("Age over 2^31", Expired, 0, "Age: 2147483649", "Cache-Control: max-age=60"),
	res("Age garbage beside a Date", MaxAge, 20, "Age: x", "Date: "+httpDate(-40), "Cache-Control: max-age=60"),
	res("Age twice, different", DuplicateHeader, 0, "Age: 1", "Age: 2", "Cache-Control: max-age=60"),
	res("Date long ago", Expired, 0, "Date: "+httpDate(-60), "Cache-Control: max-age=60"),
	res("Date a while ago", MaxAge, 20, "Date: "+httpDate(-40), "Cache-Control: max-age=60"),
	res("Date now", MaxAge, 60, "Date: "+httpDate(0), "Cache-Control: max-age=60"),
	res("Date ahead", MaxAge, 60, "Date: "+httpDate(30), "Cache-Control: max-age=60"),
	res("Date garbage", MaxAge, 60, "Date: x", "Cache-Control: max-age=60"),
	res("the greater of Age and Date", MaxAge, 20, "Age: 10", "Date: "+httpDate(-40), "Cache-Control: max-age=60"),

	// The default lifetime, and cookies
	res("says nothing", DefaultTTL, 600),
	asked(res("harmless cookies", DefaultTTL, 600), "HTTP_COOKIE=_ga=GA1.2.3,4; _gid=x; cookieconsent_status=dismiss"),
	asked(res("another cookie", Cookie, 0), "HTTP_COOKIE=lang=de"),
	asked(res("another cookie among harmless ones", Cookie, 0), "HTTP_COOKIE=_ga=1; lang=de"),
	asked(res("a cookie without name", Cookie, 0), "HTTP_COOKIE=de"),
	asked(res("another header", UnknownHeader, 0), "HTTP_X_TENANT=shop"),
	asked(ok("another header, and the page's own word"), "HTTP_X_TENANT=shop"),
	asked(res("another var", UnknownVar, 0), "GEOIP_COUNTRY=de"),
	asked(ok("another var, and the page's own word"), "GEOIP_COUNTRY=de"),
	asked(res("another var, empty", DefaultTTL, 600), "GEOIP_COUNTRY="),
	under(asked(res("a rule and another var", UnknownVar, 0), "GEOIP_COUNTRY=de"), ruled),
	under(asked(res("a rule and another header", UnknownHeader, 0), "HTTP_X_TENANT="), ruled),

	// Authorization, RFC 9111 §3.5
	asked(res("authorization", Authorization, 0), "HTTP_AUTHORIZATION=Basic eA=="),
	asked(res("authorization, empty", Authorization, 0), "HTTP_AUTHORIZATION="),
	asked(no("authorization and max-age", Authorization), "HTTP_AUTHORIZATION=Bearer x"),
	asked(res("authorization and public alone", Authorization, 0, "Cache-Control: public"), "HTTP_AUTHORIZATION=Bearer x"),
	asked(res("authorization and public", MaxAge, 60, "Cache-Control: public, max-age=60"), "HTTP_AUTHORIZATION=Bearer x"),
	asked(res("authorization and s-maxage", SMaxAge, 60, "Cache-Control: s-maxage=60"), "HTTP_AUTHORIZATION=Bearer x"),
	asked(res("authorization and a bad s-maxage", Authorization, 0, "Cache-Control: s-maxage=x", "X-Accel-Expires: 60"), "HTTP_AUTHORIZATION=Bearer x"),
	asked(res("authorization and must-revalidate", MaxAge, 60, "Cache-Control: must-revalidate, max-age=60"), "HTTP_AUTHORIZATION=Bearer x"),
	asked(res("authorization and proxy-revalidate", Authorization, 0, "Cache-Control: proxy-revalidate, max-age=60"), "HTTP_AUTHORIZATION=Bearer x"),
	asked(res("authorization, public and a cookie of a session", IdentityCookie, 0, "Cache-Control: public, max-age=60"), "HTTP_AUTHORIZATION=Bearer x", "HTTP_COOKIE=sessionid=x"),
	asked(res("separators only", DefaultTTL, 600), "HTTP_COOKIE=; ;"),
	asked(res("another cookie, explicit lifetime", MaxAge, 60, "Cache-Control: max-age=60"), "HTTP_COOKIE=lang=de"),
	asked(res("another cookie, Expires", Expires, 60, "Expires: "+httpDate(60)), "HTTP_COOKIE=lang=de"),
	under(res("a rule", RuleTTL, 120), ruled),
	under(res("a rule and Age", RuleTTL, 110, "Age: 10"), ruled),
	under(res("max-age before a rule", MaxAge, 60, "Cache-Control: max-age=60"), ruled),
	under(res("Expires before a rule", Expires, 60, "Expires: "+httpDate(60)), ruled),
	under(res("Expires past before a rule", Expired, 0, "Expires: "+httpDate(-60)), ruled),
	under(res("a malformed max-age before a rule", Expired, 0, "Cache-Control: max-age=x"), ruled),
	under(asked(res("a rule and harmless cookies", RuleTTL, 120), "HTTP_COOKIE=_ga=1"), ruled),
	under(asked(res("a rule and another cookie", Cookie, 0), "HTTP_COOKIE=lang=de"), ruled),
	asked(res("another cookie, expired", Expired, 0, "Cache-Control: max-age=0"), "HTTP_COOKIE=lang=de"),

	// RFC 9111 §4.1
	ok("Vary: Accept-Encoding", "Vary: Accept-Encoding"),
	ok("vary: accept-encoding", "vary: accept-encoding"),
	ok("empty Vary", "Vary: "),
	no("Vary: *", Vary, "Vary: *"),
	no("Vary: Accept-Encoding, *", Vary, "Vary: Accept-Encoding, *"),
	no("Vary: Cookie", Vary, "Vary: Cookie"),
	no("Vary: Accept-Language", Vary, "Vary: Accept-Language"),
	no("Vary in a second line", Vary, "Vary: Accept-Encoding", "Vary: Cookie"),
	no("Vary in the middle", Vary, "Vary: Accept-Encoding, Cookie , Accept-Encoding"),
	no("Vary: Host, with a key handed over", Vary, "Vary: Host"),

	ok("Content-Encoding: identity", "Content-Encoding: Identity"),
	ok("empty Content-Encoding", "Content-Encoding: "),
	no("Content-Encoding: gzip", ContentEncoding, "Content-Encoding: gzip"),
	no("Content-Encoding: br", ContentEncoding, "content-encoding: br"),
	no("Content-Encoding twice", ContentEncoding, "Content-Encoding: identity", "Content-Encoding: gzip"),
	no("Content-Range on a 200", ContentRange, "Content-Range: bytes 0-4/5"),

	// Repeated headers (nginx.md 6.1)
	no("two types", DuplicateHeader, "Content-Type: text/html; charset=utf-8", "Content-Type: text/plain"),
	no("two validators", DuplicateHeader, "ETag: \"a\"", "ETag: \"b\""),
	no("two dates", DuplicateHeader, "Date: "+httpDate(0), "Date: "+httpDate(1)),
	ok("the same type twice", "Content-Type: text/html; charset=utf-8", "Content-Type: text/html; charset=utf-8"),
	ok("an unknown header twice", "X-A: 1", "X-A: 2"),

	// Content-Type (nginx.md 2.3)
	no("no type", ContentType, "-Content-Type"),
	no("empty type", ContentType, "Content-Type: "),
	no("another type", ContentType, "Content-Type: application/json"),
	ok("no charset: the body decides", "Content-Type: text/html"),
	under(no("no charset, and hits say another than UTF-8", ContentType, "Content-Type: text/html"), func(p *Policy) { p.Hits.Type = "text/html; charset=iso-8859-1" }),
	no("another charset", ContentType, "Content-Type: text/html; charset=iso-8859-1"),
	no("another parameter", ContentType, "Content-Type: text/html; charset=utf-8; level=1"),
	no("malformed type", ContentType, "Content-Type: text/html; charset=utf-8; charset=latin1"),
	ok("spelled differently", "Content-Type: TEXT/html;charset=UTF-8"),
	ok("quoted", `Content-Type: text/html; charset="utf-8"`),
	asked(no("JSON under a path for it, with charset", ContentType, "Content-Type: application/json; charset=utf-8"), "PATH_INFO=/a.json"),
	asked(ok("JSON under a path for it", "Content-Type: application/json"), "PATH_INFO=/a.json"),
	asked(no("HTML under a path for JSON", ContentType, "Content-Type: text/html; charset=utf-8"), "PATH_INFO=/a.json"),
	asked(ok("text gets the charset", "Content-Type: text/plain; charset=utf-8"), "PATH_INFO=/robots.txt"),
	asked(ok("text without the charset: the body decides", "Content-Type: text/plain"), "PATH_INFO=/robots.txt"),
	asked(ok("feed", "Content-Type: application/rss+xml; charset=utf-8"), "PATH_INFO=/feed.rss"),
	asked(ok("style sheet, no charset", "Content-Type: text/css"), "PATH_INFO=/a.CSS"),
	asked(ok("an unknown extension", "Content-Type: text/html; charset=utf-8"), "PATH_INFO=/a.xyz"),
	asked(ok("a dot in an earlier segment", "Content-Type: text/html; charset=utf-8"), "PATH_INFO=/a.css/"),
	asked(ok("a segment that begins with its dot", "Content-Type: text/html; charset=utf-8"), "PATH_INFO=/x/.css"),
	asked(ok("the first segment that begins with its dot", "Content-Type: text/html; charset=utf-8"), "PATH_INFO=/.css"),
	asked(ok("nothing behind the dot", "Content-Type: text/html; charset=utf-8"), "PATH_INFO=/a."),
	asked(ok("the last of two extensions", "Content-Type: application/zip"), "PATH_INFO=/a.html.zip"),
	asked(ok("without PATH_INFO, by the URI", "Content-Type: text/css"), "-PATH_INFO", "REQUEST_URI=/a%2Ecss?x.html"),
	asked(no("without PATH_INFO and URI", Rewritten, "Content-Type: text/html; charset=utf-8"), "-PATH_INFO", "-REQUEST_URI"),

	// What a hit cannot carry
	ok("a stock Django page", "X-Frame-Options: DENY", "X-Content-Type-Options: nosniff", "Referrer-Policy: same-origin", "Cross-Origin-Opener-Policy: same-origin"),
	ok("what nginx or nobody needs", "Server: x", "ETag: \"a\"", "Last-Modified: "+httpDate(-60), "X-Request-Id: 1"),
	no("Content-Disposition", HeaderLoss, "Content-Disposition: attachment"),
	no("Content-Language", HeaderLoss, "content-language: de"),
	no("Content-Location", HeaderLoss, "Content-Location: /a.de"),
	no("Location", HeaderLoss, "Location: /x"),
	no("Refresh", HeaderLoss, "Refresh: 5"),
	no("WWW-Authenticate", HeaderLoss, "WWW-Authenticate: Negotiate"),
	no("Clear-Site-Data", HeaderLoss, "Clear-Site-Data: *"),
	no("X-Robots-Tag", HeaderLoss, "X-Robots-Tag: noindex"),
	no("Access-Control-Allow-Origin", HeaderLoss, "Access-Control-Allow-Origin: *"),
	no("access-control-expose-headers", HeaderLoss, "access-control-expose-headers: x"),
	no("CSP", HeaderLoss, "Content-Security-Policy: default-src 'self'"),
	no("CSP in another case", HeaderLoss, "content-security-policy: upgrade-insecure-requests"),
	no("CSP, enforced and reported", HeaderLoss, "Content-Security-Policy-Report-Only: default-src 'self'", "Content-Security-Policy: default-src 'self'"),
	ok("CSP that only reports", "Content-Security-Policy-Report-Only: default-src 'self'"),
	ok("Proxy-Authenticate", "Proxy-Authenticate: Basic"),
	ok("Proxy-Authentication-Info", "Proxy-Authentication-Info: nextnonce=x"),
	ok("Proxy-Status and others", "Proxy-Status: a; error=x", "Proxy-Connection: close", "Proxy-Features: x"),
	no("CSP with a nonce", HeaderLoss, "Content-Security-Policy: script-src 'Nonce-abc'"),
	no("CSP report only, with a nonce", HeaderLoss, "Content-Security-Policy-Report-Only: script-src 'nonce-abc'"),
	ok("Link canonical", "Link: <https://e/x>; rel=canonical"),
	ok("Link preload", `Link: </a.css>; as=style; rel="preload", </b,c;d.js>; rel=preload; as=script`),
	ok("Link with both", `Link: </a>; rel="canonical preload"`),
	no("Link next", HeaderLoss, "Link: </2>; rel=next"),
	no("Link next behind preload", HeaderLoss, `Link: </a>; rel=preload, </2>; rel="next"`),
	no("Link of two kinds", HeaderLoss, `Link: </a>; rel="preload next"`),
	no("Link without rel", HeaderLoss, "Link: </a>"),
	no("Link with rel inside a title", HeaderLoss, `Link: </2>; title="; rel=preload"; rel=next`),
	no("Link malformed", HeaderLoss, "Link: next"),
	no("Link with an open quote", HeaderLoss, `Link: </a>; rel="preload`),
	no("Link whose first rel counts", HeaderLoss, "Link: </a>; rel=next; rel=preload"),

	// What a hit carries all the same, and what it should
	under(ok("Content-Language added by nginx", "content-language: de"), added("Content-Language", "de")),
	under(no("another Content-Language added by nginx", HeaderLoss, "Content-Language: en"), added("Content-Language", "de")),
	under(no("Content-Language in another case", HeaderLoss, "Content-Language: DE"), added("Content-Language", "de")),
	under(no("another header added by nginx", HeaderLoss, "Content-Language: de"), added("X-Robots-Tag", "de")),
	under(no("one of two lines added by nginx", HeaderLoss, "X-Robots-Tag: noindex", "X-Robots-Tag: nofollow"), added("X-Robots-Tag", "noindex")),
	under(ok("X-Robots-Tag added by nginx", "X-Robots-Tag: noindex"), added("x-robots-tag", "noindex")),
	under(ok("CORS added by nginx", "Access-Control-Allow-Origin: *"), added("Access-Control-Allow-Origin", "*")),
	under(no("CORS for one origin", HeaderLoss, "Access-Control-Allow-Origin: https://a.example"), added("Access-Control-Allow-Origin", "*")),
	under(ok("Content-Disposition added by nginx", "Content-Disposition: attachment"), added("Content-Disposition", "attachment")),
	under(ok("Link added by nginx", `Link: </api/>; rel="service-desc"`), added("Link", `</api/>; rel="service-desc"`)),
	under(ok("Service-Worker-Allowed added by nginx", "Service-Worker-Allowed: /"), added("Service-Worker-Allowed", "/")),
	under(ok("CSP added by nginx", "Content-Security-Policy: default-src 'self'"), added("Content-Security-Policy", "default-src 'self'")),
	under(no("another CSP added by nginx", HeaderLoss, "Content-Security-Policy: default-src 'none'"), added("Content-Security-Policy", "default-src 'self'")),
	under(no("CSP, only its report added by nginx", HeaderLoss, "Content-Security-Policy: default-src 'self'"), added("Content-Security-Policy-Report-Only", "default-src 'self'")),
	under(no("a nonce, whatever nginx adds", HeaderLoss, "Content-Security-Policy: script-src 'nonce-a'"), added("Content-Security-Policy", "script-src 'nonce-a'")),
	under(no("Refresh, whatever nginx adds", HeaderLoss, "Refresh: 5"), added("Refresh", "5")),
	under(no("Clear-Site-Data, whatever nginx adds", HeaderLoss, "Clear-Site-Data: *"), added("Clear-Site-Data", "*")),
	under(no("WWW-Authenticate, whatever nginx adds", HeaderLoss, "WWW-Authenticate: Negotiate"), added("WWW-Authenticate", "Negotiate")),
	under(no("Content-Location, whatever nginx adds", HeaderLoss, "Content-Location: /a.de"), added("Content-Location", "/a.de")),
	under(no("strict: X-Frame-Options", HeaderLoss, "X-Frame-Options: DENY"), strict),
	under(no("strict: Cross-Origin-Opener-Policy", HeaderLoss, "cross-origin-opener-policy: same-origin"), strict),
	under(no("strict: CSP", HeaderLoss, "Content-Security-Policy: default-src 'self'"), strict),
	under(no("strict: HSTS", HeaderLoss, "Strict-Transport-Security: max-age=1"), strict),
	under(ok("strict: what nobody misses", "Server: x", "ETag: \"a\"", "Vary: Accept-Encoding", "X-Powered-By: x", "Link: </a>; rel=preload"), strict),
	under(ok("strict: unknown headers", "X-Anything: 1"), strict),
	under(ok("strict: added by nginx", "X-Frame-Options: DENY"), func(p *Policy) { strict(p); added("X-Frame-Options", "DENY")(p) }),
	under(no("strict: added by nginx with another value", HeaderLoss, "X-Frame-Options: SAMEORIGIN"), func(p *Policy) { strict(p); added("X-Frame-Options", "DENY")(p) }),

	// Length (RFC 9112 §6.3)
	ok("chunked", "chunked"),
	under(ok("unframed HTML, accepted", "unframed"), unframed),
	under(no("two framings are never accepted", NoLength, "ambiguous"), unframed),
	under(asked(no("unframed text is never accepted", NoLength, "Content-Type: text/plain; charset=utf-8", "unframed"), "PATH_INFO=/a.txt"), unframed),
	under(no("empty, unframed accepted", Empty, "empty"), unframed),
	no("unframed", NoLength, "unframed"),
	no("two framings", NoLength, "ambiguous"),
	no("empty", Empty, "empty"),
	no("large", TooLarge, "large"),

	// The request's reasons come first.
	asked(no("refused request", Authorization, "Set-Cookie: a=b"), "REMOTE_USER=x"),
	asked(no("not looked up", NotLookedUp), "-CACHE_STATUS"),
}

func strict(p *Policy)   { p.Hits.Strict = true }
func unframed(p *Policy) { p.AcceptUnframed = true }
func ruled(p *Policy)    { p.Rules = NewRules([]Rule{{TTL: 2 * time.Minute}}) }

// added is a policy for a nginx that adds a header to hits.
func added(name, value string) func(*Policy) {
	return func(p *Policy) { p.Hits.Adds = append(p.Hits.Adds, uwsgi.Field{Name: name, Value: value}) }
}

func TestResponse(t *testing.T) {
	for _, r := range responseRows {
		t.Run(r.name, func(t *testing.T) {
			p, v := r.policy(), get(r.request...)
			got := p.Response(v, p.Request(v), page(r.lines...), testNow)
			if want := time.Duration(r.ttl) * time.Second; got.TTL != want || got.Reason != r.want {
				t.Errorf("got %v %q, want %v %q", got.TTL, got.Reason, want, r.want)
			}
			if got.Store() != (r.ttl > 0) {
				t.Errorf("Store() = %v", got.Store())
			}
		})
	}
}

func TestResponseLimits(t *testing.T) {
	tests := []struct {
		name               string
		byDefault, min, at time.Duration // at: MaxTTL
		lines              []string
		want               time.Duration
		reason             Reason
	}{
		{"no default", 0, 0, 0, nil, 0, Expired},
		{"no default, but explicit", 0, 0, 0, []string{"Cache-Control: max-age=60"}, time.Minute, MaxAge},
		{"negative default", -1, 0, 0, nil, 0, Expired},
		{"no default and a minimum", 0, time.Hour, 0, nil, 0, Expired},
		{"minimum lengthens", 0, time.Hour, 0, []string{"Cache-Control: max-age=60"}, time.Hour, MaxAge},
		{"minimum lengthens X-Accel-Expires", 0, time.Hour, 0, []string{"X-Accel-Expires: 60"}, time.Hour, XAccelExpires},
		{"minimum does not revive", 0, time.Hour, 0, []string{"Cache-Control: max-age=0"}, 0, Expired},
		{"minimum does not revive what aged", 0, time.Hour, 0, []string{"Cache-Control: max-age=60", "Age: 60"}, 0, Expired},
		{"maximum shortens", 0, 0, 30 * time.Second, []string{"Cache-Control: max-age=60"}, 30 * time.Second, MaxAge},
		{"maximum shortens the default", time.Hour, 0, time.Minute, nil, time.Minute, DefaultTTL},
		{"maximum beats minimum", 0, time.Hour, time.Minute, []string{"Cache-Control: max-age=5"}, time.Minute, MaxAge},
		{"maximum is a day unless set", 48 * time.Hour, 0, 0, nil, 24 * time.Hour, DefaultTTL},
		{"maximum above a day", 48 * time.Hour, 0, 240 * time.Hour, nil, 48 * time.Hour, DefaultTTL},
	}
	for _, tt := range tests {
		p := testPolicy()
		p.Lifetimes.Default, p.Lifetimes.Min, p.Lifetimes.Max = tt.byDefault, tt.min, tt.at
		v := get()
		got := p.Response(v, p.Request(v), page(tt.lines...), testNow)
		if got.TTL != tt.want || got.Reason != tt.reason {
			t.Errorf("%s: got %v %q, want %v %q", tt.name, got.TTL, got.Reason, tt.want, tt.reason)
		}
	}
}

func TestResponseVaryCoveredByTemplate(t *testing.T) {
	p := testPolicy()
	p.Keys.Template = mustTemplate(t, "$host$request_uri|$http_accept_language|$cookie_lang|${http_x_a}", "")
	for vary, want := range map[string]Reason{
		"Accept-Language":                        MaxAge,
		"accept-language, Accept-Encoding, HOST": MaxAge,
		"X-A":                                    MaxAge,
		"X_A":                                    Vary, // another header than the one in the key
		"Cookie":                                 Vary, // one cookie of all
		"*":                                      Vary,
		"Accept-Language, *":                     Vary,
		"User-Agent":                             Vary,
	} {
		for _, v := range []uwsgi.Vars{get("-CACHE_KEY"), get("CACHE_KEY=www.example.com/p?q=1|||")} {
			got := p.Response(v, p.Request(v), page("Vary: "+vary, "Cache-Control: max-age=60"), testNow)
			if got.Reason != want {
				t.Errorf("Vary: %s: got %q, want %q", vary, got.Reason, want)
			}
		}
	}
	// nginx has handed another key over, and what that contains nobody knows.
	v := get()
	if got := p.Response(v, p.Request(v), page("Vary: Accept-Language", "Cache-Control: max-age=60"), testNow); got.Reason != Vary {
		t.Errorf("another key than the template's: got %q, want %q", got.Reason, Vary)
	}
}

func TestResponseTypes(t *testing.T) {
	tests := []struct {
		name, hitType, path, mediaType string
		types                          map[string]string
		want                           bool
	}{
		{"another default", "text/plain", "/p", "text/plain", nil, true},
		{"another default, no charset", "text/plain", "/p", "text/plain; charset=utf-8", nil, false},
		{"a charset for mapped types too", "application/json; charset=koi8-r", "/a.txt", "text/plain; charset=KOI8-R", nil, true},
		{"no charset for mapped types", "application/json", "/a.txt", "text/plain", nil, true},
		{"map replaced", "", "/a.css", "text/x", map[string]string{"css": "text/x"}, true},
		{"map emptied", "", "/a.css", "text/html; charset=utf-8", map[string]string{}, true},
		{"malformed default", "text/html; charset", "/a.txt", "text/plain", nil, true},
		{"malformed default is matched by nothing else", "text/html; charset", "/p", "text/html", nil, false},
	}
	for _, tt := range tests {
		p := testPolicy()
		p.Hits.Type, p.Hits.Types = tt.hitType, tt.types
		v := get("PATH_INFO=" + tt.path)
		got := p.Response(v, p.Request(v), page("Content-Type: "+tt.mediaType), testNow)
		if got.Store() != tt.want {
			t.Errorf("%s: %q for %s: got %v, want stored = %v", tt.name, tt.mediaType, tt.path, got, tt.want)
		}
	}
}

func TestStockTypes(t *testing.T) {
	if len(stockTypes) < 95 {
		t.Errorf("only %d extensions", len(stockTypes))
	}
	for ext, mediaType := range stockTypes {
		if ext != strings.ToLower(ext) || !strings.Contains(mediaType, "/") {
			t.Errorf("%q: %q", ext, mediaType)
		}
	}
}

type bodyRow struct {
	name            string
	head, body      string
	whole, trailers bool
	want            Reason
}

var bodyRows = []bodyRow{
	{"counted", "-x", "hello", true, false, ""},
	{"chunked", "chunked", "hello", true, false, ""},
	{"counted, short", "-x", "hell", false, false, Truncated},
	{"counted, captured short", "-x", "hell", true, false, Truncated},
	{"counted, captured long", "-x", "hello!", true, false, Truncated},
	{"chunked, short", "chunked", "hello", false, false, Truncated},
	{"unframed", "unframed", "hello", false, false, NoLength},
	{"unframed, said to be whole", "unframed", "hello", true, false, NoLength},
	{"two framings", "ambiguous", "hello", true, false, NoLength},
	{"chunked, empty", "chunked", "", true, false, Empty},
	{"counted, empty", "empty", "", true, false, Empty},
	{"chunked, large", "chunked", strings.Repeat("x", 1<<20), true, false, TooLarge},
	{"chunked, as large as may be", "chunked", strings.Repeat("x", 1<<20-1<<10), true, false, ""},
	{"trailers", "chunked", "hello", true, true, Trailers},
	{"Django's token", "chunked", `<input name="csrfmiddlewaretoken">`, true, false, Sentinel},
	{"Flask's token", "chunked", `<input name="csrf_token">`, true, false, Sentinel},
	{"Rails' token", "chunked", `<input name="authenticity_token">`, true, false, Sentinel},
	{"a token at the very end", "chunked", "csrf_token", true, false, Sentinel},
	{"a token in another case", "chunked", "CSRF_TOKEN", true, false, ""},
	{"no charset, ASCII", "Content-Type: text/html", "hello", true, false, ""},
	{"no charset, UTF-8", "Content-Type: text/html", "h\u00e9ll", true, false, ""},
	{"no charset, Latin-1", "Content-Type: text/html", "h\xe9llo", true, false, ContentType},
	{"no charset, ISO-2022-JP", "Content-Type: text/html", "\x1b$B$O", true, false, ContentType},
	{"no charset, UTF-16", "Content-Type: text/html", "\x00h\x00el", true, false, ContentType},
	{"charset told, other bytes", "-x", "h\xe9llo", true, false, ""},
}

func TestBody(t *testing.T) {
	for _, r := range bodyRows {
		t.Run(r.name, func(t *testing.T) {
			if got := testPolicy().Body(page(r.head), []byte(r.body), r.whole, r.trailers); got != r.want {
				t.Errorf("got %q, want %q", got, r.want)
			}
		})
	}
}

func TestBodyOptions(t *testing.T) {
	p := &Policy{MaxBody: 3, Sentinels: []string{"one", "2"}}
	for body, want := range map[string]Reason{"abc": "", "abcd": TooLarge, "one": Sentinel, "a2c": Sentinel} {
		if got := p.Body(page("chunked"), []byte(body), true, false); got != want {
			t.Errorf("%q: got %q, want %q", body, got, want)
		}
	}
	none := &Policy{Sentinels: []string{}}
	if got := none.Body(page("chunked"), []byte("csrf_token"), true, false); got != "" {
		t.Errorf("without sentinels: got %q", got)
	}
}

func TestBodyUnframed(t *testing.T) {
	p := &Policy{AcceptUnframed: true, MaxBody: 30}
	tests := []struct {
		name, head, body string
		want             Reason
	}{
		{"closed", "unframed", "<p>x</p></html>", ""},
		{"closed in upper case", "unframed", "<P>x</P></HTML>", ""},
		{"closed, with white space behind", "unframed", "x</html> \t\r\n\n\f", ""},
		{"nothing but the tag", "unframed", "</html>", ""},
		{"cut off before the tag", "unframed", "<p>x</p>", NoLength},
		{"cut off inside the tag", "unframed", "<p>x</p></html", NoLength},
		{"a tag in the middle", "unframed", "x</html><p>", NoLength},
		{"a comment behind the tag", "unframed", "x</html><!-- -->", NoLength},
		{"a no-break space behind the tag", "unframed", "x</html>\u00a0", NoLength},
		{"empty", "unframed", "", NoLength},
		{"large", "unframed", strings.Repeat("x", 30) + "</html>", TooLarge},
		{"a sentinel", "unframed", "csrf_token</html>", Sentinel},
		{"two framings", "ambiguous", "x</html>", NoLength},
		{"counted, short", "-x", "</html>", Truncated},
		{"chunked, short", "chunked", "</html>", Truncated},
	}
	for _, tt := range tests {
		if got := p.Body(page(tt.head), []byte(tt.body), false, false); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	text := page("Content-Type: text/plain", "unframed")
	if got := p.Body(text, []byte("x</html>"), false, false); got != NoLength {
		t.Errorf("another type: got %q", got)
	}
	spelled := page("Content-Type: TEXT/html ; charset=utf-8", "unframed")
	if got := p.Body(spelled, []byte("x</html>"), false, false); got != "" {
		t.Errorf("the type spelled differently: got %q", got)
	}
}
