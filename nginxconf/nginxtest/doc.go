// Package nginxtest runs a real nginx for tests of the packages beside it.
//
//	program := nginxtest.Program(t) // skips the test where there is none
//	dir := nginxtest.Frame(t, "", "server { listen unix:SOCKET; return 200; }")
//	nginxtest.Start(t, program, dir, socket)
//	got := nginxtest.Show(t, nginxtest.Client(socket), "/", "")
//
// Each nginx has a folder of its own, which it does not leave.
package nginxtest
