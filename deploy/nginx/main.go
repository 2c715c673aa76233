// The program writes the recommended nginx configuration, filled in, and the two
// files that it includes, into a folder. The Dockerfile beside it runs it, so that
// compose, the demo and the tests have one and the same configuration.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"uwgate/demo/nginx"
)

func main() {
	var c nginx.Config
	flag.StringVar(&c.Listen, "listen", "8080", "nginx's listen `ADDRESS`")
	flag.StringVar(&c.Backend, "backend", "", "what uwsgi_pass goes to: uwgate's `ADDRESS`, as nginx writes it")
	flag.StringVar(&c.Hash, "hash", "", "how one of several memcached servers is chosen: consistent or modulo; else round robin")
	memcached := flag.String("memcached", "", "memcached `SERVERS`, separated by spaces")
	dir := flag.String("dir", "", "`FOLDER` to write to; it is made if it is not there")
	flag.Parse()
	c.Memcached = strings.Fields(*memcached)
	if err := write(*dir, c); err != nil {
		fmt.Fprintln(os.Stderr, "nginx:", err)
		os.Exit(1)
	}
}

// write fills dir, which holds none of the files yet.
func write(dir string, c nginx.Config) error {
	if c.Backend == "" || len(c.Memcached) == 0 || dir == "" {
		return errors.New("-backend, -memcached and -dir are needed")
	}
	conf, err := render(c)
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, nginx.Includes); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "nginx.conf"), conf, 0o644)
}

func render(c nginx.Config) ([]byte, error) {
	text, err := nginx.Templates.ReadFile("recommended.conf")
	if err != nil {
		return nil, err
	}
	var conf bytes.Buffer
	err = c.Write(&conf, string(text))
	return conf.Bytes(), err
}
