package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"uwgate/cachewriter"
	"uwgate/cmd/uwgate/deploy"
	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

func deployCheckCommand() *cli.Command {
	set := settings.ForDeployCheck()
	return &cli.Command{
		Name:  "deploy-check",
		Usage: "compare pages of new workers with the pages that are stored, before visitors see them",
		UsageText: "uwgate deploy-check --config /etc/uwgate/uwgate.yaml unix:/run/app-new.sock\n" +
			"uwgate deploy-check --memcached 127.0.0.1:11211 --hottest 500 --changed-fails 10.0.0.8:3031 10.0.0.9:3031",
		Description: "It requests the hottest stored pages from the new workers, and compares them without\n" +
			"clocks, nonces and tokens. It stores and deletes nothing, and moves no traffic.\n\n" +
			"Exit status: 0 no page fails, 1 one does, or nothing was compared.",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return deployCheck(c, set) },
	}
}

func deployCheck(c *cli.Context, set *settings.Set) error {
	s, err := set.Read()
	if err != nil {
		return err
	}
	d, err := newDeployment(c.Context, s, c.Args().Slice())
	if err != nil {
		return fmt.Errorf("deploy-check: %w", err)
	}
	defer d.close()
	pages, unknown, err := d.store.hottest(c.Context, s.Command.Warm.Hottest, s.Command.Warm.Hosts)
	if err != nil && len(pages) > 0 { // a memcached that is down is no reason not to compare what others have
		fmt.Fprintln(c.App.ErrWriter, "deploy-check: not all pages are known:", err)
	} else if err != nil {
		return fmt.Errorf("deploy-check: %w", err)
	}
	show := &deployShow{out: c.App.Writer, cmd: s.Command}
	check := &deploy.Check{
		Workers: d.workers, Current: d.currentFor, Stored: d.stored, Judge: d.judge,
		Mask: deploy.NewMask(s.Command.Warm.Ignore...), Concurrency: s.Command.Warm.Concurrency, Each: show.each,
	}
	summary := check.Run(c.Context, d.pages(pages))
	summary.Unknown = unknown
	if err := show.end(summary); err != nil {
		return err
	}
	if err := summary.Err(s.Command.Warm.ChangedFails); err != nil {
		return fmt.Errorf("deploy-check: %w", err)
	}
	return nil
}

// A deployment is what one run of the command uses.
type deployment struct {
	s        *settings.Settings
	store    *storeReader
	firewall *policy.Firewall
	workers  []*deploy.Worker
	current  *backend.Pools // nil: not known
}

func newDeployment(ctx context.Context, s *settings.Settings, servers []string) (*deployment, error) {
	if len(servers) == 0 {
		return nil, errors.New("name the new workers, as in unix:/run/app-new.sock; `uwgate deploy-check --help` has examples")
	}
	headers, err := parseHeaders(s.Command.Headers)
	if err != nil {
		return nil, err
	}
	d := &deployment{s: s, firewall: &policy.Firewall{TrustForwardedProto: s.Backends.TrustScheme}}
	for _, server := range servers {
		if strings.HasPrefix(server, "-") {
			return nil, fmt.Errorf("%s stands behind a worker: write the flags first", server)
		}
		pool, err := s.NewPool(server)
		if err != nil {
			return nil, fmt.Errorf("worker %q: %w", server, err)
		}
		d.workers = append(d.workers, d.worker(server, pool))
	}
	if d.current, err = d.currentPools(servers); err != nil {
		return nil, err
	}
	d.store, err = newStoreReader(ctx, s, browserHeaders(headers, "uwgate-deploy-check/"+buildVersion()))
	return d, err
}

func (d *deployment) worker(name string, pool *backend.Pool) *deploy.Worker {
	return &deploy.Worker{Name: name, Pool: pool, AskToClose: d.s.Backends.AskToClose, Timeout: d.s.Command.Warm.Timeout}
}

// currentPools returns the pools of the workers that serve the site now. New workers among
// them say nothing of what the site was before.
func (d *deployment) currentPools(servers []string) (*backend.Pools, error) {
	pools, err := d.s.CurrentPools()
	if pools == nil || err != nil {
		return nil, err
	}
	for _, p := range pools.All() {
		for _, node := range p.Stats() {
			if slices.ContainsFunc(servers, func(s string) bool { return strings.Fields(s)[0] == node.Name }) {
				pools.Close()
				return nil, nil
			}
		}
	}
	return pools, nil
}

func (d *deployment) close() {
	for _, w := range d.workers {
		w.Pool.Close()
	}
	if d.current != nil {
		d.current.Close()
	}
	d.store.close()
}

// currentFor returns the workers that serve a page now.
func (d *deployment) currentFor(p deploy.Page) *deploy.Worker {
	if d.current == nil {
		return nil
	}
	pool := d.current.For(p.Received.Get("HTTP_HOST"), "")
	if pool == nil {
		return nil
	}
	return d.worker("current", pool)
}

// pages makes the requests for stored pages as the gateway would.
func (d *deployment) pages(stored []storedPage) []deploy.Page {
	var pages []deploy.Page
	for _, s := range stored {
		received := s.vars
		if !d.store.policy.Keys.TemplateIsProof {
			received = append(slices.Clone(received), uwsgi.Var{Name: "CACHE_KEY", Value: s.Key}, uwsgi.Var{Name: "CACHE_STATUS", Value: "404"})
		}
		clean, _, err := d.firewall.Screen(received)
		if err != nil {
			continue // such a page was never stored
		}
		vars := d.store.policy.ForWorker(clean, d.store.policy.Request(received))
		pages = append(pages, deploy.Page{URL: s.url, Key: s.Key, Server: s.Server, Received: received, Vars: vars})
	}
	return pages
}

// stored returns what nginx serves for a page.
func (d *deployment) stored(ctx context.Context, p deploy.Page) (*deploy.Response, error) {
	item, err := d.store.writer.Get(ctx, cachewriter.Entry{Key: p.Key, Addr: p.Server})
	if err != nil || item == nil {
		return nil, err
	}
	head, body, err := d.store.policy.Hit(p.Received, item.Value, item.Flags)
	if err != nil {
		return nil, err
	}
	return &deploy.Response{Head: head, Body: body, Whole: true}, nil
}

// judge returns why a new page would not be stored, empty if it would be, or if its
// request alone keeps it out.
func (d *deployment) judge(p deploy.Page, r *deploy.Response) string {
	if d.store.policy.Request(p.Received).Reason != "" {
		return ""
	}
	verdict := d.store.policy.Explain(p.Received, r.Head, r.Body, r.Whole, r.Trailers, time.Now()).Verdict
	if verdict.Store || verdict.Observe {
		return ""
	}
	return string(verdict.Reason)
}
