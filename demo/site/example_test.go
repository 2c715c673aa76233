package site_test

import (
	"fmt"
	"io/fs"

	"uwgate/demo/site"
)

func Example() {
	entries, err := fs.ReadDir(site.Files, ".")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range entries {
		fmt.Println(e.Name())
	}
	// Output:
	// demosite
	// journal
	// manage.py
	// prepare.py
}
