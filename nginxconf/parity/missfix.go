package parity

import (
	"fmt"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// passHere makes the gateway respond to the requests of a location.
func (k *checker) passHere(location nginxconf.Place) Fix {
	line := "uwsgi_pass " + k.gatewayAddress() + ";"
	for _, handler := range []string{"uwsgi_pass", "proxy_pass", "fastcgi_pass", "scgi_pass", "grpc_pass"} {
		if own := k.config.In(location, handler); len(own) > 0 {
			return replace(own[0].Place, line)
		}
	}
	return end(location, line)
}

// passElsewhere sends the requests that go where misses go to the gateway.
func (k *checker) passElsewhere(l Lookup) (f Fix) {
	if f, ok := k.addressFix(l.Misses.Upstream); ok {
		return f
	}
	line := "uwsgi_pass " + k.gatewayAddress() + ";"
	for _, p := range k.config.Passes {
		if p.Server == l.Server && p.Upstream.Name == l.Misses.Upstream.Name {
			f = f.and(replace(p.Place, line))
		}
	}
	return f.as(line)
}

// missFix makes what the error page leads to a way to the gateway.
func (k *checker) missFix(l Lookup, page nginxconf.ErrorPage) Fix {
	if !strings.HasPrefix(page.Target, "@") {
		return k.errorPageFix(l)
	}
	if at := k.named(l.Server, page.Target); !at.IsZero() {
		return k.passHere(at)
	}
	return end(l.Server.Place, "location "+page.Target+" { uwsgi_pass "+k.gatewayAddress()+"; }")
}

// named returns the place of a server's named location. Zero: there is none.
func (k *checker) named(server nginxconf.Block, name string) nginxconf.Place {
	for _, location := range k.config.In(server.Place, "location") {
		if location.Value == name {
			return location.Place
		}
	}
	return nginxconf.Place{}
}

// errorPageFix leads all that memcached does not serve to the application. Other error
// pages stay in force.
func (k *checker) errorPageFix(l Lookup) Fix {
	target, f := k.application(l)
	lines := append([]string{"error_page 404 405 502 504 = " + target + ";"}, otherPages(l.ErrorPages)...)
	block := l.If.Place
	own := k.config.In(block, "error_page")
	if len(own) == 0 {
		block = l.Location.Place
		own = k.config.In(block, "error_page")
	}
	if len(own) == 0 {
		f = end(block, lines...).and(f)
	} else {
		f = replace(own[0].Place, lines...).and(f)
		for _, d := range own[1:] {
			f = f.and(remove(d.Place))
		}
	}
	return f.as(lines[0])
}

// otherPages returns the lines of the error pages that memcached's failures do not need.
func otherPages(pages []nginxconf.ErrorPage) (lines []string) {
	done := []int{404, 405, 502, 504}
	for i, p := range pages {
		line := ""
		for _, other := range pages[i:] {
			if p.Target == other.Target && p.Keeps == other.Keeps && p.Changed == other.Changed && !slices.Contains(done, other.Code) {
				done = append(done, other.Code)
				line += fmt.Sprintf(" %d", other.Code)
			}
		}
		switch {
		case line == "":
			continue
		case p.Keeps:
			line += " ="
		case p.Changed != 0:
			line += fmt.Sprintf(" =%d", p.Changed)
		}
		lines = append(lines, "error_page"+line+" "+p.Target+";")
	}
	return lines
}

// application returns the named location that leads to the gateway. The fix adds it if
// there is none.
func (k *checker) application(l Lookup) (name string, f Fix) {
	for _, p := range l.ErrorPages {
		isThere := func(name string) bool { return !k.named(l.Server, name).IsZero() }
		if names := k.config.NamedTargets(p.Target); slices.ContainsFunc(names, isThere) {
			return p.Target, Fix{}
		}
	}
	for _, location := range k.config.In(l.Server.Place, "location") {
		if strings.HasPrefix(location.Value, "@") && len(k.config.In(location.Place, "uwsgi_pass")) > 0 {
			return location.Value, Fix{}
		}
	}
	name = "@uwgate"
	if !k.named(l.Server, name).IsZero() {
		name = "@uwgate_misses"
	}
	lines := ""
	to := k.gatewayAddress()
	if l.Misses != nil {
		to = l.Misses.Upstream.Name
		for _, param := range k.config.In(l.Misses.Location.Place, "uwsgi_param") {
			lines += "    " + paramLine(k.config.Words(param.Place)) + "\n"
		}
	}
	lines += "    uwsgi_pass " + to + ";\n"
	return name, end(l.Server.Place, "location "+name+" {\n"+lines+"}")
}

// paramLine writes a uwsgi_param.
func paramLine(words []string) string {
	line := words[0] + " " + words[1] + " " + nginxWord(words[2])
	for _, word := range words[3:] {
		line += " " + word
	}
	return line + ";"
}
