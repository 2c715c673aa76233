package parity

import (
	"slices"
	"strconv"
	"strings"

	"uwgate/nginxconf"
)

// retries checks for what nginx requests twice: from uwgate, and then from the next server.
func (k *checker) retries(p pass) {
	d := k.last(p.Location.Place, "uwsgi_next_upstream")
	var kept, statuses []string
	isTwice := false
	for _, word := range strings.Fields(d.Value) {
		switch {
		case word == "non_idempotent":
			isTwice = true
		case strings.HasPrefix(word, "http_"):
			statuses = append(statuses, word)
		default:
			kept = append(kept, word)
		}
	}
	if len(kept) == 0 {
		kept = []string{"error", "timeout"}
	}
	fix := k.put(p.Location.Place, "uwsgi_next_upstream "+strings.Join(kept, " ")+";")
	if isTwice {
		k.warning(d.Place, nextUpstream, fix,
			"with non_idempotent nginx sends a POST again to another server if the first one fails: the application may act on it twice")
	}
	if len(statuses) > 0 && len(p.Upstream.Servers) > 1 {
		k.warning(d.Place, nextUpstream, fix,
			"with %s nginx takes such a response of the application for a failure of uwgate: it requests the page again from the next server of %s, and the application does its work twice%s", join(statuses), p.Upstream.Name, k.avoids(p, statuses))
	}
}

// avoids says that nginx avoids uwgate after such responses, unless max_fails=0.
func (k *checker) avoids(p pass, statuses []string) string {
	isFailure := func(status string) bool { return status != "http_403" && status != "http_404" }
	isSure := func(s nginxconf.UpstreamServer) bool {
		return strings.Contains(s.Text, "max_fails=0") || strings.Contains(s.Text, " backup")
	}
	if !slices.ContainsFunc(statuses, isFailure) || !slices.ContainsFunc(p.Upstream.Servers, func(s nginxconf.UpstreamServer) bool { return !isSure(s) }) {
		return ""
	}
	return ". For 10 seconds after that it sends no request to uwgate, so nothing is stored"
}

// smallBuffer is the smaller one of nginx's defaults for uwsgi_buffer_size.
const smallBuffer = 4 << 10

// buffers checks how nginx takes responses from the gateway.
func (k *checker) buffers(p pass) {
	at := p.Location.Place
	if d := k.last(at, "uwsgi_buffer_size"); !d.IsZero() {
		if n, ok := size(d.Value); ok && n < smallBuffer {
			k.warning(d.Place, bufferSize, k.put(at, "uwsgi_buffer_size 68k;", "uwsgi_buffers 8 16k;", "uwsgi_busy_buffers_size 68k;"),
				"nginx answers 502 to every response whose head is larger than %s. The head of a page with cookies, or with what uwgate adds to it, may be", d.Value)
		}
	}
	if d := k.last(at, "uwsgi_buffering"); d.Value == "off" {
		k.note(d.Place, buffering, Fix{}, "nginx reads a page only as fast as its visitor does, so a slow visitor occupies a worker. For streams alone the application can send X-Accel-Buffering: no")
	}
}

// size parses a size of nginx, such as 4k.
func size(text string) (n int, ok bool) {
	text = nginxconf.Lower(text)
	unit := 1
	if digits, isK := strings.CutSuffix(text, "k"); isK {
		text, unit = digits, 1<<10
	} else if digits, isM := strings.CutSuffix(text, "m"); isM {
		text, unit = digits, 1<<20
	}
	n, err := strconv.Atoi(text)
	return n * unit, err == nil
}

// knownModules are parts of the names of modules whose directives are known, or change
// neither keys nor pages.
var knownModules = []string{
	"ndk_http", "http_memc", "http_srcache", "http_lua", "http_js", "http_perl", "http_set_misc", "http_echo", // which may set keys
	"http_brotli", "http_zstd", "http_gzip", "http_image_filter", "http_xslt", "http_subs_filter", "http_sub_filter", "http_geoip", // filters and variables
	"http_auth", "http_dav", "http_fancyindex", "http_uploadprogress", "http_upstream", "http_cache_purge", "http_naxsi", "http_modsecurity", "http_vhost_traffic",
	"http_keyval", "http_encrypted_session", "http_iconv", "http_acme", "http_otel", "http_opentracing", "http_opentelemetry",
	"stream", "mail", "rtmp", "otel", // not of http, or of logs only
}

// modules names the modules whose directives are not known.
func (k *checker) modules() {
	for _, m := range k.config.Modules {
		name := m.Value[strings.LastIndexByte(m.Value, '/')+1:]
		name = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(name, ".so"), "ngx_"), "_module")
		if slices.ContainsFunc(knownModules, func(known string) bool { return strings.HasPrefix(name, known) }) {
			continue
		}
		k.note(m.Place, moduleUnknown, Fix{},
			"check does not know the directives of the module %s: whether they change keys, pages or the way of requests, only you know", name)
	}
}
