// Package site holds the Django site of the demo, compose and the tests as files
// to be written out: a site that runs from a copy leaves no __pycache__ or
// database in the source tree.
package site

import "embed"

// Files is the project folder: manage.py, prepare.py, demosite and journal.
//
//go:embed *.py demosite/*.py journal/*.py journal/migrations/*.py journal/templates
var Files embed.FS
