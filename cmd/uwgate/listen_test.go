package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/cmd/uwgate/settings"
)

func address(network, addr string) settings.Address {
	return settings.Address{Text: network + ":" + addr, Network: network, Addr: addr}
}

func TestListenTakesThePlaceOfADeadSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "uwgate.sock")
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	var p predecessor
	ln, err := p.listen(t.Context(), address("unix", path), 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v; want 0640", info.Mode(), err)
	}
	if _, err := p.listen(t.Context(), address("unix", path), 0o640); err == nil || !strings.Contains(err.Error(), "a running program listens there") {
		t.Errorf("a second one: %v, want a refusal", err)
	}
}

func TestListenSaysWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[settings.Address]string{
		address("tcp", taken.Addr().String()):   "another program listens there",
		address("unix", file):                   "no socket",
		address("unix", "/no/such/folder/sock"): "create the folder first",
		address("tcp", "192.0.2.1:3030"):        "does not have that address",
	} {
		if ln, err := new(predecessor).listen(t.Context(), addr, 0o660); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", addr, err, want)
			if ln != nil {
				ln.Close()
			}
		}
	}
}
