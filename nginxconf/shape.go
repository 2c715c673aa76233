package nginxconf

import (
	"slices"
	"strings"
)

// A shape is how a directive is written.
type shape struct {
	min, max int // arguments
	block    bool
}

const many = 1 << 30

// shapes are those of the directives that are read. nginx does not start with another
// shape.
var shapes = map[string]shape{
	"http":                {0, 0, true},
	"server":              {0, 0, true},
	"location":            {1, 2, true},
	"if":                  {1, many, true},
	"limit_except":        {1, many, true},
	"upstream":            {1, 1, true},
	"types":               {0, 0, true},
	"map":                 {2, 2, true},
	"geo":                 {1, 2, true},
	"split_clients":       {2, 2, true},
	"server_name":         {1, many, false},
	"set":                 {2, 2, false},
	"break":               {0, 0, false},
	"return":              {1, 2, false},
	"rewrite":             {2, 3, false},
	"try_files":           {2, many, false},
	"error_page":          {2, many, false},
	"memcached_pass":      {1, 1, false},
	"memcached_gzip_flag": {1, 1, false},
	"gunzip":              {1, 1, false},
	"memc_pass":           {1, 1, false},
	"uwsgi_pass":          {1, 1, false},
	"uwsgi_param":         {2, 3, false},
	"add_header":          {2, 3, false},
	"default_type":        {1, 1, false},
	"charset":             {1, 1, false},
	"charset_types":       {1, many, false},
	"srcache_fetch":       {2, 3, false},
	"srcache_fetch_skip":  {1, 1, false},
}

// shapesInUpstream are those of the lines of an upstream block.
var shapesInUpstream = map[string]shape{
	"server": {1, many, false},
	"hash":   {1, 2, false},
}

// checkShapes finds a directive with a wrong shape, in contexts whose lines are
// directives; those of a map are not.
func checkShapes(ds []*directive, known map[string]shape) error {
	for _, d := range ds {
		if s, ok := known[d.name]; ok {
			if err := d.check(s); err != nil {
				return err
			}
		}
		inner := shapes
		switch d.name {
		case "http", "server", "location", "if", "limit_except":
		case "upstream":
			inner = shapesInUpstream
		default:
			continue
		}
		if err := checkShapes(d.block, inner); err != nil {
			return err
		}
	}
	return nil
}

func (d *directive) check(s shape) error {
	switch {
	case s.block && d.block == nil:
		return d.mistake("%s has no block; `{` must follow, not `;`", d)
	case !s.block && d.block != nil:
		return d.mistake("%s has a block, and cannot have one; a `;` is missing before the `{`", d)
	case len(d.args) < s.min, len(d.args) > s.max:
		return d.mistake("%s has %d arguments, which nginx does not accept", d, len(d.args))
	case d.name == "set":
		return d.checkSet()
	case d.name == "location" && len(d.args) == 2 && !slices.Contains(modifiers, d.args[0]):
		return d.mistake("%s: %q is none of %s", d, d.args[0], strings.Join(modifiers, " "))
	}
	return nil
}
