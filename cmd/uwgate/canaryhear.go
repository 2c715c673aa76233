package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"uwgate/gateway"
	"uwgate/gateway/admin"
	"uwgate/uwsgi"
)

const adminTimeout = 2 * time.Second

// A hearing learns from the running gateway which canaries have come to it. It is used
// without --admin as well, and then learns nothing.
type hearing struct {
	api   *adminAPI // nil: none
	run   string    // as announced
	heard bool      // the gateway answers canaries itself
	err   error     // why it does not
}

// announce asks the gateway to answer canaries with these digits itself, and to keep what
// nginx sends.
func (h *hearing) announce(ctx context.Context, run string) {
	if h.api == nil {
		return
	}
	body, _ := json.Marshal(map[string]string{"token": run})
	h.run = run
	h.err = h.api.ask(ctx, "/api/v1/canaries", body, &admin.Canaries{})
	h.heard = h.err == nil
}

// of returns what came of a canary, nil if the gateway did not get it, or does not tell.
func (h *hearing) of(ctx context.Context, pr *probe) *gateway.Canary {
	told, err := h.told(ctx)
	if err != nil {
		h.err = err
	}
	return find(told, pr)
}

// ofAll adds what came to all canaries that were requested.
func (h *hearing) ofAll(ctx context.Context, probes []*probe) error {
	told, err := h.told(ctx)
	for _, pr := range probes {
		pr.missed.came = find(told, pr)
	}
	return err
}

func (h *hearing) told(ctx context.Context) ([]gateway.Canary, error) {
	if !h.heard {
		return nil, nil
	}
	var told admin.Canaries
	err := h.api.ask(ctx, "/api/v1/canaries/"+h.run, nil, &told)
	return told.Came, err
}

func find(told []gateway.Canary, pr *probe) *gateway.Canary {
	for _, c := range slices.Backward(told) {
		if slices.ContainsFunc(c.Vars, func(x [2]string) bool { return strings.Contains(x[1], pr.token) }) {
			return &c
		}
	}
	return nil
}

// varOf returns a var of a canary, as the gateway tells it.
func varOf(c *gateway.Canary, name string) string {
	vars := make(uwsgi.Vars, len(c.Vars))
	for i, x := range c.Vars {
		vars[i] = uwsgi.Var{Name: x[0], Value: x[1]}
	}
	return vars.Get(name)
}
