package settings

import (
	"sync"
	"time"
)

// A row is what there is to know of one setting. Its help begins with a verb.
type row struct {
	kind
	name     string
	short    string // a one-letter name of the flag
	topic    string // of the settings of serve
	help     string
	defaults []string
	example  string
	restart  bool // HUP does not change it
	secret   bool // errors do not show it
	own      bool // of one command: a flag alone
}

// A section is the settings of one topic.
type section struct {
	topic string // one word, for `uwgate help`
	title string
	about string // what the settings of the topic say
	part  func() []row
}

// sections are all settings of serve, in the order of the help and of docs/settings.md.
var sections = []section{
	{"listening", "Listening", "where nginx connects to uwgate, and who may", listenRows},
	{"backends", "Backends", "the workers' servers: which, how many requests, queues, probes", backendRows},
	{"subscriptions", "Subscriptions", "uWSGI servers that announce themselves", subscribeRows},
	{"store", "Key and memcached", "under which key and on which memcached server pages are stored", storeRows},
	{"visitors", "Visitors", "which cookies, headers and vars name a visitor", visitorRows},
	{"lifetimes", "Lifetimes", "how long pages are stored, and how they are refreshed", lifetimeRows},
	{"pages", "Pages and hits", "which pages are stored, and what nginx serves of them", pageRows},
	{"limits", "Timeouts and limits", "how long each step may take, and how much memory", trafficRows},
	{"purging", "Purging", "who may delete pages, and how many", purgeRows},
	{"control", "Logs and control", "logs, metrics, the admin API, the configuration file", controlRows},
}

func (s section) rows() []row {
	rows := s.part()
	for i := range rows {
		rows[i].topic = s.topic
	}
	return rows
}

// allRows returns the rows of all settings but those that belong to one command. They are
// not to be changed.
var allRows = sync.OnceValue(func() []row {
	var rows []row
	for _, s := range sections {
		rows = append(rows, s.rows()...)
	}
	return rows
})

// only returns the rows with these names.
func only(names ...string) []row {
	var rows []row
	for _, name := range names {
		for _, r := range allRows() {
			if r.name == name {
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// but returns all rows but one.
func but(name string) []row {
	var rows []row
	for _, r := range allRows() {
		if r.name != name {
			rows = append(rows, r)
		}
	}
	return rows
}

// ForServe returns the settings of `uwgate serve`.
func ForServe() *Set { return newSet(allRows()) }

// ForKey returns the settings of `uwgate key`.
func ForKey() *Set {
	return newSet(
		only("memcached", "hash", "key", "generation", "nginx", "nginx-version", "identity-cookie", "token-cookie", "harmless-cookie"),
		[]row{
			headerRow("add a header to the request, as `'Name: value'`"),
			{name: "raw", kind: toggle(func(s *Settings) *bool { return &s.Command.Raw }), own: true,
				help: "take the arguments as keys, as nginx evaluates $memcached_key, and not as URLs"},
			{name: "stdin", kind: toggle(func(s *Settings) *bool { return &s.Command.Stdin }), own: true,
				help: "read the arguments from standard input, one a line"},
			jsonRow("print one JSON object a line"),
		},
		only("listen", "config"))
}

// ForExplain returns the settings of `uwgate explain`.
func ForExplain() *Set {
	return newSet([]row{
		{name: "request-file", kind: text("file", func(s *Settings) *string { return &s.Command.RequestFile }, nil), own: true,
			help: "explain the request in this `FILE`, or in standard input for -, and not that of a URL"},
		headerRow("add a header to the request, as `'Name: value'`"),
		{name: "method", short: "X", kind: text("text", func(s *Settings) *string { return &s.Command.Method }, nil), own: true,
			help: "use this request `METHOD`, GET without the flag; only the responses to GET and HEAD are fetched"},
		jsonRow("print one JSON object"),
	}, allRows())
}

// ForNginx returns the settings of `uwgate nginx`: not --nginx, which reads what that
// command writes.
func ForNginx() *Set {
	return newSet(siteRows(), but("nginx"))
}

// ForCheck returns the settings of `uwgate check`, whose --nginx compares and sets
// nothing.
func ForCheck() *Set {
	return newSet([]row{
		{name: "nginx", kind: text("file", func(s *Settings) *string { return &s.Command.Nginx }, nil), own: true,
			help: "compare nginx's configuration with the settings; name its main `FILE`, as in /etc/nginx/nginx.conf, and uwgate reads what that includes"},
		{name: "diff", kind: toggle(func(s *Settings) *bool { return &s.Command.Diff }), own: true,
			help: "print a patch of nginx's files that fixes what --nginx finds, and change no file"},
		verboseRow("print with --nginx which requests reach uwgate by each uwsgi_pass, and which of them nginx has looked up"),
		{name: "via", kind: text("URL", func(s *Settings) *string { return &s.Command.Via }, nil), own: true,
			help: "prove with a page of its own that nginx finds what uwgate stores; name a `URL` of the site, and the page gets a new URL in the same folder"},
		headerRow("add a header to the requests of --via, as `'Name: value'`"),
		insecureRow("accept any certificate of the site of --via, as of one that is signed by itself"),
		jsonRow("print one JSON object"),
	}, but("nginx"))
}

func jsonRow(help string) row {
	return row{name: "json", kind: toggle(func(s *Settings) *bool { return &s.Command.JSON }), own: true, help: help}
}

func verboseRow(help string) row {
	return row{name: "verbose", short: "v", kind: toggle(func(s *Settings) *bool { return &s.Command.Verbose }), own: true, help: help}
}

func insecureRow(help string) row {
	return row{name: "insecure", short: "k", kind: toggle(func(s *Settings) *bool { return &s.Command.Insecure }), own: true, help: help}
}

func headerRow(help string) row {
	headers := func(s *Settings) *[]string { return &s.Command.Headers }
	return row{name: "header", short: "H", kind: texts("text", headers, anything), own: true, help: help}
}

func anything(string) error { return nil }

// ForConfig returns the settings of `uwgate config`.
func ForConfig() *Set {
	own := func(name, help string, field func(*Command) *bool) row {
		return row{name: name, kind: toggle(func(s *Settings) *bool { return field(&s.Command) }), own: true, help: help}
	}
	return newSet([]row{
		own("changed", "print only the settings that are not the default", func(c *Command) *bool { return &c.Changed }),
		own("example", "print a configuration file with every key explained, in which the settings that are given are set", func(c *Command) *bool { return &c.Example }),
		own("schema", "print a JSON schema of the configuration file", func(c *Command) *bool { return &c.Schema }),
		jsonRow("print one JSON object"),
	}, allRows())
}

// ForHealth returns the settings of `uwgate healthcheck`.
func ForHealth() *Set {
	return newSet([]row{
		{name: "ready", kind: toggle(func(s *Settings) *bool { return &s.Command.Ready }), own: true,
			help: "ask whether the gateway is ready for requests (/-/ready), and not only whether it lives"},
		{name: "timeout", kind: period(func(s *Settings) *time.Duration { return &s.Command.Timeout }, positive), defaults: []string{"3s"}, own: true,
			help: "wait this `TIME` at most for the response"},
	}, allRows())
}
