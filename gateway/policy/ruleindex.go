package policy

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Rules is an ordered list of rules. A request is compared only with those that may be for
// its host and the beginning of its path, so thousands of rules cost it no more than one. Nil is
// an empty list. Rules does not change, and is safe for concurrent use.
type Rules struct {
	list   []Rule
	byHost map[string]*prefixTree // hosts in lower case; ".example.com" stands for the glob "*.example.com"
	others *prefixTree            // rules for any host, and for other globs
	purges bool                   // a rule has Purge
}

// NewRules returns the rules in that order. Each must have passed Validate. The list belongs
// to Rules from then on. The Rules of an empty list are nil.
func NewRules(list []Rule) *Rules {
	if len(list) == 0 {
		return nil
	}
	byHost, others := make(map[string]prefixes), prefixes{}
	r := &Rules{list: list}
	for i := range list {
		rule := &list[i]
		r.purges = r.purges || rule.Purge != nil
		prefix := rule.literalPrefix()
		hosts := rule.literalHosts()
		if hosts == nil {
			others.add(prefix, i+1)
		}
		for _, host := range hosts {
			if byHost[host] == nil {
				byHost[host] = prefixes{}
			}
			byHost[host].add(prefix, i+1)
		}
	}
	r.others = others.tree()
	r.byHost = make(map[string]*prefixTree, len(byHost))
	for host, under := range byHost {
		r.byHost[host] = under.tree()
	}
	return r
}

// All returns the rules. Do not change them.
func (r *Rules) All() []Rule {
	if r == nil {
		return nil
	}
	return r.list
}

// candidates appends to numbers those of all rules that may match, in their order.
func (r *Rules) candidates(l place, numbers []int) []int {
	if r == nil {
		return numbers
	}
	path := l.path
	if !l.hasPath {
		path = ""
	}
	numbers = r.others.find(path, numbers)
	if len(r.byHost) > 0 {
		host := strings.ToLower(l.host)
		numbers = r.byHost[host].find(path, numbers)
		for i := range len(host) {
			if host[i] == '.' {
				numbers = r.byHost[host[i:]].find(path, numbers)
			}
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// literalHosts returns hosts one of which must be that of the request, or must end it if it
// begins with a dot; nil if they cannot be told.
func (r *Rule) literalHosts() (hosts []string) {
	for _, glob := range r.Hosts {
		host := strings.ToLower(glob)
		if rest, found := strings.CutPrefix(host, "*"); found && strings.HasPrefix(rest, ".") {
			host = rest
		}
		if strings.Contains(host, "*") {
			return nil
		}
		hosts = append(hosts, host)
	}
	return hosts
}

// literalPrefix returns how each path must begin for which the rule is.
func (r *Rule) literalPrefix() string {
	glob, _, _ := strings.Cut(r.PathGlob, "*")
	return slices.MaxFunc([]string{r.PathPrefix, glob, literalPrefix(r.PathRegexp)},
		func(a, b string) int { return len(a) - len(b) })
}

// literalPrefix returns how each text must begin that the expression matches, "" if that
// cannot be told. Method LiteralPrefix of Regexp finds nothing behind a ^.
func literalPrefix(re *regexp.Regexp) string {
	if re == nil {
		return ""
	}
	tree, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil || tree.Op != syntax.OpConcat {
		return ""
	}
	begin, literal := tree.Sub[0], tree.Sub[1]
	if begin.Op != syntax.OpBeginText || literal.Op != syntax.OpLiteral || literal.Flags&syntax.FoldCase != 0 ||
		slices.Contains(literal.Rune, utf8.RuneError) { // which also matches a byte that is no UTF-8
		return ""
	}
	return string(literal.Rune)
}

// prefixes are numbers of rules by how paths must begin.
type prefixes map[string][]int

func (p prefixes) add(prefix string, number int) { p[prefix] = append(p[prefix], number) }

// A prefixTree finds all prefixes of a path that it has. Nil has none.
type prefixTree struct {
	prefixes []string // sorted
	parents  []int    // of each prefix, the longest other one that it begins with; -1: none
	numbers  [][]int  // of each prefix
}

func (p prefixes) tree() *prefixTree {
	if len(p) == 0 {
		return nil
	}
	t := &prefixTree{}
	for prefix := range p {
		t.prefixes = append(t.prefixes, prefix)
	}
	slices.Sort(t.prefixes)
	for i, prefix := range t.prefixes {
		parent := i - 1
		for parent >= 0 && !strings.HasPrefix(prefix, t.prefixes[parent]) {
			parent = t.parents[parent]
		}
		t.parents = append(t.parents, parent)
		t.numbers = append(t.numbers, p[prefix])
	}
	return t
}

// find appends the numbers of all prefixes of the path. In the order of texts, all that lies
// between a prefix of the path and the path begins with that prefix. So the last
// one that is not behind the path, or one of its parents, is the longest prefix.
func (t *prefixTree) find(path string, numbers []int) []int {
	if t == nil {
		return numbers
	}
	at, found := slices.BinarySearch(t.prefixes, path)
	if !found {
		at--
	}
	for ; at >= 0; at = t.parents[at] {
		if strings.HasPrefix(path, t.prefixes[at]) {
			numbers = append(numbers, t.numbers[at]...)
		}
	}
	return numbers
}
