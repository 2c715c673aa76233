package nginx_test

import (
	"fmt"
	"strings"

	"uwgate/demo/nginx"
)

func ExampleConfig_Write() {
	c := nginx.Config{Listen: "127.0.0.1:8080", Backend: "unix:/run/uwgate.sock", Memcached: []string{"127.0.0.1:11211"}}
	var conf strings.Builder
	if err := c.Write(&conf, nginx.Recipe); err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(conf.String()) {
		if strings.Contains(line, "memcached_") || strings.Contains(line, "listen") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// listen 127.0.0.1:8080;
	// set $memcached_key ":1:CUSTOMKEY:$request_uri";
	// memcached_pass 127.0.0.1:11211;
}
