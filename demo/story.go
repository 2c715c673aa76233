package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"uwgate/cachewriter"
	"uwgate/demo/stack"
)

// patience is how long a log line or a stored page may take to appear.
const patience = 5 * time.Second

// A story requests pages and finds out where each came from: from the logs and from
// memcached, not from what is expected.
type story struct {
	stack  *stack.Stack
	page   *page
	client *http.Client
	copies int // number of servers that store a page

	access *stack.AccessReader
	seen   []stack.Access // all lines read so far
}

// A response is a page as nginx sent it.
type response struct {
	status      int
	token       string // names a rendering by Django
	cacheStatus string
	took        time.Duration
}

func newStory(s *stack.Stack, hash string, p *page) *story {
	copies := 1
	if hash == "none" {
		copies = len(s.Memcached) // nginx may look on any of them
	}
	return &story{
		stack: s, page: p, copies: copies, access: s.AccessReader(),
		client: &http.Client{Timeout: 10 * time.Second},
	}
}

// run makes all steps. It returns an error if one has not the expected outcome.
func (s *story) run(ctx context.Context) error {
	const path = "/articles/"
	first, err := s.miss(ctx, path)
	if err != nil {
		return fmt.Errorf("the first GET %s: %w", path, err)
	}
	if err := s.hit(ctx, path, first); err != nil {
		return fmt.Errorf("the second GET %s: %w", path, err)
	}
	if err := s.refused(ctx, "/private", path); err != nil {
		return fmt.Errorf("GET /private: %w", err)
	}
	if err := s.varies(ctx, "/hello"); err != nil {
		return fmt.Errorf("GET /hello: %w", err)
	}
	if err := s.alone(ctx, path, first); err != nil {
		return fmt.Errorf("GET %s with uwgate and uWSGI stopped: %w", path, err)
	}
	return nil
}

// miss requests a page for the first time and looks up what was stored.
func (s *story) miss(ctx context.Context, path string) (response, error) {
	s.page.step("GET "+path, "miss")
	got, err := s.get(ctx, path)
	if err != nil {
		return got, err
	}
	line, err := s.await(ctx, path)
	if err != nil {
		return got, err
	}
	s.page.line("   nginx found nothing in memcached. uwgate got the page from Django.")
	s.page.field("response", "%d in %s, rendering %s", got.status, millis(got.took), got.token)
	s.page.field("uwgate", "%d from %s in %s", line.Status, s.page.short(line.Backend), millis(seconds(line.Took)))
	if line.Verdict != "store" {
		return got, fmt.Errorf("uwgate did not store the page; reason: %q", line.Reason)
	}
	s.page.field("verdict", "store for %s, because of %s", seconds(float64(line.TTL)), line.Reason)
	found, err := s.find(ctx, line.Key)
	if err != nil {
		return got, err
	}
	s.page.field("key", "%s", line.Key)
	for _, where := range found {
		s.page.field("memcached", "%s", where)
	}
	return got, nil
}

// hit requests the page again.
func (s *story) hit(ctx context.Context, path string, first response) error {
	s.page.step("GET "+path, "hit")
	before := s.renderings(path)
	got, err := s.get(ctx, path)
	if err != nil {
		return err
	}
	s.page.line("   nginx found the page in memcached and served it.")
	s.page.field("response", "%d in %s, rendering %s", got.status, millis(got.took), got.token)
	if got.token != first.token {
		return fmt.Errorf("rendering %s came after rendering %s: Django rendered the page again", got.token, first.token)
	}
	if n := s.renderings(path) - before; n != 0 {
		return fmt.Errorf("uWSGI's log has %d more requests for the page", n)
	}
	s.page.field("uWSGI", "its log still has one request for the page")
	return nil
}

// refused requests a page that must not be stored. Its line in the access log comes
// after all earlier ones, so it proves that the hit before it has no line.
func (s *story) refused(ctx context.Context, path, hit string) error {
	got, err := s.get(ctx, path)
	if err != nil {
		return err
	}
	line, err := s.await(ctx, path)
	if err != nil {
		return err
	}
	if n := s.lines(hit); n != 1 {
		return fmt.Errorf("uwgate's access log has %d lines for %s, want only the first GET's", n, hit)
	}
	s.page.field("uwgate", "its access log still has one line for the page")

	s.page.step("GET "+path, "not stored")
	s.page.line("   Django declares the page private.")
	s.page.field("response", "%d in %s, rendering %s", got.status, millis(got.took), got.token)
	s.page.field("verdict", "%s, because of %s", line.Verdict, line.Reason)
	s.page.field("Cache-Status", "%s", got.cacheStatus)
	if line.Verdict != "pass" || line.Reason != "private" {
		return fmt.Errorf("verdict %s (%s), want pass (private)", line.Verdict, line.Reason)
	}
	again, err := s.get(ctx, path)
	if err != nil {
		return err
	}
	if again.token == got.token {
		return fmt.Errorf("the second visitor got the first one's page, rendering %s", got.token)
	}
	s.page.field("again", "rendering %s: Django made a new one", again.token)
	return nil
}

// varies requests a page whose template looks at the user, as most templates do.
func (s *story) varies(ctx context.Context, path string) error {
	s.page.step("GET "+path, "not stored")
	got, err := s.get(ctx, path)
	if err != nil {
		return err
	}
	line, err := s.await(ctx, path)
	if err != nil {
		return err
	}
	s.page.line("   Its template has {% if user.is_authenticated %}, so Django adds Vary: Cookie.")
	s.page.field("verdict", "%s, because of %s", line.Verdict, line.Reason)
	s.page.field("what to do", "--vary-cookie anonymous, if strangers all get the same page")
	s.page.field("Cache-Status", "%s", got.cacheStatus)
	if line.Verdict != "pass" || line.Reason != "vary" {
		return fmt.Errorf("verdict %s (%s), want pass (vary)", line.Verdict, line.Reason)
	}
	return nil
}

// alone requests the stored page while only nginx and memcached run.
func (s *story) alone(ctx context.Context, path string, first response) error {
	s.page.step("GET "+path, "hit, with uwgate and uWSGI stopped")
	for _, p := range []*stack.Process{s.stack.Uwgate, s.stack.UWSGI} {
		if err := p.Pause(); err != nil {
			return err
		}
		defer p.Resume()
	}
	got, err := s.get(ctx, path)
	if err != nil {
		return err
	}
	s.page.field("response", "%d in %s, rendering %s", got.status, millis(got.took), got.token)
	if got.token != first.token {
		return fmt.Errorf("rendering %s, want %s", got.token, first.token)
	}
	return nil
}

var tokenPattern = regexp.MustCompile(`id="token">([0-9a-f]+)<`)

// get requests a page, which must exist.
func (s *story) get(ctx context.Context, path string) (response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.stack.URL(path), nil)
	if err != nil {
		return response{}, err
	}
	began := time.Now()
	resp, err := s.client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return response{}, err
	}
	got := response{status: resp.StatusCode, cacheStatus: resp.Header.Get("Cache-Status"), took: time.Since(began)}
	if got.status != http.StatusOK {
		return got, fmt.Errorf("nginx sent %s", resp.Status)
	}
	token := tokenPattern.FindSubmatch(body)
	if token == nil {
		return got, fmt.Errorf("the response is not a page of the site: %.80q", body)
	}
	got.token = string(token[1])
	return got, nil
}

// await waits for the access line of the last request for path.
func (s *story) await(ctx context.Context, path string) (stack.Access, error) {
	for range poll(ctx) {
		news, err := s.access.Next()
		s.seen = append(s.seen, news...)
		if err != nil {
			return stack.Access{}, err
		}
		for _, line := range news {
			if line.URI == path {
				return line, nil
			}
		}
	}
	return stack.Access{}, fmt.Errorf("no line in uwgate's access log; did nginx ask it?\n%s", s.stack.Uwgate.Log())
}

// lines counts uwgate's requests for path in the part of the log that was read.
func (s *story) lines(path string) int {
	n := 0
	for _, line := range s.seen {
		if line.URI == path {
			n++
		}
	}
	return n
}

// renderings counts Django's requests for path in uWSGI's log.
func (s *story) renderings(path string) int {
	return strings.Count(s.stack.UWSGI.Log(), " GET "+path+" => ")
}

// find looks for the key on each server until it has found all copies: pages are stored
// in the background. It returns a line for each.
func (s *story) find(ctx context.Context, key string) ([]string, error) {
	for range poll(ctx) {
		found, err := s.look(ctx, cachewriter.Escape(key))
		if err != nil || len(found) >= s.copies {
			return found, err
		}
	}
	return nil, fmt.Errorf("memcached has nothing under %s after %s", key, patience)
}

func (s *story) look(ctx context.Context, wire string) ([]string, error) {
	var found []string
	for _, m := range s.stack.Memcached {
		what, err := describe(ctx, m.Addr, wire)
		if err != nil {
			return nil, fmt.Errorf("ask %s for the key: %w", m.Name, err)
		}
		if what != "" {
			found = append(found, m.Addr+" has it: "+what)
		}
	}
	return found, nil
}

// describe returns size and remaining lifetime of an entry in memcached; "" if none.
func describe(ctx context.Context, addr, wire string) (string, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(nc, "mg %s s t\r\n", wire)
	reply, err := bufio.NewReader(nc).ReadString('\n')
	if err != nil {
		return "", err
	}
	var size, ttl int
	if _, err := fmt.Sscanf(reply, "HD s%d t%d", &size, &ttl); err != nil {
		return "", nil
	}
	return fmt.Sprintf("%d bytes, %s to live", size, seconds(float64(ttl))), nil
}

// poll yields every few milliseconds until patience is over.
func poll(ctx context.Context) func(yield func() bool) {
	return func(yield func() bool) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil && yield() {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
