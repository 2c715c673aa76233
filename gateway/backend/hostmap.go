package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
)

// A hostMap is a map file as it was read.
type hostMap struct {
	hosts table
	made  map[string]*Pool // by the text of their servers
	stamp stamp
}

// A stamp tells one version of a file from another, and from another file. The zero
// stamp is that of no file.
type stamp struct {
	path string
	size int64
	time time.Time
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{path: path}, err
	}
	return stamp{path, info.Size(), info.ModTime()}, nil
}

// Load reads a map file and puts it in the place of the one before. A line is
//
//	HOST  POOL                            a pool that Add was told of, by its name
//	HOST  ADDRESS [PARAMETERS] [, …]      servers as ParseNode reads them
//
// with hosts as Add takes them, and # before a comment. Servers that are written
// as before keep their state. An error names the line and changes nothing.
func (ps *Pools) Load(path string) error {
	ps.changing.Lock()
	defer ps.changing.Unlock()
	return ps.now().load(path)
}

// load is Load while nothing else changes ps, which is in force.
func (ps *Pools) load(path string) error {
	stamp, err := stampOf(path) // before it is read: a later change is not missed
	if err != nil {
		return fmt.Errorf("backend: map file: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("backend: map file: %w", err)
	}
	before := ps.file.Load()
	m, err := ps.parseMap(path, text, before)
	if err != nil {
		return err
	}
	m.stamp = stamp
	ps.file.Store(m)
	ps.retire(before, m)
	ps.log().Info("map file loaded", zap.String("file", path), zap.Int("hosts", len(m.hosts.exact)+len(m.hosts.globs)))
	return nil
}

// retire is for the pools that m has no more. Their requests go on.
func (ps *Pools) retire(before, m *hostMap) {
	if before == nil {
		return
	}
	for text, p := range before.made {
		if m.made[text] == nil {
			p.init().retire()
		}
	}
}

func (ps *Pools) parseMap(path string, text []byte, before *hostMap) (*hostMap, error) {
	m := &hostMap{made: make(map[string]*Pool)}
	var errs []error
	for i, line := range bytes.Split(text, []byte("\n")) {
		content, _, _ := strings.Cut(string(line), "#")
		words := strings.Fields(content)
		if len(words) == 0 {
			continue
		}
		if err := ps.parseMapLine(m, before, words); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", path, i+1, err))
		}
	}
	return m, errors.Join(errs...)
}

func (ps *Pools) parseMapLine(m, before *hostMap, words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("%s has no pool; write its name, or a server, after the host", words[0])
	}
	p, err := ps.mapped(m, before, strings.Join(words[1:], " "))
	if err != nil {
		return err
	}
	if err := m.hosts.add(words[0], p); err != nil {
		return fmt.Errorf("host %q: %w", words[0], err)
	}
	return nil
}

// mapped returns the pool that text names, or one of the servers in it.
func (ps *Pools) mapped(m, before *hostMap, text string) (*Pool, error) {
	if !strings.ContainsAny(text, ":/@ ") {
		return ps.byName(text)
	}
	p := m.made[text]
	if p == nil && before != nil {
		p = before.made[text]
	}
	if p == nil {
		var err error
		if p, err = ps.makePool(text); err != nil {
			return nil, err
		}
	}
	m.made[text] = p
	return p, nil
}

func (ps *Pools) makePool(text string) (*Pool, error) {
	makes := ps.Make
	if makes == nil {
		makes = NewPool
	}
	p, err := makes(strings.Split(text, ",")...)
	if err == nil && p.Name == "" {
		p.Name = text
	}
	return p, err
}

func (ps *Pools) byName(name string) (*Pool, error) {
	for _, p := range ps.named {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("there is no pool %q; name one of the configuration, or write an address, as in unix:/run/app.sock", name)
}

// mapInterval is how often a map file is looked at.
const mapInterval = 2 * time.Second

// Watch loads the map file of the last Load anew whenever it has changed, until ctx
// is done. A file with mistakes changes nothing and is logged.
func (ps *Pools) Watch(ctx context.Context) {
	tick := time.NewTicker(mapInterval)
	defer tick.Stop()
	var looked stamp
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		looked = ps.look(looked)
	}
}

// look loads the map file if it is not as it was when it was loaded, or last looked
// at, and returns how it is.
func (ps *Pools) look(looked stamp) stamp {
	ps.changing.Lock()
	defer ps.changing.Unlock()
	ps = ps.now()
	m := ps.file.Load()
	if m == nil {
		return looked
	}
	now, err := stampOf(m.stamp.path)
	if now == looked || now == m.stamp {
		return now
	}
	if err == nil {
		err = ps.load(m.stamp.path)
	}
	if err != nil {
		ps.log().Error("map file not loaded; the hosts stay as they were", zap.Error(err))
	}
	return now
}
