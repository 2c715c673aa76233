package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
)

// A fixReport is what a program can do about a finding.
type fixReport struct {
	Edits  []editReport `json:"edits,omitempty"`  // to be made all together
	Flags  []flagReport `json:"flags,omitempty"`  // of serve; they replace all values of the same flags
	Unset  []string     `json:"unset,omitempty"`  // flags of serve that must not be given
	Manual string       `json:"manual,omitempty"` // why no program can do it
}

// An editReport is a change of one directive or block.
type editReport struct {
	File   string   `json:"file"`
	Line   int      `json:"line"`
	Column int      `json:"column"`
	Do     string   `json:"do"`
	Lines  []string `json:"lines,omitempty"`
}

type flagReport struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func newFixReport(f parity.Fix) fixReport {
	r := fixReport{Unset: f.Unset, Manual: f.Manual}
	for _, e := range f.Edits {
		r.Edits = append(r.Edits, editReport{e.File, e.Line, e.Column, string(e.Do), e.Lines})
	}
	for _, flag := range f.Flags {
		r.Flags = append(r.Flags, flagReport(flag))
	}
	return r
}

// writeDiff prints a patch that makes the fixes of errors and warnings, and nothing if there
// is none. Comments in advice say what it leaves out, and which flags serve needs.
func (r *nginxReport) writeDiff(w, advice io.Writer) error {
	var comments, patch bytes.Buffer
	var fixes []parity.Fix
	for _, f := range r.found {
		switch {
		case f.Level == parity.Note:
		case f.Fix.Manual != "":
			fmt.Fprintf(&comments, "# not fixed: %s: %s (%s)\n", f.Place, printable(f.Fix.Text), f.Fix.Manual)
		default:
			fixes = append(fixes, f.Fix)
		}
	}
	all := parity.Together(fixes)
	for _, flag := range all.Flags {
		fmt.Fprintf(&comments, "# uwgate serve: %s\n", printable(flag.String()))
	}
	for _, name := range all.Unset {
		fmt.Fprintf(&comments, "# uwgate serve: without --%s\n", name)
	}
	for _, file := range filesOf(all.Edits) {
		text, err := patchOf(file, all.Edits)
		if err != nil {
			return err
		}
		patch.Write(text)
	}
	if _, err := comments.WriteTo(advice); err != nil {
		return err
	}
	_, err := patch.WriteTo(w)
	return err
}

func filesOf(edits []nginxconf.Edit) (files []string) {
	for _, e := range edits {
		if !slices.Contains(files, e.File) {
			files = append(files, e.File)
		}
	}
	return files
}

// patchOf returns the patch of one file. `patch` follows no symbolic link, so it has the
// name of the file behind it.
func patchOf(file string, edits []nginxconf.Edit) ([]byte, error) {
	before, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	after, err := nginxconf.Edited(file, string(before), edits)
	if err != nil {
		return nil, err
	}
	if behind, err := filepath.EvalSymlinks(file); err == nil {
		file = behind
	}
	if file, err = filepath.Abs(file); err != nil { // patch -d / reads it
		return nil, err
	}
	name := strings.TrimPrefix(filepath.ToSlash(file), "/")
	return diff.Diff("a/"+name, before, "b/"+name, []byte(after)), nil
}
