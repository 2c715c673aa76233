package settings

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
)

// readNginx reads the configuration that --nginx names, and takes from it the settings
// that nothing above it sets.
func (s *Settings) readNginx() error {
	path := s.given.single("nginx")
	if path == "" {
		return nil
	}
	label := s.Origin("nginx").name("nginx")
	conf, err := nginxconf.Read(path, "")
	if err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	found, err := parity.SettingsFor(conf, s.texts("listen"))
	if err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(found.Unknown)) {
		if s.Origin(name).IsDefault() {
			errs = append(errs, fmt.Errorf("%s: %w", label, found.Unknown[name]))
		}
	}
	if found.Diverted != nil && !s.Origin("key").IsDefault() {
		errs = append(errs, fmt.Errorf("%s: %w", label, found.Diverted)) // whatever the key
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	s.Nginx, s.conf = found, conf
	s.given.add(s.set, nginxValues(found))
	return nil
}

// checkNginx refuses a configuration of nginx that check finds an error in: pages would be
// wrong, or never found.
func (s *Settings) checkNginx(ctx context.Context) error {
	if s.conf == nil {
		return nil
	}
	gateway, err := s.Gateway(ctx)
	if err != nil {
		return nil // which is another error
	}
	gateway.Listen = s.texts("listen")
	var errs []error
	for _, f := range parity.Refusals(s.conf, gateway) {
		errs = append(errs, fmt.Errorf("%s: %v: %s [%s]; `uwgate check --nginx %s` says what to write", s.Origin("nginx").name("nginx"), f.Place, f.Text, f.Code, s.Key.Nginx))
	}
	return errors.Join(errs...)
}

// StaleNginx returns what shows that the configuration of --nginx was printed for other
// settings. It may look names up.
func (s *Settings) StaleNginx(ctx context.Context) []parity.Finding {
	if s.conf == nil {
		return nil
	}
	gateway, err := s.Gateway(ctx)
	if err != nil {
		return nil // which is another error
	}
	return parity.Stale(s.conf, gateway)
}

// nginxValues are the settings that nginx's configuration has, with the places where it
// has them.
func nginxValues(found *parity.Settings) []fileValue {
	l := found.Lookups[0]
	var adds []string
	for _, h := range found.Adds {
		adds = append(adds, h.Name+": "+h.Value)
	}
	addsAt := l.Place
	if len(l.Headers) > 0 {
		addsAt = l.Headers[0].Place
	}
	serversAt := l.Place
	if len(l.Memcached.Servers) > 0 {
		serversAt = l.Memcached.Servers[0].Place
	}
	at := func(p nginxconf.Place) Origin { return Origin{fromNginx, p.String()} }
	values := []fileValue{
		{"memcached", at(serversAt), found.Servers},
		{"hash", at(serversAt), []string{found.Hash.String()}},
		{"format", at(l.Place), []string{string(found.Format)}},
		{"nginx-adds", at(addsAt), adds},
	}
	// In some formats nginx has nothing to say of these.
	if found.GzipFlag != 0 {
		values = append(values, fileValue{"gzip-flag", at(l.GzipFlag.Place), []string{fmt.Sprint(found.GzipFlag)}})
	}
	if found.HitType != "" {
		values = append(values, fileValue{"hit-type", at(l.Place), []string{found.HitType}})
	}
	return values
}
