package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nativeProcess runs C functions that were built for this machine. It is asked with lines of name,
// repetitions and packet in hex, and answers with nanoseconds and the result.
type nativeProcess struct {
	dir string
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// nativeName is the column of the C functions.
const nativeName = "native"

var errNoNative = errors.New("the C file has no such function")

// startNative builds a C file with clang -O2, or the compiler that CC names, and starts it.
func startNative(ctx context.Context, source string) (*nativeProcess, error) {
	dir, err := os.MkdirTemp("", "carom-bench")
	if err != nil {
		return nil, err
	}
	p := &nativeProcess{dir: dir}
	if err := p.start(ctx, source); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *nativeProcess) start(ctx context.Context, source string) error {
	if _, err := os.Stat(source); err != nil {
		return fileError(source, err, "check the file that --native names")
	}
	compiler := cmp.Or(os.Getenv("CC"), "clang")
	if _, err := exec.LookPath(compiler); err != nil {
		compiler = "clang-19"
	}
	program := filepath.Join(p.dir, "native")
	text, err := exec.CommandContext(ctx, compiler, "-O2", "-o", program, source).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("no C compiler: %w; install clang or set CC", err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", source, err, strings.TrimSpace(string(text)))
	}
	p.cmd = exec.CommandContext(ctx, program)
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p.out = bufio.NewReader(out)
	return p.cmd.Start()
}

// measure returns the nanoseconds for one run.
func (p *nativeProcess) measure(name string, repeat int, data []byte) (float64, error) {
	if _, err := fmt.Fprintf(p.in, "%s %d %s\n", name, repeat, hex.EncodeToString(data)); err != nil {
		return 0, fmt.Errorf("the native program ended: %w", err)
	}
	var ns int64
	var result int32
	if _, err := fmt.Fscan(p.out, &ns, &result); err != nil {
		return 0, fmt.Errorf("the native program ended: %w", err)
	}
	if ns < 0 {
		return 0, errNoNative
	}
	return float64(ns) / float64(repeat), nil
}

func (p *nativeProcess) close() {
	if p == nil {
		return
	}
	if p.in != nil {
		_ = p.in.Close()
	}
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Wait()
	}
	_ = os.RemoveAll(p.dir)
}
