package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"uwgate/uwsgi"
)

// sentences describe the reasons; %s is what a reason is about.
var sentences = map[Reason]string{
	NoMethod:        "nginx sent no REQUEST_METHOD",
	Method:          "the method is %s, and only GET fills the cache",
	Upgrade:         "the client asks for another protocol, with %s",
	Excluded:        "%s keeps the page out of the cache",
	Authorization:   "%s says who is asking",
	IdentityCookie:  "the cookie %s names the visitor",
	IdentityHeader:  "%s names the visitor",
	IdentityVar:     "nginx sends %s, which names the visitor",
	TokenCookie:     "the cookie %s protects forms: the page may hold the same token",
	RequestBody:     "the GET announces a body, with %s",
	RequestNoStore:  "the client forbids it, with Cache-Control: no-store",
	Range:           "the client asks for a part of the page, with %s",
	Precondition:    "the client sets a condition that only the application can judge, with %s",
	UnkeyedHeader:   "the client sent %s: the page may depend on it, and the key does not contain it",
	DuplicateHeader: "%s was given more than once, with different values",
	Host:            "%s",
	Rewritten:       "the application sees the path %s, and the key does not contain it: after a rewrite or an internal redirect of nginx, or in a subrequest",
	Arguments:       "%s",
	Scheme:          "%s says another scheme than the key",
	NoKey:           "%s",
	KeyTooLong:      "memcached takes keys of up to 250 bytes, and this one is longer once escaped",
	NotLookedUp:     "%s",

	Status:          "the status is %s, and nginx would serve the page as a 200",
	AccelRedirect:   "%s tells nginx to send something else than this body",
	SetCookie:       "the response sets %s",
	NoStore:         "the response forbids it, with %s",
	Private:         "the response is for one person, by %s",
	NoCache:         "the response must be validated before each use, by %s",
	Vary:            "%s names what the key does not contain",
	ContentEncoding: "%s: the body is encoded, and a hit would not say so",
	ContentRange:    "%s: the body is a part of the page",
	ContentType:     "%s",
	HeaderLoss:      "a hit would lack %s",
	NoLength:        "neither a length nor chunks prove that the body is complete",
	Empty:           "there is no body, and nginx would serve an empty page",
	TooLarge:        "%s",
	Expired:         "%s",
	Cookie:          "the request has the unknown cookie %s, and the response has no lifetime of its own",
	UnknownHeader:   "the request has the unknown header %s, and the response has no lifetime of its own",
	UnknownVar:      "nginx sends the unknown var %s, and the response has no lifetime of its own",
	Truncated:       "the body is not what its head announced: %s",
	Trailers:        "trailer fields followed the body, and a hit cannot carry them",
	Sentinel:        "the body contains the text %s",

	Observe: "it is only observed: whatever the decision, nothing is stored",
}

// add adds a refusal, unless it is there already.
func (e *Explanation) add(reason Reason, about string) {
	found := Finding{Reason: reason, Detail: strings.ReplaceAll(sentences[reason], "%s", about)}
	for _, f := range e.Refusals {
		if f == found {
			return
		}
	}
	e.Refusals = append(e.Refusals, found)
}

// findings returns all refusals in the request.
func (q *request) findings() []Finding {
	e := Explanation{Refusals: []Finding{}}
	plan := q.locate()
	for _, r := range requestRefusals {
		if at, found := q.find(r); found {
			e.add(r, q.about(r, at))
		}
	}
	switch plan.Reason {
	case NoKey:
		e.add(NoKey, plan.Note)
	case KeyTooLong:
		e.add(KeyTooLong, "")
	}
	if !q.p.Keys.lookup(&q.packet).proven {
		e.add(NotLookedUp, q.p.whyNotLookedUp(q.v))
	}
	for _, f := range q.lacks() {
		if _, told := q.find(Host); f.reason != Host || !told {
			e.add(f.reason, q.about(f.reason, f.at))
		}
	}
	if q.noStore {
		e.add(RequestNoStore, "")
	}
	return e.Refusals
}

// about returns in words what a refusal is about.
func (q *request) about(reason Reason, at string) string {
	switch {
	case reason == Excluded && at == "":
		return "the rule that matches"
	case reason == Excluded:
		return "the path's beginning " + at
	case reason == Host && len(q.p.Keys.AllowedHosts) > 0 && at == requestHost(q.v):
		return "pages of the host " + at + " are not stored"
	case reason == Arguments:
		return aboutArguments(at)
	case reason == Rewritten, reason == Scheme:
		return at
	case reason == Host && at == "":
		return "the key does not contain the host, " + requestHost(q.v)
	case reason == Host && normalizeHost(at) == requestHost(q.v):
		return "the application sees the host " + at + ", and the key does not contain it"
	case reason == Host:
		return "the key says " + at + ", but the page is made for " + requestHost(q.v)
	}
	return headerOf(at)
}

// aboutArguments shortens a long query.
func aboutArguments(query string) string {
	if len(query) > maxLine {
		query = query[:maxLine] + "…"
	}
	if query == "" {
		return "the application sees no arguments, and the key is that of a URL with arguments"
	}
	return "the application sees the arguments " + query + ", and the key does not contain exactly these"
}

// headerOf returns the name of a var's header, and other names unchanged.
func headerOf(name string) string {
	header, ok := strings.CutPrefix(name, "HTTP_")
	if !ok {
		return name
	}
	if i := slices.IndexFunc(repeaters[:], func(r repeater) bool { return isHeaderVariable(r.header, header) }); i >= 0 {
		return repeaters[i].header
	}
	words := strings.Split(strings.ToLower(header), "_")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "-")
}

func (p *Policy) whyNotLookedUp(v uwsgi.Vars) string {
	status, told := v.Lookup(varStatus)
	switch addr := lastEntry(v.Get(varServer)); {
	case !v.Agreed(varStatus), !v.Agreed(varServer):
		return "nginx sent CACHE_STATUS or CACHE_SERVER more than once, with different values"
	case addr != "" && !p.Keys.Knows(addr):
		return "CACHE_SERVER is " + addr + ", which is not one of our memcached servers"
	case !told:
		return "nginx sent no CACHE_STATUS, so it is not known to have asked memcached and missed"
	case status == "":
		return "CACHE_STATUS is empty: nginx did not ask memcached"
	}
	return "CACHE_STATUS is " + status + ", which is not a miss"
}

// addHead adds the refusals in the head, lifetimes last.
func (e *Explanation) addHead(h *head) {
	for _, r := range headRefusals {
		if at, found := h.find(r); found {
			e.add(r, h.about(r, at))
			if r == HeaderLoss {
				e.Refusals[len(e.Refusals)-1].Fix = h.fixLoss()
			}
		}
	}
	ttl, source := h.lifetime()
	if ttl <= 0 {
		e.add(Expired, h.whyExpired(source))
	}
	seen := h.p.look(h.v)
	if seen.credentials && (source.isOurs() || !h.cc.allowsAuthorized()) {
		e.add(Authorization, headerOf("HTTP_AUTHORIZATION"))
	}
	if source.isOurs() {
		e.addUnknown(&seen)
	}
}

// addUnknown adds what keeps out a page without a lifetime of its own.
func (e *Explanation) addUnknown(s *sight) {
	for _, x := range []struct {
		reason Reason
		at     string
	}{{Cookie, s.unknownCookie}, {UnknownHeader, headerOf(s.unknownHeader)}, {UnknownVar, s.unknownVar}} {
		if x.at != "" {
			e.add(x.reason, x.at)
		}
	}
}

// about returns in words what a refusal is about.
func (h *head) about(reason Reason, at string) string {
	switch reason {
	case Excluded:
		return "the rule that matches"
	case Status:
		return strconv.Itoa(h.r.StatusCode)
	case SetCookie:
		if name := cookieName(h.r.Header.Get(at)); name != "" {
			return "the cookie " + name
		}
		return "a cookie without a name"
	case DuplicateHeader:
		return at
	case ContentType:
		return h.wrongType()
	case HeaderLoss:
		return h.lostLines()
	case TooLarge:
		return h.whatIsTooLarge()
	}
	return line(uwsgi.Field{Name: at, Value: h.joined(at)})
}

// joined returns the values of all lines of that name.
func (h *head) joined(name string) string {
	var values []string
	for _, f := range h.r.Header {
		if equalFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return strings.Join(values, ", ")
}

func (h *head) wrongType() string {
	got := h.r.Header.Get("Content-Type")
	if got == "" {
		return "the response has no Content-Type"
	}
	want, ok := h.p.Hits.typeOf(h.v)
	if !ok {
		return "the path cannot be decoded, so the Content-Type that nginx would give a hit is not known"
	}
	return "the response is " + got + ", and nginx would send a hit as " + want
}

func (h *head) whatIsTooLarge() string {
	if h.hasLargeHead() {
		return fmt.Sprintf("the head that goes with the body would be over %d bytes, which nginx's srcache does not read", maxHead)
	}
	return whatLimit(h.p)
}

func whatLimit(p *Policy) string {
	return "the body is larger than the " + strconv.FormatInt(p.BodyLimit(), 10) + " bytes that are stored at most"
}

func (h *head) lostLines() string {
	var lines []string
	for _, f := range h.r.Header {
		if _, refused := h.p.Hits.refusedHeader(uwsgi.Header{f}); refused {
			lines = append(lines, line(f))
		}
	}
	return strings.Join(lines, " and ")
}

// maxLine is the length in bytes to which a header line is shortened.
const maxLine = 200

func line(f uwsgi.Field) string {
	s := f.Name + ": " + f.Value
	if len(s) > maxLine {
		return s[:maxLine] + "…"
	}
	return s
}

func (h *head) whyExpired(source Reason) string {
	switch {
	case source == DefaultTTL && h.p.Lifetimes.Default <= 0:
		return "the response says nothing about its lifetime, and there is no default"
	}
	return "no lifetime is left of " + string(source)
}

// addBody adds the refusals in the body. The head may have the same ones.
func (e *Explanation) addBody(c *content) {
	for _, r := range bodyRefusals {
		if r.find(c) {
			e.add(r.reason, c.about(r.reason))
		}
	}
}

func (c *content) about(reason Reason) string {
	switch reason {
	case TooLarge:
		return whatLimit(c.p)
	case Truncated:
		if c.r.Chunked {
			return "the last chunk did not come"
		}
		return fmt.Sprintf("%d bytes came, of %d", len(c.body), c.r.ContentLength)
	case ContentType:
		return "the response names no charset, its body is not UTF-8, and a hit would declare UTF-8"
	case Sentinel:
		word, _ := c.p.sentinel(c.body)
		return word
	}
	return ""
}
