// Package snippet prints nginx's side of a gateway: the configuration of a site whose
// pages nginx looks up exactly where the gateway stores them.
//
//	s := &snippet.Site{Gateways: []string{"unix:/run/uwgate.sock"}, Servers: []string{"127.0.0.1:11211"}}
//	err := s.Write(os.Stdout)
//
// nginx accepts the text as it stands, in its http context: every value is quoted, and
// what cannot be written in nginx's syntax is an error. The text is a template,
// snippet.conf.tmpl. The maps that decide which visitors are looked up are made from
// the tables of package policy, so nginx and the gateway classify cookies alike.
//
// The printed configuration hands the key, the status and the server of each lookup over
// to the gateway. With it the gateway needs no key template of its own.
//
// It leaves out what belongs to the operator: TLS certificates of the site, logs, static
// files. Package parity finds out whether an edited configuration still fits.
package snippet
