package admin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/tally"
)

// A StoredStatus is a look at some of what memcached holds: at most 10,000 entries of each
// server, which stand for the others.
type StoredStatus struct {
	At      time.Time      `json:"at"`
	Entries int            `json:"entries"` // that were looked at
	Whole   bool           `json:"whole"`   // there are no others
	Sites   []SiteStatus   `json:"sites"`   // those with the most entries first
	Ages    []AgeStatus    `json:"ages"`    // the youngest first
	Hottest []StoredPage   `json:"hottest"` // pages that were read, those that were read last first
	Errors  []string       `json:"errors"`  // servers that could not be looked at, and why
	Servers map[string]int `json:"servers"` // entries that were looked at, by server
}

// A SiteStatus is what memcached holds of a host. An empty one: what is not uwgate's, or has
// a key that does not tell.
type SiteStatus struct {
	Host    string `json:"host"`
	Entries int    `json:"entries"`
	Fetched int    `json:"fetched"` // that were read since they were stored
	Bytes   int64  `json:"bytes"`
}

// An AgeStatus is the entries that were read last, or stored if nobody has read them, less
// than Under seconds ago, and not in a younger one. Under 0: all others.
type AgeStatus struct {
	Under   int64 `json:"under"`
	Entries int   `json:"entries"`
	Fetched int   `json:"fetched"`
}

// A StoredPage is a page in memcached.
type StoredPage struct {
	Server  string    `json:"server"`
	Host    string    `json:"host"`
	URI     string    `json:"uri"`
	Read    time.Time `json:"read"` // when it was read last; memcached notes that about once a minute
	Expires time.Time `json:"expires"`
	Bytes   int64     `json:"bytes"`
}

const (
	surveyLimit    = 10_000
	maxStoredSites = 100
	maxStoredPages = 30
)

var storedAges = []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour, 0}

// survey looks at some of what memcached holds.
func (a *Admin) survey(ctx context.Context) *StoredStatus {
	s := &StoredStatus{At: time.Now(), Whole: true, Sites: []SiteStatus{}, Hottest: []StoredPage{}, Errors: []string{}, Servers: map[string]int{}}
	for _, d := range storedAges {
		s.Ages = append(s.Ages, AgeStatus{Under: int64(d / time.Second)})
	}
	sites := map[string]*SiteStatus{}
	for _, end := range a.Gateway.Store.Survey(ctx, surveyLimit, func(e cachewriter.Sighting) { s.see(a, sites, &e) }) {
		s.Entries += end.Seen
		s.Servers[end.Server] = end.Seen
		s.Whole = s.Whole && end.Whole
		if end.Err != nil {
			s.Errors = append(s.Errors, end.Err.Error())
		}
	}
	for _, site := range sites {
		s.Sites = append(s.Sites, *site)
	}
	slices.SortFunc(s.Sites, func(a, b SiteStatus) int { return cmp.Or(b.Entries-a.Entries, cmp.Compare(a.Host, b.Host)) })
	return s
}

func (s *StoredStatus) see(a *Admin, sites map[string]*SiteStatus, e *cachewriter.Sighting) {
	host := e.Subject.Host
	if !e.Known {
		host = ""
	}
	if sites[host] == nil && len(sites) >= maxStoredSites {
		host = tally.Other
	}
	site := sites[host]
	if site == nil {
		site = &SiteStatus{Host: host}
		sites[host] = site
	}
	fetched := 0
	if e.Fetched {
		fetched = 1
	}
	site.Entries++
	site.Fetched += fetched
	site.Bytes += e.Size
	age := &s.Ages[s.ageOf(s.At.Sub(e.Accessed))]
	age.Entries++
	age.Fetched += fetched
	if e.Fetched && e.Known {
		s.addHot(StoredPage{e.Server, e.Subject.Host, a.Gateway.PublicURI(e.Subject.URI), e.Accessed, e.Expires, e.Size})
	}
}

func (s *StoredStatus) ageOf(d time.Duration) int {
	for i, under := range storedAges {
		if d < under {
			return i
		}
	}
	return len(storedAges) - 1
}

// addHot keeps the pages that were read last.
func (s *StoredStatus) addHot(p StoredPage) {
	i, _ := slices.BinarySearchFunc(s.Hottest, p, func(a, b StoredPage) int {
		return cmp.Or(b.Read.Compare(a.Read), cmp.Compare(a.Host+a.URI, b.Host+b.URI))
	})
	if i < maxStoredPages {
		s.Hottest = slices.Insert(s.Hottest, i, p)
		s.Hottest = s.Hottest[:min(len(s.Hottest), maxStoredPages)]
	}
}
