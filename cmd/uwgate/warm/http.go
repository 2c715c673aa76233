package warm

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// HTTP requests pages from nginx. Its fields are set before the first request. Its methods
// are safe for concurrent use.
//
// A request has no cookies, no conditions and no range, and it follows no redirect: it is
// one of a visitor who comes for the first time. Nothing uses the proxy of the environment.
type HTTP struct {
	Network, Addr string // where nginx listens; empty: at the URL's host

	Insecure    bool          // any certificate will do
	Agent       string        // User-Agent
	Header      http.Header   // more header lines; they replace our own
	Timeout     time.Duration // of a page, and of a sitemap ten times as much; 0: 30 s
	Connections int           // that are kept open; 0: 2

	transport *http.Transport
}

const (
	// What browsers send. The key may contain them.
	browserAccept    = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	browserEncodings = "gzip, deflate, br, zstd"
)

const dialTimeout = 10 * time.Second

// Open prepares h for requests.
func (h *HTTP) Open() {
	dialer := net.Dialer{Timeout: dialTimeout}
	h.transport = &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if h.Addr != "" {
				network, addr = h.Network, h.Addr
			}
			return dialer.DialContext(ctx, network, addr)
		},
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: h.Insecure},
		TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: cmp.Or(h.Connections, 2),
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true, // it is asked for as browsers do
	}
}

// Close closes the connections.
func (h *HTTP) Close() { h.transport.CloseIdleConnections() }

func (h *HTTP) timeout() time.Duration { return cmp.Or(h.Timeout, 30*time.Second) }

// Fetch requests a page, a URL as Normalize returns it, and reads the whole response.
func (h *HTTP) Fetch(ctx context.Context, page string) (r Result) {
	r.Page = page
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, h.timeout(), errSlow)
	defer cancel()
	var cacheStatus []string
	defer func() {
		r.Took = time.Since(began)
		if r.Err != nil && ctx.Err() != nil {
			r.Err = context.Cause(ctx)
		}
		r.judge(cacheStatus)
	}()
	req, err := h.request(ctx, page)
	if err != nil {
		r.Err = err
		return r
	}
	resp, err := h.transport.RoundTrip(req)
	if err != nil {
		r.Err = h.advise(err)
		return r
	}
	defer resp.Body.Close()
	r.Status, cacheStatus = resp.StatusCode, resp.Header.Values("Cache-Status")
	r.readRetryAfter(resp.Header.Get("Retry-After"))
	r.readWhole(resp.Body)
	return r
}

// advise says what to do if the site's name does not lead to nginx.
func (h *HTTP) advise(err error) error {
	var op *net.OpError
	if h.Addr != "" || !errors.As(err, &op) || op.Op != "dial" {
		return err
	}
	return fmt.Errorf("%w; name nginx's address with --connect", err)
}

// request makes the request of a browser whose target has the bytes of the URL.
func (h *HTTP) request(ctx context.Context, page string) (*http.Request, error) {
	scheme, host, target := cut(page)
	path, query, _ := strings.Cut(target, "?")
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return nil, fmt.Errorf("%w; nginx responds 400 to it", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+host+"/", nil)
	if err != nil {
		return nil, err
	}
	req.URL.Path, req.URL.RawPath, req.URL.RawQuery = decoded, path, query
	req.URL.ForceQuery = strings.HasSuffix(target, "?")
	if !strings.HasPrefix(target, "//") { // as an Opaque it would be a host
		req.URL.Opaque = path
	}
	req.Header = h.BrowserHeader()
	return req, nil
}

// BrowserHeader returns the header of a request, with what h.Header has.
func (h *HTTP) BrowserHeader() http.Header {
	header := http.Header{"User-Agent": {h.Agent}, "Accept": {browserAccept}, "Accept-Encoding": {browserEncodings}}
	maps.Copy(header, h.Header)
	return header
}

// sitemapEncodings is what parse can read.
const sitemapEncodings = "gzip"

// maxSitemap is the most bytes of a sitemap that are taken from the network.
const maxSitemap = 256 << 20

var errLargeSitemap = fmt.Errorf("it is larger than %d MiB", maxSitemap>>20)

// OpenSitemap opens a sitemap: the file of that name, or what nginx has under the URL. It
// fetches the whole to a temporary file: pages are requested slowly, and a server does
// not wait so long. hosts decides to which hosts it may be redirected.
func (h *HTTP) OpenSitemap(ctx context.Context, location string, hosts *Hosts) (io.ReadCloser, error) {
	if !IsURL(location) {
		return os.Open(location)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 10*h.timeout(), errSlow)
	defer cancel()
	page, err := Normalize("", location)
	if err != nil {
		return nil, err
	}
	resp, err := h.follow(ctx, page, hosts)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the response is %s", resp.Status)
	}
	return keep(resp.Body)
}

const maxRedirects = 5

// follow requests a sitemap, and what its redirects lead to.
func (h *HTTP) follow(ctx context.Context, page string, hosts *Hosts) (*http.Response, error) {
	for range maxRedirects {
		req, err := h.request(ctx, page)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "*/*")
		req.Header.Set("Accept-Encoding", sitemapEncodings)
		resp, err := h.transport.RoundTrip(req)
		if err != nil {
			return nil, h.advise(err)
		}
		to, err := resp.Location()
		if err != nil || resp.StatusCode/100 != 3 {
			return resp, nil
		}
		resp.Body.Close()
		if page, err = Normalize("", to.String()); err != nil {
			return nil, err
		}
		if !hosts.Allows(HostOf(page)) {
			return nil, fmt.Errorf("it is redirected to %s, another host; allow that with --host %s", page, HostOf(page))
		}
	}
	return nil, errors.New("it is redirected too often")
}

// keep copies what r has to a temporary file, which is gone when it is closed.
func keep(r io.Reader) (io.ReadCloser, error) {
	f, err := os.CreateTemp("", "uwgate-sitemap-")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name()) // what is open stays
	n, err := io.Copy(f, io.LimitReader(r, maxSitemap+1))
	if err == nil && n > maxSitemap {
		err = errLargeSitemap
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
