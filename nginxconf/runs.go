package nginxconf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// followRuns completes what is known of a lookup by the ways to it: which requests have no
// key, and which never come to it.
func (b *builder) followRuns(l *Lookup) {
	runs, ok := b.config.Runs(l, nil)
	if !ok || len(runs) == 0 {
		return
	}
	var asked []Run
	for _, run := range runs {
		if run.IsAsked {
			asked = append(asked, run)
			continue
		}
		b.leave(l, run)
	}
	if len(asked) > 0 {
		b.settleKey(l, asked)
		return
	}
	l.Never = first(Text{}, runs[len(runs)-1].left) // a constant srcache_fetch_skip is meant
}

// settleNever records that no directive leads a request to the lookup's location.
func (b *builder) settleNever(l *Lookup) {
	location := l.scope.location()
	isHidden := location.match.isNamed() || location.find("internal") != nil // an X-Accel-Redirect may lead there
	if !b.visited[location] && !isHidden && l.Never.IsZero() {
		l.Never = first(Text{}, location.directive)
	}
}

// leave records a response that some requests get before the lookup.
func (b *builder) leave(l *Lookup, run Run) {
	d := run.left
	if d == nil || d.name != "return" && d.name != "rewrite" || b.goesOn(run) {
		return
	}
	leave := Leave{Text: run.Left, If: run.If, IsServer: !slices.Contains(l.scope.location().all("return", "rewrite"), d)}
	if !slices.Contains(l.Leaves, leave) {
		l.Leaves = append(l.Leaves, leave)
	}
}

// goesOn reports whether requests that leave are sent to another location, or from there
// to a uwsgi_pass.
func (b *builder) goesOn(run Run) bool {
	d := run.left
	if d.name == "rewrite" {
		return d.arg(2) != "redirect" && d.arg(2) != "permanent" && !isElsewhere(d.arg(1))
	}
	pages, _ := run.around.errorPages()
	for _, page := range pages {
		if strconv.Itoa(page.Code) == d.arg(0) {
			return b.passOfTarget(run.around, page.Target) != nil
		}
	}
	return false
}

// all returns the directives of those names in the block, and in blocks in it.
func (d *directive) all(names ...string) (ds []*directive) {
	d.walk(func(inner *directive) {
		if slices.Contains(names, inner.name) {
			ds = append(ds, inner)
		}
	})
	return ds
}

// settleKey decides whether some of the requests that are looked up have no key, or another
// one.
func (b *builder) settleKey(l *Lookup, asked []Run) {
	k := &l.Key
	if !k.Asked.IsZero() {
		return // made in the subrequest
	}
	why := ""
	var own []string
	for _, run := range asked {
		because, isEmpty := b.defs.mayBeEmpty(run.key, run.facts, maxMaps)
		if isEmpty && why == "" {
			why = b.whyEmpty(l, run, because)
		}
		if !isEmpty || len(run.key) > 0 {
			own = append(own, run.Key)
		}
	}
	slices.Sort(own)
	own = slices.Compact(own)
	switch {
	case why == "" && len(own) == 1 && Canonical(own[0]) == Canonical(k.Expanded):
		k.Late, k.Varies = "", ""
	case why == "":
		k.Late = ""
	case len(own) > 0 && b.isCaught(l):
		k.Late, k.Skipping = "", b.skipping(l)
	case k.Late == "":
		k.Late, k.IsEmpty = why, len(own) > 0
	}
}

// whyEmpty says which requests have no key.
func (b *builder) whyEmpty(l *Lookup, run Run, because Variable) string {
	switch {
	case len(run.key) == 0 && len(run.Assumed) == 0:
		return fmt.Sprintf("%s of %s gives it no value", asCode("set", l.Key.Variable, l.Key.Value), l.Key.Place)
	case len(run.key) == 0:
		return "it is empty for requests " + run.described()
	case because.Kind == "map" || because.Kind == "geo":
		return fmt.Sprintf("the %s of %s gives %s no value for some requests", because.Kind, because.Place, because.Name)
	}
	return because.Name + " is empty for some requests"
}

// described says which requests take the way.
func (r Run) described() string {
	var all []string
	for _, a := range r.Assumed {
		word := "that do not meet"
		if a.Met {
			word = "that meet"
		}
		all = append(all, fmt.Sprintf("%s %s of %s", word, asCode(a.Text.Value), a.Place))
	}
	return strings.Join(all, " and ")
}

// isCaught reports whether requests without a key, to which nginx responds with 500, reach
// a uwsgi_pass, with its status.
func (b *builder) isCaught(l *Lookup) bool { return !b.skipping(l).IsZero() }

// skipping returns the error_page for requests without a key.
func (b *builder) skipping(l *Lookup) Text {
	for _, page := range l.ErrorPages {
		if page.Code != 500 || l.Srcache {
			continue
		}
		if page.Keeps && b.passOfTarget(l.scope, page.Target) != nil {
			return Text{page.Place, "error_page 500"}
		}
		break
	}
	return Text{}
}
