package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/purge"
)

func purgeCommand() *cli.Command {
	set := settings.ForPurge()
	return &cli.Command{
		Name:  "purge",
		Usage: "delete pages through a running gateway",
		UsageText: "uwgate purge --admin unix:/run/uwgate/admin.sock https://www.example.com/news/\n" +
			"uwgate purge --config /etc/uwgate/uwgate.yaml --tag news --tag front\n" +
			"uwgate purge --config /etc/uwgate/uwgate.yaml --prefix https://www.example.com/news/\n" +
			"uwgate purge --config /etc/uwgate/uwgate.yaml --site www.example.com --dry-run",
		Description: "A URL is purged under both schemes, all ports, and for all classes of visitors. Several\n" +
			"URLs, prefixes, tags and sites are purged together. --all deletes all pages that uwgate\n" +
			"has stored, and nothing else that is in memcached.\n\n" +
			"Exit status: 0 no such page is left, or there was none; 1 a memcached server could not\n" +
			"be reached, or cannot list its pages, with --wait a page could not be fetched again,\n" +
			"or there was another error.",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return purgePages(c, set) },
	}
}

// purgeTimeout is longer than the gateway takes.
const purgeTimeout = 2 * time.Minute

func purgePages(c *cli.Context, set *settings.Set) error {
	s, err := set.Read()
	if err != nil {
		return err
	}
	r := s.Command.Purge
	if flag := flagBehind(c); flag != "" {
		return fmt.Errorf("purge: %s stands behind a URL: write flags before the URLs", flag)
	}
	r.URLs = c.Args().Slice()
	switch err := r.Check(); {
	case errors.Is(err, purge.ErrNothing):
		return errors.New("purge: name the pages: URLs, --path, --prefix, --tag, --site or --all; `uwgate purge --help` has examples")
	case err != nil:
		return fmt.Errorf("purge: %w; `uwgate purge --help` has examples", err)
	}
	if s.Control.Admin.IsZero() {
		return errors.New("no gateway to purge: name it with --admin, as in the settings of `uwgate serve`")
	}
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	var result purge.Result
	if err := (adminAPI{Control: s.Control, timeout: purgeTimeout}).ask(c.Context, "/api/v1/purge", body, &result); err != nil {
		return err
	}
	if s.Command.JSON {
		err = writeJSON(c.App.Writer, &result)
	} else {
		err = writePurge(c.App.Writer, &r, &result)
	}
	return errors.Join(err, unfinished(&result))
}

// writePurge writes a result for people.
func writePurge(w io.Writer, r *purge.Request, result *purge.Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "memcached\tfound\tdeleted\tkept\t\n")
	for _, s := range result.Servers {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\n", s.Server, s.Found, s.Deleted, s.Kept, purgeState(s))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	deleted := fmt.Sprintf("%d deleted", result.Deleted)
	if r.DryRun {
		deleted = "none deleted (--dry-run)"
	}
	if result.Kept > 0 && !r.DryRun {
		deleted += fmt.Sprintf(", %d served until %s been fetched again", result.Kept, yesNo(result.Kept == 1, "it has", "they have"))
	}
	if r.Wait && (r.Soft || r.Refresh) {
		deleted += fmt.Sprintf(", %d fetched again", result.Fetched)
	}
	took := time.Duration(result.Took * float64(time.Second)).Round(time.Millisecond)
	_, err := fmt.Fprintf(w, "\n%s found, %s, in %v\n", countOf(result.Found, "page"), deleted, took)
	return err
}

// purgeState is what is left to do on a server.
func purgeState(s purge.Server) string {
	switch {
	case s.Pending:
		return "pending"
	case s.Incomplete != "":
		return "incomplete"
	}
	return ""
}

// unfinished returns an error if pages may be left.
func unfinished(result *purge.Result) error {
	var errs []error
	for _, s := range result.Servers {
		switch {
		case s.Pending:
			errs = append(errs, fmt.Errorf("%s could not be purged yet: %s; uwgate purges it as soon as it can be reached: see `uwgate status`", s.Server, s.Error))
		case s.Incomplete != "":
			errs = append(errs, fmt.Errorf("%s may still have such pages: %s", s.Server, s.Incomplete))
		}
	}
	if result.Failed > 0 {
		errs = append(errs, fmt.Errorf("%s could not be fetched again, and %s deleted: see the log of uwgate for what the workers respond",
			countOf(result.Failed, "page"), yesNo(result.Failed == 1, "was", "were")))
	}
	return errors.Join(errs...)
}
