package main

import "os"

func main() {
	os.Exit(execute(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
