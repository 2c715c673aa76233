package machine_test

import (
	"fmt"
	"os"
	"path/filepath"

	"uwgate/cmd/uwgate/machine"
)

func Example() {
	proc, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(proc)
	os.MkdirAll(filepath.Join(proc, "42"), 0o755)
	os.WriteFile(filepath.Join(proc, "42", "cmdline"), []byte("uwgate\x00serve\x00--backend\x00unix:/run/app.sock\x00"), 0o644)

	for _, p := range (machine.Machine{Proc: proc}).Gateways() { // without Proc: this machine's
		fmt.Println(p.PID, p.Args)
	}
	// Output: 42 [--backend unix:/run/app.sock]
}
