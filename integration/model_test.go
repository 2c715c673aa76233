package integration

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
	"uwgate/uwsgi"
)

// What nginx does with random configurations is what package nginxconf says of them, and
// what `serve --nginx` accepts never stores a page under another page's key.
//
// A fault names the seed with which it comes back.
func TestModelOfNginx(t *testing.T) {
	limit, err := time.ParseDuration(cmp.Or(os.Getenv("UWGATE_TEST_MODEL"), "5s"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("UWGATE_TEST_MODEL_SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	count := modelCount{}
	for end := time.Now().Add(limit); time.Now().Before(end) && count["faults"] < 10; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { modelRound(t, rand.New(rand.NewPCG(seed, 0)), count) })
	}
	t.Log(count)
	for _, what := range []string{"accepted", "stored", "unasked", "rewritten"} {
		if count[what] == 0 {
			t.Errorf("the sites of these seeds prove nothing: nothing is %s", what)
		}
	}
}

type modelCount map[string]int

const modelSites = 50

// modelRound runs one nginx with random sites, each with random requests.
func modelRound(t *testing.T, r *rand.Rand, count modelCount) {
	var sites []*modelSite
	for range modelSites {
		sites = append(sites, newModelSite(r))
	}
	g := startGround(t, sites)
	for i, s := range sites {
		j := newModelJudge(t, s, count)
		for _, q := range modelRequests(r) {
			j.events(q, g.request(i, q))
		}
		j.judge()
	}
}

// A modelJudge compares what a site did with what is known of its configuration.
type modelJudge struct {
	t        *testing.T
	count    modelCount
	text     string
	config   *nginxconf.Config
	settings *parity.Settings // nil: serve does not start
	policy   *policy.Policy

	faulty bool
	all    []modelArrival
	looked map[string]string // the keys that were looked up, to a request
	byURL  map[string]bool   // the URLs that were looked up
}

// A modelArrival is a request that reached the worker.
type modelArrival struct {
	request modelRequest
	vars    uwsgi.Vars
	asked   string // the key of the lookup that has just found nothing; "" if there was none
	ok      bool   // the worker responded with a page
	led     bool   // by an X-Accel-Redirect
}

func newModelJudge(t *testing.T, s *modelSite, count modelCount) *modelJudge {
	t.Helper()
	s.socket = "a.sock"
	j := &modelJudge{t: t, count: count, text: s.server(), looked: map[string]string{}, byURL: map[string]bool{}}
	var err error
	if j.config, err = nginxconf.Parse("site", "http {"+modelFrame+"\n"+j.text+"}"); err != nil {
		t.Fatalf("%v\n%s", err, j.text)
	}
	count["sites"]++
	listen := []string{"unix:" + modelDir + "/w.sock"}
	found, err := parity.SettingsFor(j.config, listen)
	if err != nil || found.Unknown["key"] != nil || found.Diverted != nil {
		if len(parity.Refusals(j.config, parity.Gateway{Listen: listen})) == 0 {
			j.fault("check has no error, but no settings can be taken: %+v, %v", found, err)
		}
		return j
	}
	count["accepted"]++
	j.settings = found
	j.policy = &policy.Policy{Keys: policy.Keys{TemplateIsProof: !found.HandedOver, AllowRewrites: found.RewritesProven}, Lifetimes: policy.Lifetimes{Default: time.Minute}}
	if found.Key != "" {
		if j.policy.Keys.Template, err = policy.ParseTemplate(found.Key); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

func (j *modelJudge) events(q modelRequest, events []event) {
	asked, led := "", false
	for _, e := range events {
		if e.asked != "" {
			asked = e.asked
			if !led {
				j.looked[e.asked] = q.String()
			}
			j.byURL[q.target] = j.byURL[q.target] || !led
			continue
		}
		j.all = append(j.all, modelArrival{q, e.vars, asked, e.ok, led})
		asked, led = "", led || e.vars.Get("HTTP_X_TO") != ""
	}
}

func (a modelArrival) String() string {
	how := "without a lookup"
	if a.asked != "" {
		how = "looked up under " + a.asked
	}
	return fmt.Sprintf("%v: reached pass %s as %q?%q, %s", a.request, a.vars.Get("PASS"), a.vars.Get("PATH_INFO"), a.vars.Get("QUERY_STRING"), how)
}

func (a modelArrival) target() string {
	return a.vars.Get("PATH_INFO") + "?" + a.vars.Get("QUERY_STRING")
}

func (j *modelJudge) judge() {
	byURL := map[string]modelArrival{} // asked ones
	for _, a := range j.all {
		j.unasked(a)
		j.rewritten(a)
		if a.asked == "" || a.led {
			continue
		}
		if b, ok := byURL[a.request.target]; ok && b.target() != a.target() && j.settings != nil && j.settings.RewritesProven {
			j.fault("rewrites are proven, but\n%v\n%v", a, b)
		}
		byURL[a.request.target] = a
	}
	if j.settings != nil {
		j.stored()
	}
}

// unasked checks that the model knows of requests without a lookup.
func (j *modelJudge) unasked(a modelArrival) {
	if a.asked != "" || a.led {
		return
	}
	j.count["unasked"]++
	p := j.pass(a)
	sometimes := false
	for _, u := range p.Unasked {
		sometimes = sometimes || u.Sometimes
	}
	switch {
	case len(p.Unasked) == 0:
		j.fault("Unasked is empty, but\n%v", a)
	case !sometimes && j.byURL[a.request.target]:
		j.fault("Unasked is never for a URL that is looked up, but that is:\n%v", a)
	}
}

func (j *modelJudge) rewritten(a modelArrival) {
	path, query, _ := strings.Cut(a.request.target, "?")
	if a.led || a.vars.Get("PATH_INFO") == path && a.vars.Get("QUERY_STRING") == query {
		return
	}
	j.count["rewritten"]++
	if j.pass(a).Rewritten.IsZero() {
		j.fault("Rewritten is zero, but\n%v", a)
	}
}

// stored checks that a gateway with the settings stores pages under the keys that nginx
// looks up for them, and under no other page's key.
func (j *modelJudge) stored() {
	pages := map[string]modelArrival{}
	for _, a := range j.all {
		plan := j.policy.Request(a.seen())
		if !a.ok || plan.Reason != "" {
			continue
		}
		j.count["stored"]++
		if a.asked == "" && j.looked[plan.Key] != "" {
			j.fault("stored under %s without a lookup:\n%v", plan.Key, a)
		}
		if a.asked != "" && a.asked != plan.Key {
			j.fault("stored under %s:\n%v", plan.Key, a)
		}
		if b, ok := pages[plan.Key]; ok && a.target() != b.target() {
			j.fault("two pages under %s:\n%v\n%v", plan.Key, a, b)
		}
		pages[plan.Key] = a
	}
}

// seen are the vars without those that only steer the test: the gateway must not depend
// on them, since nginx may decide by anything, such as the client's address.
func (a modelArrival) seen() (vars uwsgi.Vars) {
	for _, v := range a.vars {
		switch v.Name {
		case "PASS", "HTTP_COOKIE", "HTTP_X_STATUS", "HTTP_X_TO":
		default:
			vars = append(vars, v)
		}
	}
	return vars
}

// pass returns the uwsgi_pass with the number that the packet has.
func (j *modelJudge) pass(a modelArrival) *nginxconf.Pass {
	before, _, _ := strings.Cut(j.text, "#"+a.vars.Get("PASS")+"\n")
	line := strings.Count(before, "\n") + 2
	for _, p := range j.config.Passes {
		if p.Line == line {
			return p
		}
	}
	j.t.Fatalf("no pass %q\n%s", a.vars.Get("PASS"), j.text)
	return nil
}

func (j *modelJudge) fault(format string, args ...any) {
	if j.faulty {
		return // the first one is enough
	}
	j.faulty = true
	j.count["faults"]++
	j.t.Errorf(format+"\n%s", append(args, j.text)...)
}
