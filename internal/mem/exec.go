package mem

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// ErrNoExec says that the platform gives carom no executable memory.
var ErrNoExec = errors.New("executable memory is not supported on this platform")

// Exec is machine code in memory: readable and executable, and written only before it became so.
type Exec struct {
	Base uint64
	Size uint64 // bytes of code
	room uint64 // bytes of memory
	free atomic.Bool
}

// NewExec copies code into memory of its own and makes that executable. The memory is never
// writable and executable at the same time.
func NewExec(code []byte) (*Exec, error) {
	if len(code) == 0 {
		return nil, errors.New("no code to make executable")
	}
	base, room, err := mapExec(code)
	if err != nil {
		return nil, fmt.Errorf("executable memory for %d bytes: %w", len(code), err)
	}
	return &Exec{Base: base, Size: uint64(len(code)), room: room}, nil
}

// Free gives the memory back. Nothing may run the code any more. A second call has no effect.
func (x *Exec) Free() {
	if x != nil && !x.free.Swap(true) {
		unmapExec(x.Base, x.room)
	}
}

// Code returns the machine code, to read. The slice is valid until Free.
func (x *Exec) Code() []byte { return Bytes(x.Base, x.Size) }

// Guard makes the first n bytes of the region inaccessible, a multiple of the page size, so that
// who runs past the region's start is stopped.
func (r *Region) Guard(n uint64) { decommit(r.Base, n) }
