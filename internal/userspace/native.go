package userspace

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/facts"
	"github.com/carom-bpf/carom/internal/jit"
	"github.com/carom-bpf/carom/internal/verifier"
)

// JITName is Engine.Name of the JIT.
const JITName = "jit"

// NativeMode says which programs get machine code.
type NativeMode int

// Modes of running.
const (
	NativeAuto   NativeMode = iota // programs that the verifier has accepted, where the platform can
	NativeNever                    // none
	NativeAlways                   // as NativeAuto, and an error where the platform cannot
)

// checkNative reports whether the platform can run what was asked for.
func (l *loader) checkNative() error {
	if l.opts.Native == NativeAlways && !l.host.machine.HasNative() {
		return fmt.Errorf("machine code on this platform: %w", engine.ErrUnsupported)
	}
	return nil
}

// judgment is what the verifier says about a program.
type judgment struct {
	unverified error // why it has not accepted the program, nil when it has
	facts      *facts.Program
	maps       []*verifier.Map // that the facts number
}

// compile gives an accepted program machine code. What the compiler does not know runs in the
// interpreter.
func (l *loader) compile(o *progObject, j *judgment) error {
	if l.opts.Native == NativeNever || j.facts == nil || !l.host.machine.HasNative() {
		return nil
	}
	in := &jit.Input{Program: o.Program, Facts: j.facts, Builtin: l.host.helpers.ByID}
	for _, m := range j.maps {
		desc := uint64(0)
		if h := l.coll.maps[m.Name]; h != nil {
			desc = h.info().Desc
		}
		in.Maps = append(in.Maps, desc)
	}
	if err := jit.Compile(in); err != nil && !errors.Is(err, jit.ErrUnsupported) {
		return err
	}
	return nil
}

// MachineCode returns a copy of the program's machine code, nil when it has none.
func (p *program) MachineCode() *engine.MachineCode {
	n := p.obj.Native()
	if n == nil || p.closed.Load() {
		return nil
	}
	m := &engine.MachineCode{Arch: runtime.GOARCH, Addr: n.Code.Base, Code: slices.Clone(n.Code.Code())}
	for _, l := range n.Lines {
		m.Lines = append(m.Lines, engine.CodeLine{Offset: l.Offset, Insn: l.Insn})
	}
	return m
}

// Jited reports whether the program has machine code.
func (p *program) Jited() bool { return p.obj.Native() != nil }
