package policy

import (
	"strings"

	"uwgate/uwsgi"
)

// A packet is what one pass finds in the vars of a request as received. If a var
// is repeated, the last value counts, as for the worker, except where a field says
// otherwise.
type packet struct {
	seenURL
	handover handover

	method   string // REQUEST_METHOD
	upgrades bool   // any HTTP_UPGRADE has a value
	noStore  bool   // any HTTP_CACHE_CONTROL forbids to store (RFC 9111 §5.2.1.5)

	// The first var that announces a body, the first one that asks for a part of the
	// page, and the first one that sets a condition; "" if there is none.
	body, part, condition string
}

// read makes the pass.
func (k *packet) read(v uwsgi.Vars) {
	for i := range v {
		x := &v[i]
		switch x.Name { // by length first
		case "REQUEST_METHOD":
			k.method = x.Value
		case "REQUEST_URI":
			k.uri = x.Value
		case "PATH_INFO":
			k.path, k.hasPath = x.Value, true
		case "QUERY_STRING":
			k.query, k.hasQuery = x.Value, true
		case "SCRIPT_NAME":
			k.script = x.Value
		case "HTTP_HOST":
			k.host = x.Value
		case "SERVER_NAME":
			k.server = x.Value
		case "SERVER_PORT":
			k.port = x.Value
		case "REQUEST_SCHEME":
			k.scheme = x.Value
		case "HTTPS":
			k.https = x.Value
		case "HTTP_X_FORWARDED_PROTO":
			k.proto, k.hasProto = x.Value, true
		case "HTTP_X_FORWARDED_SSL":
			k.ssl, k.hasSSL = x.Value, true
		case varKey:
			k.handover.key.add(x.Value)
		case varStatus:
			k.handover.status.add(x.Value)
		case varServer:
			k.handover.server.add(x.Value)
		case "HTTP_UPGRADE":
			k.upgrades = k.upgrades || x.Value != ""
		case "HTTP_CACHE_CONTROL":
			k.noStore = k.noStore || forbidsStoring(x.Value)
		case "CONTENT_LENGTH", "HTTP_CONTENT_LENGTH":
			if strings.Trim(x.Value, "0") != "" {
				note(&k.body, x.Name)
			}
		case "HTTP_TRANSFER_ENCODING":
			note(&k.body, x.Name)
		case "HTTP_RANGE", "HTTP_IF_RANGE", "HTTP_REQUEST_RANGE":
			note(&k.part, x.Name)
		default:
			if isPrecondition(x.Name) {
				note(&k.condition, x.Name)
			}
		}
	}
	k.settle()
}

// isPrecondition reports whether a header may lead to a 412 (RFC 9110 §13.1.1 and
// §13.1.4, WebDAV's If, and others with such names). The two that ask whether the
// page has changed do not count, because NotModified handles them; nor does
// If-Range, which asks for a part of the page (RFC 9110 §14).
func isPrecondition(name string) bool {
	if !strings.HasPrefix(name, "HTTP_IF") {
		return name == "HTTP_UNLESS_MODIFIED_SINCE"
	}
	rest := name[len("HTTP_IF"):]
	return rest == "" || rest[0] == '_' && rest != "_RANGE" && !asksForChange(name)
}

// asksForChange reports whether a client uses the header to ask if it has the page
// already.
func asksForChange(name string) bool {
	return name == "HTTP_IF_NONE_MATCH" || name == "HTTP_IF_MODIFIED_SINCE"
}

func forbidsStoring(line string) bool {
	var cc cacheControl
	cc.parse(line)
	return cc.noStore
}

// A handover is the vars with which nginx hands over the key.
type handover struct{ key, status, server handed }

// A handed is one var of a handover: its last value if there are several.
type handed struct {
	value       string
	sent, mixed bool // mixed: there are different values
}

func (h *handed) add(value string) {
	h.mixed = h.mixed || h.sent && h.value != value
	h.value, h.sent = value, true
}
