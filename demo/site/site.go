// Package site contains the files of the Django site that the demo, docker-compose.yml and
// the tests run. They run it from a copy, so that no __pycache__ and no database appear
// in the source tree.
package site

import "embed"

// Files is the project directory: manage.py, prepare.py, demosite and journal.
//
//go:embed *.py demosite/*.py journal/*.py journal/migrations/*.py journal/templates
var Files embed.FS
