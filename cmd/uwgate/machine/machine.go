// Package machine finds nginx and gateways on this machine, for people who have just installed
// them: by the processes in /proc, and by what nginx says about its build.
//
//	for _, p := range machine.Machine{}.Gateways() {
//		s, err := settings.OfProcess(p.Args, p.Env, p.Dir)
//	}
//
// It only reads. On systems without /proc it finds no process.
package machine

import (
	"bytes"
	"cmp"
	"context"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Machine is where to look. The zero value is this machine.
type Machine struct {
	Proc string // in place of /proc
}

// A Process is a running program.
type Process struct {
	PID   int
	Args  []string  // the command line
	Env   []string  // as NAME=value; nil if it may not be read
	Dir   string    // its working directory; empty if that may not be read
	Since time.Time // zero if it is not known
}

func (m Machine) proc() string { return cmp.Or(m.Proc, "/proc") }

// Gateways returns the processes that run `uwgate serve`, the oldest first, whatever name the
// program has. Their Args begin after that word.
func (m Machine) Gateways() (found []Process) {
	for _, p := range m.processes(isGateway) {
		p.Args = p.Args[2:]
		found = append(found, p)
	}
	return found
}

func isGateway(dir string, words []string) bool {
	return len(words) > 1 && words[1] == "serve" && (filepath.Base(words[0]) == "uwgate" || isOurs(filepath.Join(dir, "exe")))
}

// isOurs reports whether a program was built from the same package as this one, in any
// version.
func isOurs(path string) bool {
	own, ok := debug.ReadBuildInfo()
	other, err := buildinfo.ReadFile(path)
	return ok && err == nil && other.Path == own.Path
}

// processes returns those whose command line is accepted.
func (m Machine) processes(accepts func(dir string, words []string) bool) (found []Process) {
	folders, _ := os.ReadDir(m.proc())
	for _, folder := range folders {
		pid, err := strconv.Atoi(folder.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join(m.proc(), folder.Name())
		words := fields(filepath.Join(dir, "cmdline"))
		if len(words) == 0 || !accepts(dir, words) {
			continue
		}
		p := Process{PID: pid, Args: words, Env: fields(filepath.Join(dir, "environ")), Since: m.since(dir)}
		p.Dir, _ = os.Readlink(filepath.Join(dir, "cwd"))
		found = append(found, p)
	}
	slices.SortStableFunc(found, func(a, b Process) int { return a.Since.Compare(b.Since) })
	return found
}

// fields reads a file of strings that end with a zero byte.
func fields(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

// ticks is how many a second has in /proc, on all systems of today.
const ticks = 100

// since returns the start of a process: its place in time after the start of the machine
// (proc(5), field 22 of stat).
func (m Machine) since(dir string) time.Time {
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return time.Time{}
	}
	words := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(words) < 20 {
		return time.Time{}
	}
	after, err := strconv.ParseInt(words[19], 10, 64)
	boot := m.boot()
	if err != nil || boot.IsZero() {
		return time.Time{}
	}
	return boot.Add(time.Duration(after) * time.Second / ticks)
}

var bootTime = regexp.MustCompile(`(?m)^btime (\d+)$`)

func (m Machine) boot() time.Time {
	stat, _ := os.ReadFile(filepath.Join(m.proc(), "stat"))
	found := bootTime.FindSubmatch(stat)
	if found == nil {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// An Nginx is what is known of nginx on this machine.
type Nginx struct {
	Program string // its path; empty: it is not installed
	File    string // its main configuration file; empty: there is none
	PID     int    // of the master process with that file; 0: none runs
	Others  []Master
}

// A Master is a master process of nginx with another main file.
type Master struct {
	File string // that of -c, with -p
	PID  int
}

// defaultFile is where packages put the main file.
const defaultFile = "/etc/nginx/nginx.conf"

// Nginx returns what is known of nginx: that which runs, or else that which is installed.
func (m Machine) Nginx(ctx context.Context) Nginx {
	n := Nginx{Program: program()}
	built := builtFile(ctx, n.Program)
	for _, file := range []string{built, defaultFile} {
		if info, err := os.Stat(file); file != "" && n.File == "" && (err == nil && info.Mode().IsRegular()) {
			n.File = file
		}
	}
	for _, master := range m.processes(isMaster) {
		file := fileOf(master, built)
		if n.PID == 0 && (file == n.File || n.File == "") {
			n.File, n.PID = file, master.PID
		} else if file != n.File {
			n.Others = append(n.Others, Master{file, master.PID})
		}
	}
	return n
}

// isMaster reports whether a process is nginx's master, whose title contains its command
// line.
func isMaster(_ string, words []string) bool {
	return strings.HasPrefix(words[0], "nginx: master process")
}

// program returns the path of nginx, which is often not in a user's PATH.
func program() string {
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

var confPath = regexp.MustCompile(`--conf-path=(\S+)`)

const buildTimeout = 5 * time.Second

// builtFile returns the file that nginx reads unless -c names another.
func builtFile(ctx context.Context, program string) string {
	if program == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "-V").CombinedOutput()
	found := confPath.FindSubmatch(out)
	if err != nil || found == nil {
		return ""
	}
	return string(found[1])
}

// fileOf returns the main file of a master process.
func fileOf(master Process, built string) string {
	words := strings.Fields(strings.Join(master.Args, " "))
	file, prefix := cmp.Or(built, defaultFile), master.Dir
	for i, word := range words {
		option, value := word[:min(2, len(word))], word[min(2, len(word)):]
		if value == "" && i+1 < len(words) {
			value = words[i+1] // nginx takes both -c FILE and -cFILE
		}
		switch option {
		case "-c":
			file = value
		case "-p":
			prefix = value
		}
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(prefix, file)
	}
	return file
}
