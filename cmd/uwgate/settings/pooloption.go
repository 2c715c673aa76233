package settings

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

func setChoice(p *backend.Pool, s string) (err error) {
	p.Choice, err = backend.ParseChoice(s)
	return err
}

func setProbe(p *backend.Pool, s string) (err error) {
	p.Probe, err = backend.ParseProbe(s)
	return err
}

// poolTime returns the setter of a time.
func poolTime(of func(*backend.Pool) *time.Duration) func(*backend.Pool, string) error {
	return func(p *backend.Pool, s string) error {
		d, err := parseTime(s)
		if err == nil {
			err = positive(d)
		}
		if err == nil {
			*of(p) = d
		}
		return err
	}
}

func setSlowStart(p *backend.Pool, s string) error {
	d, err := parseTime(s)
	if err == nil {
		err = zeroIs("none")(d)
	}
	if err == nil {
		p.SlowStart = d
	}
	return err
}

func poolNumber(most int, set func(*backend.Pool, int)) func(*backend.Pool, string) error {
	return func(p *backend.Pool, s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > most {
			return fmt.Errorf("write a number from 0 to %d", most)
		}
		set(p, n)
		return nil
	}
}

// setQueueLength sets the length. A pool has -1 for no queue, because 0 is its default.
func setQueueLength(p *backend.Pool, s string) error {
	return poolNumber(1<<20, func(p *backend.Pool, n int) {
		if p.QueueLength = n; n == 0 {
			p.QueueLength = -1
		}
	})(p, s)
}

func setBufferSize(p *backend.Pool, s string) error {
	n, err := parseSize(s)
	if err != nil {
		return err
	}
	// uWSGI takes 64k for this.
	if n == 64<<10 {
		n--
	}
	if n < 1 || n > 65535 {
		return errors.New("write the workers' buffer-size, 65535 at most; uWSGI's default is 4096")
	}
	p.BufferSize = int(n)
	return nil
}

func addAllowVar(p *backend.Pool, s string) error {
	name, _, _ := strings.Cut(s, "=")
	if !strings.HasPrefix(name, "UWSGI_") || !IsVarName(name) {
		return errors.New("write the name of a UWSGI_* var, alone or with the one value that is allowed; other vars need no setting")
	}
	p.AllowVars = append(p.AllowVars, s)
	return nil
}

func addSetVar(p *backend.Pool, s string) error {
	name, value, ok := strings.Cut(s, "=")
	switch {
	case !ok || !IsVarName(name):
		return errors.New("write NAME=VALUE")
	case slices.Contains([]string{"CONTENT_LENGTH", "REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING", "PATH_INFO"}, name):
		return errors.New("this var is the request itself; it cannot be set")
	case strings.ContainsAny(value, "\r\n\x00"):
		return errors.New("the value has a line break or a zero byte")
	}
	p.SetVars = slices.Clone(p.SetVars).Set(uwsgi.Var{Name: name, Value: value})
	return nil
}
