// Package nginxconf reads what nginx is configured to do with pages: under which key
// and on which memcached servers it looks them up, what it makes of a hit, and to which
// uwsgi_pass, with which params, it sends the rest.
//
//	c, err := nginxconf.Read("/etc/nginx/nginx.conf", "")
//	for _, l := range c.Lookups {
//		fmt.Println(l.Place, l.Key.Expanded, l.Memcached.Name)
//	}
//
// It knows nginx only, and nothing of a gateway. Package snippet prints a configuration,
// and package parity compares one with a gateway's settings.
//
// # How it reads
//
// [Read] makes the model in four steps. Each follows nginx:
//
//  1. Words, blocks and includes (lex.go, parse.go, include.go). Files that cannot be
//     read become a [Gap]. A mistake with which nginx would not start is a [SyntaxError].
//  2. Scopes and inheritance: which directive counts in which location (scope.go,
//     locate.go).
//  3. Variables: the rewrite module's set, if, break and rewrite run in nginx's order,
//     and the key is written out down to nginx's own variables (rewrite.go, key.go).
//     What only nginx can compute, such as a map, is listed in [Key].Opaque.
//  4. The ways of GET requests: through rewrites, whatever refuses requests, try_files,
//     handlers and error_page, to each uwsgi_pass (flow.go and the files beside it). A
//     way is followed unless it can be excluded. So a [Pass] knows which requests reach
//     it without a lookup, and which directives change their path.
//
// # What it leaves out
//
// Directives that it does not know are skipped, so any module's directives may stand
// anywhere. Code in Lua, njs and Perl is not read: it may send a request to any location of
// its server ([Config].Programs). Conditions are evaluated only if they test the
// method. It does not know what is decided while nginx runs, such as the addresses of a
// name. Regular expressions of locations are matched as far as Go can read them. `nginx -t`
// says whether nginx starts with a configuration.
package nginxconf
