package snippet

// Key returns the key of the site, also if none is set.
var Key = (*Site).key

var Overlap = overlap
