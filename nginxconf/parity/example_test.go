package parity_test

import (
	"fmt"

	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
)

const conf = `events {}
http {
	upstream memcached { server 127.0.0.1:11211 max_fails=0; }
	server {
		location / {
			default_type text/html; charset utf-8;
			types { text/html html; }
			set $memcached_key "$host$request_uri";
			memcached_pass memcached; memcached_connect_timeout 200ms; memcached_read_timeout 500ms;
			error_page 404 405 502 504 = @uwgate;
		}
		location @uwgate {
			uwsgi_param REQUEST_METHOD $request_method;
			uwsgi_param REQUEST_URI    $request_uri;
			uwsgi_param HTTP_HOST      $host;
			uwsgi_param CACHE_STATUS   $upstream_status;
			uwsgi_pass unix:/run/uwgate.sock;
		}
	}
}
`

func ExampleCheck() {
	c, err := nginxconf.Parse("nginx.conf", conf)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range parity.Check(c, parity.Gateway{Key: "$scheme://$host$request_uri"}) {
		if f.Level == parity.Error {
			fmt.Println(f)
			fmt.Println("fix:", f.Fix)
		}
	}
	// Output:
	// nginx.conf:8: error: nginx looks pages up under $host$request_uri, but uwgate stores them under $scheme://$host$request_uri
	// fix: --key '$host$request_uri'
}

func ExampleSettingsFor() {
	c, err := nginxconf.Parse("nginx.conf", conf)
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := parity.SettingsFor(c, []string{"unix:/run/uwgate.sock"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Key, s.Servers, s.Hash, s.HitType)
	// Output:
	// $host$request_uri [127.0.0.1:11211] none text/html; charset=utf-8
}

func ExampleRoutes() {
	const site = `http { server {
	uwsgi_param CACHE_STATUS $upstream_status;
	location / {
		if ($cookie_member) { return 405; }
		set $memcached_key "$host$request_uri";
		memcached_pass 127.0.0.1:11211;
		error_page 404 405 502 504 = @uwgate;
	}
	location @uwgate { uwsgi_pass unix:/run/uwgate.sock; }
} }`
	c, err := nginxconf.Parse("nginx.conf", site)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range parity.Routes(c, parity.Gateway{}) {
		fmt.Print(r)
	}
	// Output:
	// nginx.conf:9: uwsgi_pass (location @uwgate)
	//     misses of the lookup of nginx.conf:6
	//     requests without a lookup, by `return 405` of nginx.conf:4, also for URLs that are looked up
	//     uwgate can tell them apart
}
