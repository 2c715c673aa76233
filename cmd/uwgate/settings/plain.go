package settings

import (
	"fmt"
	"regexp"
	"strings"
)

// packageName begins the errors of packages that are not about settings alone.
var packageName = regexp.MustCompile(`^(?:(?:backend|cachewriter|gateway|nginxconf|parity|policy|purge|snippet|subscription|uwsgi): )+`)

// A plainError is an error as its reader needs it: without the name of the package that has
// found it.
type plainError struct{ error }

func (e plainError) Error() string { return packageName.ReplaceAllString(e.error.Error(), "") }
func (e plainError) Unwrap() error { return e.error }

// plain returns err without the name of a package at its beginning.
func plain(err error) error {
	if err == nil {
		return nil
	}
	return plainError{err}
}

// noScheme refuses a URL where an address is wanted.
func noScheme(text string) error {
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case ok && scheme == "unix":
		return fmt.Errorf("write unix: and the path of the socket, as in unix:/%s", strings.TrimLeft(rest, "/"))
	case ok:
		return fmt.Errorf("write the address alone, without %s://, as in %s", scheme, strings.TrimSuffix(rest, "/"))
	}
	return nil
}
