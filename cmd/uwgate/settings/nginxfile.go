package settings

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
)

// applyNginx sets the command's flags that nothing else has set from the
// configuration of nginx that --nginx names. What is no flag's is in the settings that
// it returns; they are nil without --nginx.
func applyNginx(c *cli.Context) (*parity.Settings, error) {
	path := c.String("nginx")
	if path == "" {
		return nil, nil
	}
	conf, err := nginxconf.Read(path, "")
	if err != nil {
		return nil, fmt.Errorf("--nginx: %w", err)
	}
	s, err := parity.SettingsFor(conf, c.StringSlice("listen"))
	if err != nil {
		return nil, fmt.Errorf("--nginx: %w", err)
	}
	var errs []error
	for flag, doubt := range s.Unknown {
		if !c.IsSet(flag) {
			errs = append(errs, fmt.Errorf("--nginx: %w", doubt))
		}
	}
	if s.Diverted != nil && c.IsSet("key") {
		errs = append(errs, fmt.Errorf("--nginx: %w", s.Diverted)) // whatever the key
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return s, SetUnset(c, s)
}

// SetUnset sets flags of the command that are not set.
func SetUnset(c *cli.Context, s *parity.Settings) error {
	adds := make([]string, len(s.Adds))
	for i, h := range s.Adds {
		adds[i] = h.Name + ": " + h.Value
	}
	for _, f := range []struct {
		name   string
		values []string
	}{
		{"memcached", s.Servers},
		{"hash", []string{s.Hash.String()}},
		{"format", []string{string(s.Format)}},
		{"gzip-flag", []string{fmt.Sprint(s.GzipFlag)}},
		{"hit-type", []string{s.HitType}},
		{"nginx-adds", adds},
	} {
		if !has(c.Command.Flags, f.name) || c.IsSet(f.name) {
			continue
		}
		for _, value := range f.values {
			if value == "" || value == "0" {
				continue // not nginx's to say in this format
			}
			if err := c.Set(f.name, value); err != nil {
				return fmt.Errorf("--nginx: --%s %q: %w", f.name, value, err)
			}
		}
	}
	return nil
}
