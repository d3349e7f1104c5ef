// Package vm is the machine: virtual CPUs, their frames, the tail-call dispatcher and the
// interpreter.
//
// A Machine owns the address space in which everything that programs can reach lies. A Program
// is decoded once and never changes. A CPU is a virtual CPU: it has a stack, a packet buffer and
// a context block, runs one program at a time, and that program may replace itself by others
// through PROG_ARRAYs until one of them exits. The interpreter checks every memory access, so a
// program need not be verified to run.
package vm

import (
	"fmt"
	"sync/atomic"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
)

// Machine is what programs, maps and virtual CPUs share. Several collections may live in one
// Machine; only then can they share maps and put each other's programs into PROG_ARRAYs.
type Machine struct {
	Space    *mem.Space
	Epochs   *mem.Epochs
	Maps     *mem.Table // objects are maps.Map
	Progs    *mem.Table // objects are *Program
	Contexts *linux.Contexts

	stub       *mem.Exec // entry of programs without native code, nil when nothing is native
	lastProgID atomic.Uint32
	lastMapID  atomic.Uint32
}

// NewMachine reserves an address space.
func NewMachine() (*Machine, error) {
	space, err := mem.NewSpace()
	if err != nil {
		return nil, err
	}
	return NewMachineIn(space)
}

// NewMachineIn makes a machine in an empty address space, which it closes.
func NewMachineIn(space *mem.Space) (*Machine, error) {
	var err error
	m := &Machine{Space: space, Epochs: mem.NewEpochs(), Contexts: linux.NewContexts()}
	space.GuardWith(m.Epochs)
	if m.Maps, err = mem.NewTable(space, mem.KindMapDesc); err != nil {
		space.Close()
		return nil, fmt.Errorf("map descriptors: %w", err)
	}
	if m.Progs, err = mem.NewTable(space, mem.KindProgDesc); err != nil {
		space.Close()
		return nil, fmt.Errorf("program descriptors: %w", err)
	}
	return m, nil
}

// NextMapID returns a fresh map id.
func (m *Machine) NextMapID() uint32 { return m.lastMapID.Add(1) }

// Close releases the address space. Nothing of the machine may be used any more.
func (m *Machine) Close() {
	m.stub.Free()
	m.Space.Close()
}
