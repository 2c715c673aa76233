package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway"
	"uwgate/gateway/backend"
)

// A snapshot is what serve was told, as it stands at one moment.
type snapshot struct {
	*settings.Config
	c      *cli.Context
	values map[string]string // of every flag, wherever from
}

// readSettings reads the command line of c once more, and then the files that it
// names, as they are by now.
func readSettings(c *cli.Context) (*snapshot, error) {
	s := &snapshot{values: make(map[string]string)}
	command := serveCommand()
	command.Action = func(again *cli.Context) error {
		s.c = again
		return nil
	}
	app := newApp(c.App.Reader, c.App.Writer) // flags alone would not know how it separates lists
	app.Commands = []*cli.Command{command}
	// The app's arguments are the command and what follows it.
	if err := app.RunContext(c.Context, append([]string{app.Name}, c.Lineage()[1].Args().Slice()...)); err != nil {
		return nil, err
	}
	files, err := settings.ReadFiles(s.c)
	if err != nil {
		return nil, err
	}
	if s.Config, err = settings.ParseConfig(s.c, files); err != nil {
		return nil, err
	}
	for _, f := range command.Flags {
		s.values[f.Names()[0]] = valueOf(s.c, f)
	}
	s.TLS.AddTo(s.values)
	return s, nil
}

// valueOf is what a flag holds, to be compared.
func valueOf(c *cli.Context, f cli.Flag) string {
	name := f.Names()[0]
	switch f.(type) {
	case *cli.StringSliceFlag:
		return fmt.Sprintf("%q", c.StringSlice(name))
	case *cli.GenericFlag:
		return fmt.Sprint(c.Generic(name))
	}
	return fmt.Sprint(c.Value(name))
}

// warn tells what keeps all pages out, and what of nginx's configuration the settings do
// not know.
func (s *snapshot) warn(log *zap.Logger) {
	s.warnHost(log)
	if s.Nginx == nil {
		return
	}
	for _, gap := range s.Nginx.Gaps {
		log.Warn("a part of nginx's configuration is not known; if it is about memcached or uwgate, let uwgate read it",
			zap.Stringer("place", gap.Place), zap.String("what", gap.Text))
	}
}

// warnHost tells that the key does not say the host, and nothing else does.
func (s *snapshot) warnHost(log *zap.Logger) {
	switch p := s.Policy; {
	case !p.LacksHost():
	case len(p.AllowedHosts) == 0:
		log.Warn("no page is stored: the key does not contain the host, so pages for a host that a client makes up would be served to everybody",
			zap.String("fix", "put $host into nginx's key and --key, or name the one host of your site with --allowed-host"))
	default:
		log.Warn("no page is stored: the key does not contain the host, so the pages of several hosts would have the same keys",
			zap.Strings("allowed_host", p.AllowedHosts),
			zap.String("fix", "put $host into nginx's key and --key, or name one host alone, without *, with --allowed-host"))
	}
}

// A reloader puts new settings in force, if all of them are in order.
type reloader struct {
	c   *cli.Context // of the command line
	now *snapshot
	g   *gateway.Gateway
	tls *settings.TLSSettings // of what listens; nil: nothing for TLS
	log *zap.Logger
}

func (r *reloader) reload() {
	next, err := readSettings(r.c)
	if err != nil {
		r.log.Error("settings not reloaded; the old ones stay in force", zap.Error(err))
		return
	}
	next.warn(r.log)
	changed, later := r.now.differences(next)
	r.replacePools(next.Pools)
	if len(changed) > 0 {
		next.Policy.TrustForwardedProto = r.g.Firewall.TrustForwardedProto // which only a restart changes
		r.g.Reload(next.Policy, next.Ring)
		r.tls.Take(next.TLS)
		// What needs a restart is compared with what was there at the start.
		for _, name := range later {
			next.values[name] = r.now.values[name]
		}
		r.now = next
	}
	r.log.Info("settings reloaded", zap.Strings("changed", changed))
	if len(later) > 0 {
		r.log.Warn("some settings have changed that only a restart puts in force", zap.Strings("settings", later))
	}
}

// replacePools comes before the policy is replaced: a page is stored only if all that
// it came about by is in force. Without a difference in the settings there may be one
// in what they name: addresses, and the authorities of servers.
func (r *reloader) replacePools(next *backend.Pools) {
	logPools(next, r.log)
	r.g.Backends.Replace(next)
	if s := r.g.Subscriptions; s != nil {
		s.Replace(settings.MakesSubscribed(next))
	}
}

// differences names the settings that are not the same: those that can change
// while the gateway runs, and those that cannot.
func (s *snapshot) differences(next *snapshot) (live, later []string) {
	for _, f := range s.c.Command.Flags {
		name := f.Names()[0]
		switch {
		case s.values[name] == next.values[name]:
		case isLive(f):
			live = append(live, name)
		default:
			later = append(later, name)
		}
	}
	if !reflect.DeepEqual(s.File.Rules, next.File.Rules) {
		live = append(live, settings.RulesKey)
	}
	if len(live) == 0 && !reflect.DeepEqual(s.Nginx, next.Nginx) {
		live = append(live, "nginx")
	}
	if !reflect.DeepEqual(s.File.Pools, next.File.Pools) {
		live = append(live, settings.PoolsKey)
	}
	for _, name := range s.changedBehind(next) {
		if !slices.Contains(live, name) {
			live = append(live, name)
		}
	}
	return live, later
}

// changedBehind names the settings whose words are the same, and not what they stand
// for: the contents of a file, the addresses of names.
func (s *snapshot) changedBehind(next *snapshot) (names []string) {
	if !reflect.DeepEqual(s.Ring, next.Ring) {
		names = append(names, "memcached")
	}
	if s.Policy != nil && next.Policy != nil && !maps.Equal(s.Policy.Types, next.Policy.Types) {
		names = append(names, "mime-types")
	}
	return names
}

// isLive reports whether a flag is about the policy, the memcached servers, the
// pools or TLS, and nothing that is made once.
func isLive(f cli.Flag) bool {
	name := f.Names()[0]
	switch f.(cli.CategorizableFlag).GetCategory() {
	case settings.CatKey:
		return true
	case settings.CatPolicy:
		return !slices.Contains([]string{"align-headers", "refresh-ahead", "refresh-concurrency"}, name)
	case settings.CatPools:
		return name != "subscribe" && !strings.HasPrefix(name, "subscribe-")
	}
	return name == "backend" || strings.HasPrefix(name, "tls-")
}
