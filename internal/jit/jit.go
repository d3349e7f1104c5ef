// Package jit turns verified programs into machine code.
//
// The front walks a program's instructions with what the verifier found out (package facts) and
// calls a backend, one for each architecture, which writes machine code with an assembler. BPF
// registers live in machine registers. Package vm has the rest: the thread block, which native code
// finds at a fixed register, the way into native code and back, and the services of Go that native
// code leaves for.
//
// What the compiler does not know it refuses with ErrUnsupported: the interpreter runs every
// program, and chains may be mixed.
package jit

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/carom-bpf/carom/internal/facts"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

// ErrUnsupported says that a program, or the platform, cannot have native code.
var ErrUnsupported = errors.New("no native code")

// Input is what a program is compiled from.
type Input struct {
	Program *vm.Program
	// Facts are the verifier's. The compiler believes them.
	Facts *facts.Program
	// Maps are the addresses of the descriptors of the maps that the facts number.
	Maps []uint64
	// Builtin finds the helpers that the compiler may replace by code, nil for none.
	Builtin func(id uint32) *vm.Helper
}

// Supported reports whether this platform can run native code.
func Supported() bool { return newBackend(runtime.GOARCH) != nil && runtime.GOOS == "linux" }

// Enable prepares a machine for native code. It must precede all programs and virtual CPUs.
func Enable(m *vm.Machine) error {
	if !Supported() {
		return fmt.Errorf("%s/%s: %w", runtime.GOOS, runtime.GOARCH, ErrUnsupported)
	}
	b := newBackend(runtime.GOARCH)
	b.hopStub()
	code, err := b.finish()
	if err != nil {
		return err
	}
	x, err := mem.NewExec(code)
	if err != nil {
		return err
	}
	m.SetStub(x)
	return nil
}

// Compile gives a program native code. No run may know the program yet.
func Compile(in *Input) error {
	p := in.Program
	if !p.Machine().HasNative() {
		return fmt.Errorf("program %s: the machine has no native code: %w", p.Name, ErrUnsupported)
	}
	img, err := build(in, runtime.GOARCH)
	if err != nil {
		return fmt.Errorf("program %s: %w", p.Name, err)
	}
	x, err := mem.NewExec(img.code)
	if err != nil {
		return fmt.Errorf("program %s: %w", p.Name, err)
	}
	n := &vm.Native{Code: x, Entry: x.Base + uint64(img.entry), Funcs: map[int]uint64{}, Sites: img.sites, Lines: img.lines}
	for insn, off := range img.funcs {
		n.Funcs[insn] = x.Base + uint64(off)
	}
	if p.Context == nil || len(p.Context.Fields) == 0 {
		n.Context = uint32(in.Facts.MaxContext)
	}
	p.SetNative(n)
	return nil
}

// image is machine code that does not depend on where it lies.
type image struct {
	code  []byte
	entry int
	funcs map[int]int // offsets of functions by first instruction
	sites []vm.NativeSite
	lines []vm.NativeLine
}
