package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A browser is a chromium with one page, which a test leads through its DevTools protocol, by
// pipes. It is used by one goroutine.
type browser struct {
	t          *testing.T
	send       *os.File
	receive    *bufio.Reader
	session    string
	last       int
	requests   []string // URLs
	complaints []string // errors of scripts, and what the page's policy forbids
}

// message is a message of the protocol: a response, or an event.
type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct{ Message string }
}

func startBrowser(t *testing.T, path string) *browser {
	t.Helper()
	theirs, send, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	receive, responses, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run",
		"--remote-debugging-pipe", "--user-data-dir="+filepath.Join(dir, "profile"), "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, responses} // 3 and 4
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	responses.Close()
	log.Close()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		send.Close()
		receive.Close()
		os.RemoveAll(filepath.Join(dir, "profile")) // a process that is ending may still write there
	})
	receive.SetReadDeadline(time.Now().Add(3 * patience))
	b := &browser{t: t, send: send, receive: bufio.NewReader(receive)}
	var target struct {
		TargetID  string `json:"targetId"`
		SessionID string `json:"sessionId"`
	}
	b.into(b.call("Target.createTarget", map[string]any{"url": "about:blank"}), &target)
	b.into(b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}), &target)
	b.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil)
	}
	return b
}

func (b *browser) into(data json.RawMessage, v any) {
	b.t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		b.t.Fatalf("%s: %v", data, err)
	}
}

// call calls a method of the protocol, and notes the events that come meanwhile.
func (b *browser) call(method string, params map[string]any) json.RawMessage {
	b.t.Helper()
	b.last++
	text, err := json.Marshal(map[string]any{"id": b.last, "method": method, "params": params, "sessionId": b.session})
	if b.session == "" {
		text, err = json.Marshal(map[string]any{"id": b.last, "method": method, "params": params})
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.send.Write(append(text, 0)); err != nil {
		b.t.Fatal(err)
	}
	for {
		text, err := b.receive.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("the browser does not respond to %s: %v", method, err)
		}
		var m message
		b.into(bytes.TrimSuffix(text, []byte{0}), &m)
		switch {
		case m.ID == b.last && m.Error != nil:
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		case m.ID == b.last:
			return m.Result
		default:
			b.note(&m)
		}
	}
}

func (b *browser) note(m *message) {
	switch m.Method {
	case "Network.requestWillBeSent":
		var p struct{ Request struct{ URL string } }
		b.into(m.Params, &p)
		b.requests = append(b.requests, p.Request.URL)
	case "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening":
		b.complaints = append(b.complaints, string(m.Params))
	}
}

// open opens a page.
func (b *browser) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url})
	b.wait("location.href === " + quoteJS(url) + " && document.readyState === 'complete'")
}

// text returns the value of an expression as text.
func (b *browser) text(expression string) string {
	b.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	b.into(b.call("Runtime.evaluate", map[string]any{"expression": "String(" + expression + ")", "returnByValue": true}), &r)
	if r.ExceptionDetails != nil {
		return "" // the document is being replaced
	}
	s, _ := r.Result.Value.(string)
	return s
}

// wait waits until an expression is true.
func (b *browser) wait(expression string) {
	b.t.Helper()
	for end := time.Now().Add(patience); b.text(expression) != "true"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("not within %v: %s; the browser says %q, and the page %q", patience, expression, b.complaints, b.text("document.body.innerText.slice(0, 500)"))
		}
	}
}

// press presses a key.
func (b *browser) press(key string) {
	b.t.Helper()
	code := map[string]int{"Tab": 9, "Enter": 13}[key]
	down := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code}
	if key == "Enter" {
		down["text"] = "\r"
	}
	b.call("Input.dispatchKeyEvent", down)
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code})
}

// maxTabs is more than a page has places for the focus.
const maxTabs = 100

// tabTo moves the focus with the keyboard.
func (b *browser) tabTo(selector string) {
	b.t.Helper()
	for range maxTabs {
		b.press("Tab")
		if b.text("document.activeElement.matches("+quoteJS(selector)+")") == "true" {
			return
		}
	}
	b.t.Fatalf("the keyboard does not reach %s", selector)
}

func quoteJS(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}
