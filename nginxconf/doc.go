// Package nginxconf writes nginx's side of a gateway, and reads what nginx is
// configured to do.
//
//	s := nginxconf.Snippet{Gateway: "unix:/run/uwgate.sock", Servers: []string{"127.0.0.1:11211"}}
//	err := s.Write(os.Stdout)
//
//	c, err := nginxconf.Read("/etc/nginx/nginx.conf", "")
//	for _, l := range c.Lookups {
//		fmt.Println(l.Place, l.Key.Expanded, l.Memcached.Name)
//	}
//
// A [Snippet] is a site that nginx accepts as it stands, with every value quoted.
//
// [Read] answers what a gateway must know: under which key nginx looks a page up, on
// which servers, how it reads what lies there, what it makes of a hit, and where a miss
// goes with which params. It does so as nginx does: include with patterns, the
// inheritance of each directive, the order of the rewrite module's `set`, `if`, `break`
// and `rewrite`, and the choice of a location. What is not known is skipped, so that
// any module's directives may stand anywhere; blocks of Lua are skipped whole.
//
// Left out are whatever else nginx can do, the values of conditions, maps and the like
// in a key (they are named instead, as [Key].Opaque), and what is decided while nginx
// runs: which names resolve to what, which server is down. Regexes of locations are
// matched as far as Go can read them. That nginx starts with a configuration is for
// `nginx -t` to say.
package nginxconf
