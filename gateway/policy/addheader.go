package policy

import (
	"strconv"
	"strings"

	"uwgate/uwsgi"
)

// AddToHits returns, for people, how nginx adds a header to hits. A bare add_header would also
// add it to what the application sends to logged-in users, in an `if` of the lookup's location
// or by inheritance from the server: they would get it twice. The map adds it only where the
// response has none. If nginx cannot write the value it returns "".
func AddToHits(f uwsgi.Field) string {
	if strings.IndexFunc(f.Name, func(r rune) bool { return r >= 0x80 || !isNameByte(byte(r)) && r != '-' }) >= 0 || strings.ContainsAny(f.Value, "$\\") {
		return ""
	}
	name, value := strings.ToLower(strings.ReplaceAll(f.Name, "-", "_")), strconv.Quote(f.Value)
	return "in nginx's http block: map $upstream_http_" + name + " $hit_" + name + ` { "" ` + value + "; }" +
		"; beside memcached_pass: add_header " + f.Name + " $hit_" + name + ";" +
		" then start with --nginx-adds " + strconv.Quote(f.Name+": "+f.Value) + " (`uwgate nginx` with this flag prints both lines)"
}

// fixLoss returns what to do about the headers that keep a page out, for each what is
// possible: nginx would give a header of one page or one visitor to every page.
func (h *head) fixLoss() string {
	var fixes []string
	for _, f := range h.r.Header {
		if _, refused := h.p.Hits.refusedHeader(uwsgi.Header{f}); refused {
			fixes = append(fixes, h.p.Hits.fixLossOf(f))
		}
	}
	return strings.Join(fixes, ". ")
}

func (h *Hits) fixLossOf(f uwsgi.Field) string {
	rule := headerRuleOf(f)
	fix := "do not send " + f.Name + " with pages for everybody"
	if added := AddToHits(f); rule.constant && added != "" && !h.Format.hasHead() {
		fix = "if all pages have this " + f.Name + ": " + added
	}
	if rule.inHTTP != refuse && !h.Format.hasHead() {
		fix += "; or --format http: hits keep the application's headers"
	}
	return fix
}
