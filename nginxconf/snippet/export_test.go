package snippet

// Key is the key of which the site is made.
var Key = (*Site).key
