package nginxconf

import "strings"

// Quote writes an argument in double quotes, such that nginx reads the text back
// unchanged. nginx drops a backslash before quotes and before another backslash, and reads
// some letters after a backslash as control characters (ngx_conf_read_token).
func Quote(s string) string {
	b := []byte{'"'}
	for i := range len(s) {
		last := i == len(s)-1
		switch {
		case s[i] == '"', s[i] == '\\' && (last || strings.IndexByte(`"'\trn`, s[i+1]) >= 0):
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return string(append(b, '"'))
}
