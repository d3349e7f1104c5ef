// Command carom-conformance is a plugin for the bpf_conformance suite
// (https://github.com/Alan-Jowett/bpf_conformance): it runs one BPF program and prints what it
// returns.
//
//	carom-conformance ["<hex memory>"] [--program "<hex>"] [--debug] [--elf]
//
// The program comes as hex bytes on standard input, separated by any white space: instructions,
// or with --elf an object file. It starts with r1 = the address of the memory and r2 = its
// length, both 0 without memory. R0 goes to standard output in hex, and the exit code is 0;
// otherwise one line on standard error says what went wrong.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const usage = `usage: carom-conformance ["<hex memory>"] [--program "<hex>"] [--debug] [--elf]`

// run is main with everything it needs. It returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	r0, err := execute(ctx, args, in, errOut)
	if errors.Is(err, errHelp) {
		fmt.Fprintln(out, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintln(errOut, "carom-conformance:", err)
		return 1
	}
	fmt.Fprintf(out, "%x\n", r0)
	return 0
}

var errHelp = errors.New("help")

// request is what the arguments say.
type request struct {
	memory  string
	program *string // nil: on standard input
	elf     bool
	debug   bool
}

func parseArgs(args []string) (request, error) {
	var r request
	seen := false
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--elf":
			r.elf = true
		case a == "--debug":
			r.debug = true
		case a == "--interpret": // what there is
		case a == "--help" || a == "-h":
			return r, errHelp
		case a == "--program":
			if i++; i == len(args) {
				return r, errors.New("--program needs the program in hex behind it")
			}
			r.program = &args[i]
		case strings.HasPrefix(a, "-"):
			return r, fmt.Errorf("option %s is not known; %s", a, usage)
		case strings.TrimSpace(a) == "": // runners pass empty options
		case seen:
			return r, fmt.Errorf("a second memory argument %q; %s", a, usage)
		default:
			r.memory, seen = a, true
		}
	}
	return r, nil
}

func execute(ctx context.Context, args []string, in io.Reader, debug io.Writer) (uint64, error) {
	req, err := parseArgs(args)
	if err != nil {
		return 0, err
	}
	memory, err := unhex("memory", req.memory)
	if err != nil {
		return 0, err
	}
	text := ""
	if req.program != nil {
		text = *req.program
	} else {
		b, err := io.ReadAll(in)
		if err != nil {
			return 0, fmt.Errorf("read the program: %w", err)
		}
		text = string(b)
	}
	program, err := unhex("program", text)
	if err != nil {
		return 0, err
	}
	if len(program) == 0 {
		return 0, errors.New("the program is empty; give it as hex bytes on standard input")
	}
	code, err := codeOf(program, req.elf)
	if err != nil {
		return 0, err
	}
	if req.debug {
		printCode(debug, code)
	}
	return interpret(ctx, code, memory)
}

// unhex reads bytes with any white space between digits.
func unhex(what, text string) ([]byte, error) {
	digits := strings.Join(strings.Fields(text), "")
	b, err := hex.DecodeString(digits)
	switch {
	case errors.Is(err, hex.ErrLength):
		return nil, fmt.Errorf("the %s has %d hex digits, an odd number; give two for each byte", what, len(digits))
	case err != nil:
		return nil, fmt.Errorf("the %s is not hex: %w", what, err)
	}
	return b, nil
}
