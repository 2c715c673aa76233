package nginxconf

import (
	"slices"
	"strconv"
)

// denials are the directives by which nginx denies access.
var denials = []string{"deny", "auth_basic", "auth_request", "auth_jwt", "auth_digest", "limit_except", "ssl_verify_client", "internal", "js_access", "access_by_lua_block", "access_by_lua_file", "access_by_lua"}

// A refusal is a directive by which nginx responds to requests before their handler does.
type refusal struct {
	by    *directive
	codes []int
}

// refusals returns those in force in the scope.
func refusals(s *scope) (all []refusal) {
	for _, r := range []struct {
		name  string
		codes []int
	}{
		{"auth_basic", []int{401, 403}},
		{"auth_request", []int{401, 403, 500}},
		{"auth_jwt", []int{401, 403}},
		{"auth_digest", []int{401}},
		{"modsecurity", []int{anyCode}},
		{"access_by_lua", []int{anyCode}}, {"access_by_lua_file", []int{anyCode}}, {"access_by_lua_block", []int{anyCode}},
		{"rewrite_by_lua", []int{anyCode}}, {"rewrite_by_lua_file", []int{anyCode}}, {"rewrite_by_lua_block", []int{anyCode}},
		{"js_access", []int{anyCode}},
	} {
		if d := s.find(r.name); d != nil && d.arg(0) != "off" {
			all = append(all, refusal{d, r.codes})
		}
	}
	for _, limit := range []string{"limit_req", "limit_conn"} {
		if d := s.find(limit); d != nil {
			code, err := strconv.Atoi(s.find(limit + "_status").text("503").Value)
			if err != nil {
				code = anyCode
			}
			all = append(all, refusal{d, []int{code}})
		}
	}
	if d := s.denial(); d != nil {
		all = append(all, refusal{d, []int{403}})
	}
	return all
}

// isAccess reports whether a directive acts in the access phase, which nginx leaves out for
// subrequests (ngx_http_core_access_phase).
func isAccess(d *directive) bool {
	return slices.Contains(denials, d.name)
}

// denial returns the deny in force. allow and deny are one list.
func (s *scope) denial() *directive {
	for ; s != nil; s = s.outer {
		if d := s.last("deny"); d != nil || s.last("allow") != nil {
			return d
		}
	}
	return nil
}

// guards returns the directives that decide who has access to the scope.
func (s *scope) guards() (all []Text) {
	for _, name := range []string{"auth_basic", "auth_request", "auth_jwt", "auth_digest"} {
		if d := s.find(name); d != nil && d.arg(0) != "off" {
			all = append(all, Text{d.Place, d.String()})
		}
	}
	if d := s.denial(); d != nil {
		all = append(all, Text{d.Place, d.String()})
	}
	return all
}
