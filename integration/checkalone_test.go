package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// An around is the part of the output of `uwgate check --json`, without other flags, that
// the tests read.
type around struct {
	OK       bool
	Overview struct {
		Nginx struct {
			File string
			PID  int
		}
		Gateway struct {
			PID    int
			Listen []string
			Others []int
		}
		Lookups    int
		HandedOver int `json:"handed_over"`
		Misses     []string
		Memcached  []struct{ Server, Version string }
		Errors     int
		Wrong      []struct{ Text, ToDo string }
	}
}

// looksAround runs `uwgate check` where the installed nginx has its main file at conf.
func looksAround(t *testing.T, conf string, args ...string) (out string, status int) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\necho 'configure arguments: --conf-path=" + conf + "' >&2\n"
	if err := os.WriteFile(filepath.Join(dir, "nginx"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"check"}, args...)...)
	cmd.Env = append(stack.UwgateEnv(), "PATH="+dir+":"+os.Getenv("PATH"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Run()
	if stderr.Len() > 0 {
		t.Errorf("on stderr: %s", stderr.String())
	}
	return stdout.String(), cmd.ProcessState.ExitCode()
}

func looksAroundJSON(t *testing.T, conf string) (got around, text string) {
	t.Helper()
	text, status := looksAround(t, conf, "--json")
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if got.OK != (status == 0) || got.OK != (len(got.Overview.Wrong) == 0) {
		t.Errorf("got status %d:\n%s", status, text)
	}
	return got, text
}

// Without flags check finds nginx and the gateway that belongs to it, among those of other
// tests, and says what is wrong.
func TestCheckAlone(t *testing.T) {
	t.Parallel()
	olderGateway(t)
	w := canaryStack(t, stack.Config{Memcached: 2})
	conf := filepath.Join(w.Dir, "nginx.conf")
	got, text := looksAroundJSON(t, conf)
	o := got.Overview
	if !got.OK || o.Errors != 0 || o.Lookups != 1 || o.HandedOver != 1 {
		t.Errorf("got\n%s", text)
	}
	if o.Nginx.File != conf || o.Nginx.PID != w.Nginx.PID() || o.Gateway.PID != w.Uwgate.PID() || len(o.Misses) == 0 || o.Misses[0] != w.Uwgate.Addr {
		t.Errorf("nginx is %d and uwgate %d at %s; got\n%s", w.Nginx.PID(), w.Uwgate.PID(), w.Uwgate.Addr, text)
	}
	if len(o.Memcached) != 2 || o.Memcached[0].Server != w.Memcached[0].Addr || o.Memcached[1].Version == "" {
		t.Errorf("got\n%s", text)
	}
	people, _ := looksAround(t, conf)
	for _, say := range []string{
		"nginx      " + conf, "up ", "listens on " + w.Uwgate.Addr, "logs to ", " other gateway", " on ", "nginx hands the key over", w.Memcached[0].Addr + " responds (version 1.",
		"0 errors", "Nothing is wrong by the files. Prove it through nginx: uwgate check --nginx " + conf, "--via http://" + w.Nginx.Addr + "/",
	} {
		wantsText(t, people, say)
	}
	if n := strings.Count(people, "\n"); n > 10 {
		t.Errorf("%d lines:\n%s", n, people)
	}

	w.Memcached[1].Kill()
	w.wantsWrong(t, conf, "memcached does not respond at "+w.Memcached[1].Addr)
	site := filepath.Join(w.Dir, "site.conf")
	before, err := os.ReadFile(site)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ old, new, says string }{
		{"memcached_pass memcached;", "return 200;", "nginx looks up no page"},
		{"uwsgi_param CACHE_STATUS $upstream_status;", "", "nginx and uwgate do not agree: 1 error"},
		{"server " + w.Uwgate.Addr, "server 127.0.0.1:1", "nginx sends misses to 127.0.0.1:1, "},
		{"location @uwgate", "locationn @uwgate {", "nginx's configuration cannot be read: "},
	} {
		if !strings.Contains(string(before), tt.old) {
			t.Fatalf("%q is not in\n%s", tt.old, before)
		}
		if err := os.WriteFile(site, []byte(strings.Replace(string(before), tt.old, tt.new, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		w.wantsWrong(t, conf, tt.says)
	}
	if err := os.WriteFile(site, before, 0o644); err != nil {
		t.Fatal(err)
	}
	w.Nginx.Kill()
	w.wantsWrong(t, conf, "no nginx with "+conf+" runs on this machine")
	w.Uwgate.Kill()
	if got, text := looksAroundJSON(t, conf); got.OK || got.Overview.Gateway.PID == w.Uwgate.PID() {
		t.Errorf("without the gateway: got\n%s", text)
	}
}

// olderGateway starts a gateway of another site.
func olderGateway(t *testing.T) (socket string) {
	t.Helper()
	socket = shortDir(t) + "/s"
	gatewayAt(t, socket)
	return socket
}

// gatewayAt starts a gateway whose workers are down.
func gatewayAt(t *testing.T, socket string, args ...string) {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"serve", "--listen", "unix:" + socket, "--backend", "127.0.0.1:1", "--memcached", "127.0.0.1:1"}, args...)...)
	cmd.Env = stack.UwgateEnv()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	(&world{t: t}).eventually("the other gateway listens", func() bool {
		return stack.Connects(t.Context(), "unix:"+socket) == nil
	})
}

// twoSites is a main file of nginx with two sites, whose misses go to two gateways.
const twoSites = `user www-data;
events {}
http {
	upstream one { server unix:DIR/one; server unix:DIR/worker backup; }
	upstream two { server unix:DIR/two; }
	server {
		server_name one.example;
		location / { set $memcached_key $uri; memcached_pass 127.0.0.1:1; error_page 404 = @one; }
		location @one { uwsgi_pass one; }
	}
	server {
		server_name two.example;
		location / { set $memcached_key $uri; memcached_pass 127.0.0.1:1; error_page 404 = @two; }
		location @two { uwsgi_pass two; }
	}
}
`

// Misses need a gateway wherever nginx sends them, and the gateway needs workers.
func TestCheckAloneWays(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	conf := write("nginx.conf", twoSites)
	const nobody = ", and no gateway listens there: "
	olderGateway(t)

	text := whatIsWrong(t, conf)
	for _, say := range []string{
		"nginx sends misses to unix:" + dir + "/one" + nobody,
		"uwgate serve --nginx " + conf + " --listen unix:" + dir + "/one --backend unix:" + dir + "/worker",
		"nginx sends misses to unix:" + dir + "/two" + nobody,
		"--listen unix:" + dir + "/two --backend ADDRESS-OF-YOUR-WORKERS",
	} {
		wantsText(t, text, say)
	}

	unnamed := strings.NewReplacer("memcached_pass 127.0.0.1:1", "memcached_pass memcached_shop", "uwsgi_pass two", "uwsgi_pass uwgate_shop").Replace(twoSites)
	text = whatIsWrong(t, write("unnamed.conf", unnamed))
	for _, say := range []string{"there is no upstream block memcached_shop", "there is no upstream block uwgate_shop", "uwgate nginx --part http --name shop"} {
		wantsText(t, text, say)
	}
	if strings.Contains(text, "systemctl start memcached") || strings.Contains(text, "--listen uwgate_shop") {
		t.Errorf("got\n%s", text)
	}

	gatewayAt(t, dir+"/one", "--allow-user", "nobody")
	file := write("broken.yaml", "ttl: 5m\n")
	gatewayAt(t, dir+"/other", "--config", file)
	write("broken.yaml", "tttl: 5m\n")
	text = whatIsWrong(t, conf)
	for _, say := range []string{
		"nginx sends misses to unix:" + dir + "/two" + nobody,
		"no backend of the gateway accepts connections: 127.0.0.1:1: connect: connection refused",
		"nginx's workers run as www-data, and uwgate refuses the connections of that user to unix:" + dir + "/one (--allow-user)",
		"--config " + file + ") cannot be read: ", `unknown key "tttl"`,
	} {
		wantsText(t, text, say)
	}
	if strings.Contains(text, "/one"+nobody) || strings.Contains(text, "run this as root") {
		t.Errorf("got\n%s", text)
	}
}

// whatIsWrong returns all that is wrong, and what to do. What people are shown of it has ten
// lines at most, and the worst is first.
func whatIsWrong(t *testing.T, conf string) (text string) {
	t.Helper()
	people, _ := looksAround(t, conf)
	got, _ := looksAroundJSON(t, conf)
	for _, wrong := range got.Overview.Wrong {
		text += wrong.Text + "\n" + wrong.ToDo + "\n"
	}
	if n := strings.Count(people, "\n"); n > 10 || !strings.HasPrefix(people, "1. "+got.Overview.Wrong[0].Text[:20]) {
		t.Errorf("%d lines:\n%s", n, people)
	}
	return text
}

// Without the file that it was built for, nginx is found by -c of its master, and the gateway
// whatever its program is called.
func TestCheckAloneByProcesses(t *testing.T) {
	t.Parallel()
	w := canaryStack(t, stack.Config{})
	dir := shortDir(t)
	renamed := filepath.Join(dir, "filler")
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(renamed, program, 0o755); err != nil {
		t.Fatal(err)
	}
	other := exec.Command(renamed, "serve", "--listen", "unix:"+dir+"/s", "--backend", "127.0.0.1:1", "--memcached", "127.0.0.1:1")
	other.Env = stack.UwgateEnv()
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		other.Process.Signal(os.Interrupt)
		other.Wait()
	})
	w.eventually("the gateway listens", func() bool { return stack.Connects(t.Context(), "unix:"+dir+"/s") == nil })
	stock := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(stock, []byte("events {}\nhttp { server { listen 80; } }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, text := looksAroundJSON(t, stock)
	if got.Overview.Nginx.PID == 0 || got.Overview.Nginx.File == stock || got.Overview.Lookups == 0 { // tests that run beside this one have nginx, too
		t.Errorf("got\n%s", text)
	}
	if !slices.Contains(append(got.Overview.Gateway.Others, got.Overview.Gateway.PID), other.Process.Pid) {
		t.Errorf("the gateway with another name (%d) is missing:\n%s", other.Process.Pid, text)
	}
}

// Of a gateway that does not run, check says so, though its settings agree with nginx's.
func TestCheckOfASilentGateway(t *testing.T) {
	t.Parallel()
	w := canaryStack(t, stack.Config{})
	check := func() string {
		cmd := exec.CommandContext(t.Context(), binary, "check", "--nginx", filepath.Join(w.Dir, "nginx.conf"), "--listen", w.Uwgate.Addr)
		cmd.Env = stack.UwgateEnv()
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return string(out)
	}
	const silent = "but no gateway runs on this machine"
	if out := check(); strings.Contains(out, silent) {
		t.Errorf("it runs: got\n%s", out)
	}
	w.Uwgate.Kill()
	wantsText(t, check(), silent+": nginx sends misses to "+w.Uwgate.Addr)
	wantsText(t, check(), "start it: uwgate serve --listen "+w.Uwgate.Addr)
}

// wantsText wants words to be in a text, whose lines may break anywhere.
func wantsText(t *testing.T, text, want string) {
	t.Helper()
	if !strings.Contains(strings.Join(strings.Fields(text), " "), strings.Join(strings.Fields(want), " ")) {
		t.Errorf("%q is missing from\n%s", want, text)
	}
}

// wantsWrong wants one thing to be among those that are wrong.
func (w *world) wantsWrong(t *testing.T, conf, want string) {
	t.Helper()
	got, text := looksAroundJSON(t, conf)
	for _, wrong := range got.Overview.Wrong {
		if strings.HasPrefix(wrong.Text, want) && wrong.ToDo != "" {
			return
		}
	}
	t.Errorf("%q is not among what is wrong:\n%s", want, text)
}
