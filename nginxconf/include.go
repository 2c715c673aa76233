package nginxconf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A configuration cannot have more than this.
const (
	maxFiles = 5000
	maxBytes = 64 << 20
)

// newParser returns a parser for that main file. Relative includes are in its folder,
// unless there is a prefix (ngx_process_options).
func newParser(main, prefix string) *parser {
	if prefix == "" {
		prefix = filepath.Dir(main)
	}
	return &parser{prefix: prefix, bytes: maxBytes, files: maxFiles}
}

// include parses the files that the directive names. A file that cannot be read is a gap,
// since the reader may have fewer rights than nginx.
func (p *parser) include(d *directive, end byte) ([]*directive, error) {
	if end != ';' || len(d.args) != 1 {
		return nil, d.mistake("include takes one file name or pattern, and a `;`")
	}
	if p.files <= 0 { // before any pattern is looked for
		return nil, d.mistake("%v", errTooMuch)
	}
	name := d.args[0]
	if !filepath.IsAbs(name) {
		name = filepath.Join(p.prefix, name)
	}
	names := []string{name}
	if strings.ContainsAny(name, "*?[") {
		var errs []error
		names, errs = glob(name)
		for _, err := range errs {
			p.gap(d, err)
		}
	}
	var all []*directive
	for _, name := range names {
		ds, err := p.file(d, name)
		if err != nil {
			return nil, err
		}
		all = append(all, ds...)
	}
	return all, nil
}

func (p *parser) gap(include *directive, err error) {
	p.gaps = append(p.gaps, Gap{Place: include.Place, Text: fmt.Sprintf("include %s: %v", include.args[0], err)})
}

// file parses an included file. An error is a mistake in it.
func (p *parser) file(include *directive, name string) ([]*directive, error) {
	if slices.Contains(p.reading, name) {
		return nil, include.mistake("%s includes itself: %s", name, strings.Join(append(p.reading, name), " includes "))
	}
	if err := p.enter(include.Place); err != nil {
		return nil, err
	}
	defer p.leave()
	text, err := p.load(name)
	if err == errTooMuch {
		return nil, include.mistake("%v", err)
	}
	if err != nil {
		p.gap(include, fileError(name, err))
		return nil, nil
	}
	p.reading = append(p.reading, name)
	defer func() { p.reading = p.reading[:len(p.reading)-1] }()
	return p.text(name, text)
}

// fileError writes the name first and leaves out the operation.
func fileError(name string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("%s: %w", name, err)
}

var errTooMuch = fmt.Errorf("the configuration has more than %d files or %d MiB", maxFiles, maxBytes>>20)

// load reads a file, within the bounds.
func (p *parser) load(name string) (string, error) {
	if p.files--; p.files < 0 {
		return "", errTooMuch
	}
	// A pipe would never end.
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return "", errors.New("not a file")
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, p.bytes+1))
	if p.bytes -= int64(len(b)); p.bytes < 0 {
		return "", errTooMuch
	}
	if err == nil && !slices.Contains(p.read, name) {
		p.read = append(p.read, name)
	}
	return string(b), err
}

// glob returns the files of a pattern as glob(3) does: sorted by bytes; hidden files only
// if the pattern has the dot. The errors are about folders that cannot be read.
func glob(pattern string) (names []string, errs []error) {
	names = []string{""}
	if filepath.IsAbs(pattern) {
		names = []string{"/"}
	}
	for _, part := range strings.FieldsFunc(pattern, func(r rune) bool { return r == '/' }) {
		var next []string
		for _, dir := range names {
			found, err := globIn(dir, part)
			if err != nil {
				errs = append(errs, fileError(filepath.Join(dir, "."), err))
			}
			next = append(next, found...)
		}
		names = next
	}
	slices.Sort(names)
	return names, errs
}

// globIn returns what matches one part of a pattern in a folder. What is no folder, or
// does not exist, has no files.
func globIn(dir, part string) (names []string, err error) {
	if !strings.ContainsAny(part, "*?[") {
		name := filepath.Join(dir, part)
		switch _, err := os.Lstat(name); {
		case errors.Is(err, fs.ErrPermission):
			return nil, err
		case err != nil:
			return nil, nil
		}
		return []string{name}, nil
	}
	entries, err := os.ReadDir(filepath.Join(dir, "."))
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	// glob(3) writes [!a] for what path.Match writes [^a].
	part = strings.ReplaceAll(part, "[!", "[^")
	for _, e := range entries {
		hidden := strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(part, ".")
		if ok, _ := path.Match(part, e.Name()); ok && !hidden {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	return names, err
}
