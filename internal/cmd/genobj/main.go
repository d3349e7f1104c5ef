// Command genobj compiles every BPF C source of the repository to the object
// that is committed beside it.
//
//	go generate ./...                      # rebuild all objects
//	go run ./internal/cmd/genobj -check    # compare with the committed ones
//
// It needs clang and llvm-strip of one LLVM release (19; set CLANG and
// LLVM_STRIP for other names), the libbpf headers and the kernel's UAPI headers.
// Each source is compiled from its own folder with relative names and without
// DWARF, so that the bytes do not depend on where the repository lies. BTF and
// its line information stay.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

//go:generate go run . -root ../../..

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("genobj", flag.ContinueOnError)
	flags.SetOutput(stderr)
	root := flags.String("root", ".", "root folder of the repository")
	check := flags.Bool("check", false, "compare with the committed objects instead of writing them")
	if err := flags.Parse(args); err != nil {
		return 2
	}

	sources, err := findSources(*root)
	if err != nil {
		fmt.Fprintln(stderr, "genobj:", err)
		return 1
	}
	finish := writeObject
	if *check {
		finish = compareObject
	}
	failed := false
	for _, source := range sources {
		object, err := compile(ctx, source)
		if err == nil {
			err = finish(objectName(source), object)
		}
		if err != nil {
			failed = true
			fmt.Fprintln(stderr, "genobj:", err)
		}
	}
	if failed {
		return 1
	}
	fmt.Fprintf(stdout, "%d objects\n", len(sources))
	return 0
}

// sourcePatterns are the places that hold BPF C sources, relative to the root.
func sourcePatterns() []string {
	return []string{
		"caromtest/testdata/*.c",
		"examples/*/*.c",
		"docs/rejections/*.c",
	}
}

func findSources(root string) ([]string, error) {
	var sources []string
	for _, pattern := range sourcePatterns() {
		matches, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		sources = append(sources, matches...)
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("no C sources below %q: set -root to the root of the repository", root)
	}
	sort.Strings(sources)
	return sources, nil
}

func objectName(source string) string {
	return strings.TrimSuffix(source, ".c") + ".o"
}

// compilerFlags are the flags that decide about the bytes of an object.
func compilerFlags(dir string) []string {
	flags := []string{
		"-target", "bpf", "-mcpu=v3", "-O2", "-g",
		"-Wall", "-Wextra", "-Werror", "-Wno-address-of-packed-member",
		"-fdebug-compilation-dir=.",
		"-ffile-prefix-map=" + dir + "=.",
	}
	// linux/types.h wants asm/types.h, which Debian keeps in the folder of the
	// host's architecture; all of them say the same.
	hosts, err := filepath.Glob("/usr/include/*-linux-gnu")
	if err == nil {
		for _, host := range hosts {
			flags = append(flags, "-idirafter", host)
		}
	}
	return flags
}

// compile returns the object of one C source.
func compile(ctx context.Context, source string) ([]byte, error) {
	dir, err := filepath.Abs(filepath.Dir(source))
	if err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp("", "genobj")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	object := filepath.Join(temp, "out.o")

	args := append(compilerFlags(dir), "-c", filepath.Base(source), "-o", object)
	if err := tool(ctx, dir, "CLANG", "clang-19", args...); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	// -g removes DWARF; the sections .BTF and .BTF.ext are not debug sections.
	if err := tool(ctx, dir, "LLVM_STRIP", "llvm-strip-19", "-g", object); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return os.ReadFile(object)
}

// tool runs a program; the environment variable may name another one.
func tool(ctx context.Context, dir, variable, name string, args ...string) error {
	if other := os.Getenv(variable); other != "" {
		name = other
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: install LLVM 19 or set %s", err, variable)
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

func writeObject(name string, object []byte) error {
	return os.WriteFile(name, object, 0o644)
}

func compareObject(name string, object []byte) error {
	committed, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if !bytes.Equal(committed, object) {
		return fmt.Errorf("%s differs from what its source compiles to: run go generate ./... and commit the result", name)
	}
	return nil
}
