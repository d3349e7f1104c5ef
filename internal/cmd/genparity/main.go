// Command genparity writes docs/parity.md: which cases of the corpus run on which engine, what is
// skipped and why, and which tests of Linux are covered.
//
//	go run ./internal/cmd/genparity           # write it
//	go run ./internal/cmd/genparity -check    # compare with the committed one
//
// It reads the cases, and runs none. That they run where they say is what their test asserts.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

//go:generate go run . -root ../../..

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("genparity", flag.ContinueOnError)
	flags.SetOutput(stderr)
	root := flags.String("root", ".", "root folder of the repository")
	check := flags.Bool("check", false, "compare with the committed file instead of writing it")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	text, err := document(filepath.Join(*root, "caromtest", "testdata"))
	name := filepath.Join(*root, "docs", "parity.md")
	switch {
	case err != nil:
	case *check:
		err = compare(name, text)
	default:
		err = os.WriteFile(name, []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(stderr, "genparity:", err)
		return 1
	}
	fmt.Fprintln(stdout, name)
	return 0
}

func compare(name, text string) error {
	committed, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if string(committed) != text {
		return fmt.Errorf("%s differs from what genparity writes: run go generate ./... and commit the result", name)
	}
	return nil
}
