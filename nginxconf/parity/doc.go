// Package parity compares an nginx configuration with the settings of a gateway.
//
// A hit never reaches the gateway. So if nginx asks for another key, another server or
// another format than the gateway writes, nothing fails: pages are just never found, or
// they are the wrong ones.
//
//	c, err := nginxconf.Read("/etc/nginx/nginx.conf", "")
//	for _, f := range parity.Check(c, parity.Gateway{Key: "$scheme://$host$request_uri"}) {
//		fmt.Println(f) // site.conf:12: error: …
//	}
//
// [Check] returns findings. Each has a place, a level, a code, what was found there with
// its consequence, and what to do. docs/check.md has a row for each code. Settings that the
// [Gateway] does not name are not compared with it, but all lookups must agree on them.
//
// [SettingsFor] goes the other way, for `uwgate serve --nginx`: it returns the [Settings]
// that a gateway must have for its pages to be found, and says what it could not take
// and why. A setting that the configuration does not prove is never guessed.
//
// It asks neither nginx nor memcached, and looks names up only with [Gateway].Resolve.
// What package nginxconf leaves out is not known here either.
package parity
