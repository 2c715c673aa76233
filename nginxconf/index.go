package nginxconf

import "slices"

// An index finds the directives of a long block, such as an http block with thousands of
// servers, without a look at all of them.
type index struct {
	named    map[string][]*directive
	rewrites []*directive // those of the rewrite module, in order
}

// longBlock is how many directives a block needs for an index.
const longBlock = 16

// addIndexes makes the indexes of the block and of all blocks in it. They must not change
// any more.
func (d *directive) addIndexes() {
	for _, inner := range d.block {
		inner.addIndexes()
	}
	if len(d.block) >= longBlock {
		d.index = newIndex(d.block)
	}
}

func newIndex(block []*directive) *index {
	x := &index{named: map[string][]*directive{}}
	for _, d := range block {
		x.named[d.name] = append(x.named[d.name], d)
		if d.isRewrite() {
			x.rewrites = append(x.rewrites, d)
		}
	}
	for name, ds := range x.named {
		x.named[name] = slices.Clip(ds)
	}
	return x
}

// isRewrite reports whether the directive is one of the rewrite module.
func (d *directive) isRewrite() bool {
	switch d.name {
	case "set", "if", "break", "return", "rewrite":
		return true
	}
	return false
}

// rewrites returns the directives of the rewrite module in the block itself. In a short
// block there may be others among them.
func (d *directive) rewrites() []*directive {
	if d.index != nil {
		return d.index.rewrites
	}
	return d.block
}

// own returns the directives of that name in the block itself.
func (d *directive) own(name string) (ds []*directive) {
	if d.index != nil {
		return d.index.named[name]
	}
	for _, inner := range d.block {
		if inner.name == name {
			ds = append(ds, inner)
		}
	}
	return ds
}
