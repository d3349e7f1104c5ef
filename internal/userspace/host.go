// Package userspace is the engine that runs programs in this process: it loads specs into maps
// and linked programs, keeps them alive as Linux does, and runs them on virtual CPUs.
package userspace

import (
	"fmt"
	"sync"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/helper"
	"github.com/carom-bpf/carom/internal/jit"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/carom-bpf/carom/world"
)

// InterpreterName is Engine.Name of the interpreter.
const InterpreterName = "interpreter"

// Host is what all collections of a process share: the machine and the names of pinned maps.
type Host struct {
	machine *vm.Machine
	helpers *helper.Set

	mu   sync.Mutex
	pins map[string]*mapObject
}

// NewHost reserves the address space.
func NewHost() (*Host, error) {
	m, err := vm.NewMachine()
	if err != nil {
		return nil, err
	}
	// Where that fails, programs are interpreted.
	_ = jit.Enable(m)
	return &Host{machine: m, helpers: helper.New(helper.Options{}), pins: map[string]*mapObject{}}, nil
}

// Options are what the user-space engines take beyond engine.Options.
type Options struct {
	Helpers      []vm.Helper
	World        *world.World
	Kconfig      map[string]string // nil: the running kernel's
	Ksyms        map[string]uint64
	Budget       int64
	StackPattern *byte
	Verify       VerifyMode
	Native       NativeMode
}

// Engine returns the engine with these options.
func (h *Host) Engine(o Options) engine.Engine { return &interpreter{h, o} }

type interpreter struct {
	host *Host
	opts Options
}

func (e *interpreter) Name() string {
	if e.opts.Native == NativeAlways {
		return JITName
	}
	return InterpreterName
}

// LoadPinned returns a user reference to a map that was pinned under path.
func (h *Host) LoadPinned(path string) (engine.Map, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.pins[path]
	if o == nil {
		return nil, fmt.Errorf("pin %s: %w", path, linux.ENOENT)
	}
	return o.open(), nil
}

func (h *Host) pin(path string, o *mapObject) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if path == "" {
		return fmt.Errorf("empty pin path: %w", linux.EINVAL)
	}
	if h.pins[path] != nil {
		return fmt.Errorf("pin %s: %w", path, linux.EEXIST)
	}
	h.pins[path] = o
	return nil
}

// unpin removes all names of a map and returns how many there were.
func (h *Host) unpin(o *mapObject) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for path, p := range h.pins {
		if p == o {
			delete(h.pins, path)
			n++
		}
	}
	return n
}

func (h *Host) pinned(o *mapObject) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.pins {
		if p == o {
			return true
		}
	}
	return false
}
