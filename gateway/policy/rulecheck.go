package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Validate returns what is wrong with the rule and how to correct it. It returns
// nil for a rule that can be used.
func (r *Rule) Validate() error {
	for _, check := range []func() error{r.checkHosts, r.checkPath, r.checkArgs, r.checkTypes, r.checkAction, r.checkTTLs, r.checkTags, r.checkStatuses, r.checkMethods, r.checkPurge} {
		if err := check(); err != nil {
			return fmt.Errorf("policy: rule: %w", err)
		}
	}
	return nil
}

func (r *Rule) checkHosts() error {
	for _, host := range r.Hosts {
		if host == "" || strings.ContainsAny(host, "/ :") && !strings.HasPrefix(host, "[") {
			return fmt.Errorf("host %q: give a name such as www.example.com or *.example.com, without scheme and port", host)
		}
	}
	return nil
}

func (r *Rule) checkPath() error {
	switch {
	case r.PathPrefix != "" && r.PathPrefix[0] != '/':
		return fmt.Errorf("path prefix %q does not begin with a slash; write it as /%s", r.PathPrefix, r.PathPrefix)
	case r.PathGlob != "" && r.PathGlob[0] != '/' && r.PathGlob[0] != '*':
		return fmt.Errorf("path glob %q begins with neither a slash nor a star, so no path can match; write it as /%s", r.PathGlob, r.PathGlob)
	case strings.Contains(r.PathPrefix, "?"), strings.Contains(r.PathGlob, "?"):
		return errors.New("a path holds no arguments, and ? is nothing special in a glob; name arguments of their own")
	}
	return nil
}

func (r *Rule) checkStatuses() error {
	for _, status := range r.Statuses {
		if !slices.Contains(storableStatuses, status) {
			return fmt.Errorf("status %d cannot be stored; besides 200, which always may, there are %v", status, storableStatuses)
		}
	}
	return nil
}

func (r *Rule) checkArgs() error {
	for _, arg := range r.Args {
		if name, _, _ := strings.Cut(arg, "="); name == "" || strings.ContainsAny(arg, "&?") {
			return fmt.Errorf("argument %q: write name, or name=value, decoded, one argument an entry", arg)
		}
	}
	for _, glob := range r.KeepArgs {
		if glob == "" || strings.ContainsAny(glob, "=&?") {
			return fmt.Errorf("argument to keep %q: write its name, or a glob such as page_*, without a value", glob)
		}
	}
	if r.KeepArgs != nil && len(r.ContentTypes) > 0 {
		return errors.New("arguments are cut before there is an answer, whose content type the rule waits for; use two rules")
	}
	return nil
}

func (r *Rule) checkTypes() error {
	for _, glob := range r.ContentTypes {
		if glob != "*" && strings.Count(glob, "/") != 1 || strings.ContainsAny(glob, "; ") {
			return fmt.Errorf("content type %q: write type/subtype, such as text/html or text/*, without parameters", glob)
		}
	}
	return nil
}

func (r *Rule) checkAction() error {
	switch r.Action {
	case "", ActionCache, ActionObserve:
		return nil
	case ActionBypass:
		if r.TTL != 0 || r.MinTTL != 0 || r.MaxTTL != 0 || r.Tags != nil || r.KeepArgs != nil {
			return errors.New("with action bypass nothing is stored, so lifetimes, tags and arguments to keep mean nothing; take them out, or the action")
		}
		return nil
	}
	return fmt.Errorf("action %q is not known; it is one of cache, bypass and observe", r.Action)
}

func (r *Rule) checkTTLs() error {
	for _, ttl := range []time.Duration{r.TTL, r.MinTTL, r.MaxTTL} {
		if ttl < 0 || 0 < ttl && ttl < time.Second {
			return fmt.Errorf("lifetime %v: memcached counts whole seconds, so give one of at least 1s; to store nothing, use action bypass", ttl)
		}
	}
	if r.MaxTTL > 0 && r.MinTTL > r.MaxTTL {
		return fmt.Errorf("the shortest lifetime %v is longer than the longest, %v; swap them", r.MinTTL, r.MaxTTL)
	}
	return nil
}

func (r *Rule) checkTags() error {
	for _, tag := range r.Tags {
		if tag == "" || strings.ContainsFunc(tag, isControlOrSpace) || strings.Contains(tag, ",") {
			return fmt.Errorf("tag %q: a tag is one word, without spaces and commas; give several as several", tag)
		}
		if len(tag) > maxTag {
			return fmt.Errorf("tag %.20q…: it has %d bytes; a tag has at most %d", tag, len(tag), maxTag)
		}
	}
	return nil
}

func (r *Rule) checkMethods() error {
	for _, method := range r.Methods {
		if method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != "" {
			return fmt.Errorf("method %q: write it in capitals, as in POST", method)
		}
	}
	switch {
	case len(r.Methods) == 0:
		return nil
	case !slices.Contains(r.Methods, "GET") && r.hasEffect():
		return errors.New("only pages for GET are stored, so all but purge has no effect with these methods; add GET, or take the rest out")
	case !slices.ContainsFunc(r.Methods, func(method string) bool { return !isSafeMethod(method) }) && r.Purge != nil:
		return errors.New("only unsafe methods such as POST purge; add one, or take purge out")
	case !slices.Contains(r.Methods, "GET") && r.Purge == nil:
		return errors.New("only pages for GET are stored, so the rule has no effect; add GET, or say what it purges")
	}
	return nil
}

func (r *Rule) checkPurge() error {
	if r.Purge != nil && len(r.ContentTypes) > 0 {
		return errors.New("what is purged depends on the request alone, so purge has no effect with a content type; use two rules")
	}
	n := 0
	if r.PathRegexp != nil {
		n = r.PathRegexp.NumSubexp()
	}
	for _, s := range r.Purge {
		err := s.check()
		for _, text := range []string{s.URI, s.Tag} {
			if err == nil {
				err = checkFill(text, n)
			}
		}
		if err != nil {
			return fmt.Errorf("purge %q: %w", s, err)
		}
	}
	return nil
}
