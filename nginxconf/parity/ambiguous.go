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
		return
	}
	k.error(l.at(l.Key.Place), keyAmbiguous, k.setKey(l, nginxconf.Quote(apart.String())),
		"in the key %s nothing is between $%s and $%s: two URLs can have one key, and visitors of one get the page of the other",
		l.asked(), one, other)
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
