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

// A hostMap is the content of a map file.
type hostMap struct {
	hosts table
	made  map[string]*Pool // the pools of servers that the file names, by their text
	stamp stamp
}

// A stamp identifies one version of one file. The zero stamp is that of no file.
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

// Load reads a map file, which replaces the one before. A line is one of
//
//	HOST  POOL                            the name of a pool of Add
//	HOST  ADDRESS [PARAMETERS] [, …]      servers, as in Pool.Add
//
// with a host as in Add. A comment begins with #. Servers whose text is unchanged keep
// their state. If there is an error nothing changes; the error names the lines.
func (ps *Pools) Load(path string) error {
	ps.changing.Lock()
	defer ps.changing.Unlock()
	return ps.now().load(path)
}

// load is Load for the pools in force. ps.changing is held.
func (ps *Pools) load(path string) error {
	stamp, err := stampOf(path) // taken before the file is read, so that no later change is missed
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

// retire retires the pools that are no longer in m. Their requests go on.
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
		return fmt.Errorf("%s has no pool; write the name of a pool, or a server, after the host", words[0])
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

// mapped returns the pool that text names, or a pool of the servers that text names.
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
	return nil, fmt.Errorf("there is no pool %q; write the name of a pool in the configuration, or an address, as in unix:/run/app.sock", name)
}

// mapInterval is the pause between two looks at a map file.
const mapInterval = 2 * time.Second

// Watch loads the map file of the last Load again whenever it changes, until ctx is done.
// A file with errors changes nothing and is logged.
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

// look loads the map file if it has changed since it was loaded, and since the last look,
// whose stamp is looked. It returns the present stamp.
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
		ps.log().Error("the map file could not be loaded; uwgate keeps the hosts of the last one", zap.Error(err))
	}
	return now
}
