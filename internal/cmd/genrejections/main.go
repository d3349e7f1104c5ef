// Command genrejections writes docs/rejections.md: programs that are rejected, with what carom says
// of them beside what Linux says.
//
//	go run ./internal/cmd/genrejections           # write it from the recorded logs
//	go run ./internal/cmd/genrejections -record   # ask the running kernel first; needs root
//	go run ./internal/cmd/genrejections -check    # compare with the committed one
//
// The text of carom is what carom verify prints. Linux's logs are in docs/rejections/*.log, so that
// they can be shown without a kernel; with -check as root on the version that they are from, the
// running kernel must still say the same.
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
	flags := flag.NewFlagSet("genrejections", flag.ContinueOnError)
	flags.SetOutput(stderr)
	root := flags.String("root", ".", "root folder of the repository")
	check := flags.Bool("check", false, "compare with the committed file instead of writing it")
	record := flags.Bool("record", false, "record the logs of the running kernel")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	asked := "the recorded logs"
	err := func() error {
		dir := filepath.Join(*root, "docs", "rejections")
		if *record || *check && reference() {
			asked = "the running kernel"
			if err := logs(dir, *check); err != nil {
				return err
			}
		}
		text, err := document(*root, dir)
		if err != nil {
			return err
		}
		name := filepath.Join(*root, "docs", "rejections.md")
		if !*check {
			return os.WriteFile(name, []byte(text), 0o644)
		}
		return compare(name, text)
	}()
	if err != nil {
		fmt.Fprintln(stderr, "genrejections:", err)
		return 1
	}
	fmt.Fprintf(stdout, "%d rejections, Linux by %s\n", len(programs), asked)
	return 0
}

func compare(name, text string) error {
	committed, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if string(committed) != text {
		return fmt.Errorf("%s differs from what genrejections writes: run go generate ./... and commit the result", name)
	}
	return nil
}
