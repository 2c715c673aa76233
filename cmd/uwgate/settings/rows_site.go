package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"uwgate/nginxconf/snippet"
)

// siteRows are the settings of `uwgate nginx` alone.
func siteRows() []row {
	return []row{
		{name: "part", kind: word(func(s *Settings) *string { return &s.Command.Part }, string(snippet.PartAll), string(snippet.PartHTTP), string(snippet.PartServer)), defaults: []string{string(snippet.PartAll)}, example: "server",
			help: "print this `PART`: all is a server block with what it needs; http and server are files for your own http and server blocks to include, so that you edit none that is printed"},
		{name: "name", kind: text("word", func(s *Settings) *string { return &s.Command.Name }, snippet.CheckName), defaults: []string{snippet.DefaultName}, example: "shop",
			help: "put this `NAME` at the end of the site's upstreams, variables and named locations, so that one nginx can have several sites"},
		{name: "server-name", kind: texts("host", func(s *Settings) *[]string { return &s.Command.ServerNames }, anything), example: "www.example.com",
			help: "write this `NAME` of the site into server_name; _ makes it nginx's default site, which gets the requests for all hosts that no other site has"},
		{name: "nginx-listen", kind: texts("address", func(s *Settings) *[]string { return &s.Command.NginxListen }, checkNginxListen), defaults: []string{"80"}, example: "443 ssl",
			help: "write this `ADDRESS` into nginx's listen, as in \"443 ssl\""},
		{name: "backup", kind: toggle(func(s *Settings) *bool { return &s.Command.Backup }), defaults: []string{"true"}, example: "false",
			help: "make the servers of --backend backup servers, which nginx asks while uwgate is down; the firewall of uwgate is then bypassed"},
		{name: "ssi", kind: texts("path", func(s *Settings) *[]string { return &s.Command.Fragments }, snippet.CheckFragments), example: "/fragments/",
			help: "process SSI directives in pages; fragments whose paths begin with this `PATH` have keys of their own (docs/nginx.md)"},
		{name: "ignore-arg", kind: texts("glob", func(s *Settings) *[]string { return &s.Command.IgnoreArgs }, checkIgnored), example: "utm_*",
			help: "remove this `ARGUMENT`, on which no page depends, from the key; a glob; tracking stands for the arguments of advertisers and newsletters"},
	}
}

// listenParameter is one of nginx's words behind the address of `listen`.
var listenParameter = regexp.MustCompile(`^(ssl|http2|quic|proxy_protocol|default_server|bind|reuseport|deferred|ipv6only=(on|off)|so_keepalive=\S+|(setfib|fastopen|backlog|rcvbuf|sndbuf|accept_filter)=\w+)$`)

// checkNginxListen accepts what nginx's `listen` accepts.
func checkNginxListen(text string) error {
	words := strings.Fields(text)
	if len(words) == 0 || strings.ContainsAny(text, "{};\"'#\n") {
		return errors.New("write an address or a port, and parameters of nginx's listen behind it, without a semicolon")
	}
	for _, word := range words[1:] {
		if !listenParameter.MatchString(word) {
			return fmt.Errorf("nginx's listen has no parameter %q; there are ssl, http2, default_server, proxy_protocol, reuseport and others", word)
		}
	}
	host, port := "", words[0]
	if i := strings.LastIndexByte(port, ':'); i >= 0 && !strings.HasSuffix(port, "]") {
		host, port = port[:i], port[i+1:]
	}
	isPort := strings.Trim(port, "0123456789") == "" && port != ""
	if host == "" && !isPort {
		if _, err := netip.ParseAddr(strings.Trim(port, "[]")); err != nil && !strings.Contains(port, ".") && port != "localhost" {
			return errors.New("write a port, as in 80, an address, as in 127.0.0.1:80 or [::]:80, or unix:/path")
		}
	}
	if host != "" && !isPort && host != "unix" {
		return errors.New("write a port, as in 80, an address, as in 127.0.0.1:80 or [::]:80, or unix:/path")
	}
	return nil
}

func checkIgnored(text string) error {
	if text == "" || strings.ContainsAny(text, "=&?# ") {
		return errors.New("write the name of an argument, or tracking")
	}
	return nil
}
