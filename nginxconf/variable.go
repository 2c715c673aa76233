package nginxconf

import (
	"fmt"
	"slices"
	"strings"
)

// An Expression is an argument with variables, in pieces.
type Expression []Piece

// A Piece is literal text, or the name of a variable without its dollar sign.
type Piece struct {
	Text       string
	IsVariable bool
}

// cutExpression cuts an argument as ngx_http_script_compile does.
func cutExpression(s string) (Expression, error) {
	var e Expression
	for rest := s; rest != ""; {
		text, after, found := strings.Cut(rest, "$")
		if text != "" {
			e = append(e, Piece{Text: text})
		}
		if !found {
			break
		}
		name, tail, ok := cutVariable(after)
		if !ok {
			return nil, fmt.Errorf("no variable's name follows the dollar sign of %q", "$"+after)
		}
		e = append(e, Piece{name, true})
		rest = tail
	}
	return e, nil
}

// ParseExpression cuts an argument into pieces. If it has a dollar sign without a name,
// with which nginx would not start, the whole argument is literal text.
func ParseExpression(s string) Expression {
	e, err := cutExpression(s)
	if err != nil {
		return Expression{{Text: s}}
	}
	return e
}

// cutVariable cuts the name off what follows a dollar sign.
func cutVariable(s string) (name, tail string, ok bool) {
	if s != "" && '1' <= s[0] && s[0] <= '9' {
		return s[:1], s[1:], true // a capture has one digit
	}
	inner, braced := strings.CutPrefix(s, "{")
	n := 0
	for n < len(inner) && isNameByte(inner[n]) {
		n++
	}
	if !braced {
		return inner[:n], inner[n:], n > 0
	}
	closed := n < len(inner) && inner[n] == '}'
	if n == 0 || !closed {
		return "", "", false
	}
	return inner[:n], inner[n+1:], true
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// String writes the expression as nginx reads it, with braces only where a name would run
// on.
func (e Expression) String() string {
	var b strings.Builder
	for i, p := range e {
		switch {
		case !p.IsVariable:
			b.WriteString(p.Text)
		case i+1 < len(e) && !e[i+1].IsVariable && isNameByte(e[i+1].Text[0]) && !isCapture(p.Text):
			b.WriteString("${" + p.Text + "}")
		default:
			b.WriteString("$" + p.Text)
		}
	}
	return b.String()
}

func isCapture(name string) bool { return len(name) == 1 && '1' <= name[0] && name[0] <= '9' }

// alone returns the variable that is the whole expression, in lower case.
func (e Expression) alone() (name string, ok bool) {
	if len(e) != 1 || !e[0].IsVariable {
		return "", false
	}
	return Lower(e[0].Text), true
}

// synonyms are nginx's own variables with a second name.
var synonyms = map[string]string{"document_uri": "uri", "query_string": "args"}

// Canonical writes an expression such that two expressions are the same text if nginx
// evaluates them alike.
func Canonical(s string) string {
	e := slices.Clone(ParseExpression(s))
	for i, p := range e {
		if p.IsVariable {
			e[i].Text = canonicalName(p.Text)
		}
	}
	return e.String()
}

// HasOnlyVariables reports whether an expression has no literal text.
func HasOnlyVariables(s string) bool {
	return !slices.ContainsFunc(ParseExpression(s), func(p Piece) bool { return !p.IsVariable })
}

func canonicalName(variable string) string {
	name := Lower(variable)
	if other, ok := synonyms[name]; ok {
		return other
	}
	return name
}

// Variables returns those of an expression, each once, in lower case and without dollar
// signs.
func Variables(s string) (names []string) {
	if !strings.Contains(s, "$") {
		return nil
	}
	for _, p := range ParseExpression(s) {
		if name := canonicalName(p.Text); p.IsVariable && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// IsArgs reports whether the variable changes with `set $args`.
func IsArgs(name string) bool {
	return name == "args" || name == "query_string" || name == "is_args" || strings.HasPrefix(name, "arg_")
}

// checkSet finds mistakes in a set.
func (d *directive) checkSet() error {
	if !strings.HasPrefix(d.args[0], "$") {
		return d.mistake("%s: %q is no variable; write `set $name value;`", d, d.args[0])
	}
	if _, err := cutExpression(d.args[1]); err != nil {
		return d.mistake("%s: %v", d, err)
	}
	return nil
}

// ownVariables are those of nginx and the modules that are built into it. The
// prefixes stand for any name behind them.
var (
	ownVariables = strings.Fields(`
		ancient_browser args binary_remote_addr body_bytes_sent bytes_sent connection connection_requests connection_time
		connections_active connections_reading connections_waiting connections_writing content_length content_type date_gmt
		date_local document_root document_uri fastcgi_path_info fastcgi_script_name gzip_ratio host hostname http2 http3 https
		invalid_referer is_args limit_conn_status limit_rate limit_req_status memc_cmd memc_exptime memc_flags memc_key memc_value
		memcached_key modern_browser msec msie nginx_version pid pipe proxy_add_x_forwarded_for proxy_host
		proxy_internal_body_length proxy_internal_chunked proxy_port proxy_protocol_addr proxy_protocol_port
		proxy_protocol_server_addr proxy_protocol_server_port query_string realip_remote_addr realip_remote_port
		realpath_root remote_addr remote_port remote_user request request_body request_body_file request_completion
		request_filename request_id request_length request_method request_port request_time request_uri scheme secure_link
		secure_link_expires server_addr server_name server_port server_protocol session_time slice_range srcache_expire
		srcache_fetch_status srcache_store_status status tcpinfo_rcv_space tcpinfo_rtt tcpinfo_rttvar tcpinfo_snd_cwnd time_iso8601 time_local
		uid_got uid_reset uid_set upstream_addr upstream_bytes_received upstream_bytes_sent upstream_cache_etag
		upstream_cache_last_modified upstream_cache_status upstream_connect_time upstream_header_time
		upstream_last_server_name upstream_response_length upstream_response_time upstream_status uri`)
	ownPrefixes = []string{"arg_", "cookie_", "http_", "sent_http_", "sent_trailer_", "upstream_http_", "upstream_trailer_",
		"upstream_cookie_", "ssl_", "proxy_protocol_tlv_"}
)
