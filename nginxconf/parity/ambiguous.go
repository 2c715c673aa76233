package parity

import (
	"strings"

	"uwgate/nginxconf"
)

// ambiguous finds keys that two URLs or visitors can have in common, since one variable of
// any text follows on another: with `$uri$args` /ab and /a?b have the same key.
func (k *checker) ambiguous(l Lookup) {
	if l.Misses == nil || l.Key.Late != "" {
		return
	}
	var apart nginxconf.Expression
	var one, other string
	for _, p := range nginxconf.ParseExpression(l.asked()) {
		if n := len(apart); n > 0 && touch(apart[n-1], p) {
			one, other = apart[n-1].Text, p.Text
			apart = append(apart, between(apart[n-1], p))
		}
		apart = append(apart, p)
	}
	if one == "" {
		k.decodedPath(l)
		return
	}
	k.error(l.at(l.Key.Place), keyAmbiguous, k.setKey(l, nginxconf.Quote(apart.String())),
		"in the key %s nothing is between $%s and $%s: two URLs can have one key, and visitors of one get the page of the other",
		l.asked(), one, other)
}

// decodedPath finds keys in which the decoded path is before the arguments: /a%3Fb=1 has the
// key of /a?b=1. A page of the first is never stored, but visitors get that of the second.
// Where workers get the decoded path, too, both are one page to them.
func (k *checker) decodedPath(l Lookup) {
	e := nginxconf.ParseExpression(l.asked())
	uri, _ := find(l.misses().Params, "REQUEST_URI")
	isDecoded := false
	for i, p := range e {
		if i > 0 && isPath(e[i-1]) && e[i-1].Text != "request_uri" && (p.IsVariable && p.Text == "is_args" || strings.HasPrefix(p.Text, "?")) {
			isDecoded = true
		}
	}
	if !isDecoded || !strings.Contains(uri.Value, "$request_uri") {
		return
	}
	k.note(l.at(l.Key.Place), keyAmbiguous,
		manual("write $request_uri in place of $uri$is_args$args, unless URLs are rewritten before the lookup; or refuse such URLs in the server block: if ($uri ~ \"[?]\") { return 404; }", "only you know whether the site has such URLs"),
		"$uri is decoded: a URL with an encoded question mark, as /a%%3Fb=1, has the key of /a?b=1, and its visitors get the page of the other")
}

// touch reports whether the end of one variable cannot be told from the begin of another.
func touch(one, other nginxconf.Piece) bool { return isFree(one) && (isFree(other) || isPath(other)) }

// isFree reports whether a piece is a variable that clients give any text, of any length.
func isFree(p nginxconf.Piece) bool {
	if !p.IsVariable || p.Text == "http_host" { // nginx refuses one with a slash
		return false
	}
	for _, prefix := range []string{"arg_", "cookie_", "http_"} {
		if strings.HasPrefix(p.Text, prefix) {
			return true
		}
	}
	return isPath(p) || p.Text == "args" || p.Text == "query_string"
}

func isPath(p nginxconf.Piece) bool {
	return p.IsVariable && (p.Text == "uri" || p.Text == "document_uri" || p.Text == "request_uri")
}

// between is what keeps two variables apart.
func between(one, other nginxconf.Piece) nginxconf.Piece {
	if one.Text != "request_uri" && isPath(one) && (other.Text == "args" || other.Text == "query_string") {
		return nginxconf.Piece{Text: "is_args", IsVariable: true}
	}
	return nginxconf.Piece{Text: "|"}
}
