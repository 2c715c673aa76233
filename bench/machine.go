//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"uwgate/demo/stack"
)

// machine describes the machine, the programs and the date.
func machine() (string, error) {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", err
	}
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		return "", err
	}
	var with []string
	for _, p := range []struct{ name, program, flag string }{
		{"uWSGI", "uwsgi", "--version"}, {"memcached", "memcached", "-V"}, {"nginx", "nginx", "-v"},
	} {
		number, err := version(p.program, p.flag)
		if err != nil {
			return "", err
		}
		with = append(with, p.name+" "+number)
	}
	return fmt.Sprintf("%s, %d cores, Linux %s %s; %s, %s; %s", processor(text), runtime.NumCPU(),
		unix.ByteSliceToString(kernel.Release[:]), runtime.GOARCH, strings.Join(with, ", "), runtime.Version(),
		time.Now().Format("2006-01-02")), nil
}

// processor returns the model in /proc/cpuinfo.
func processor(text []byte) string {
	for line := range bytes.Lines(text) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return "unnamed processor"
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+\S*`)

func version(program, flag string) (string, error) {
	path, err := stack.LookPath(program)
	if err != nil {
		return "", err
	}
	out, err := exec.Command(path, flag).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("bench: version of %s: %w", program, err)
	}
	return string(versionNumber.Find(out)), nil
}
