package carom

import (
	"errors"
	"fmt"

	"github.com/carom-bpf/carom/internal/engine"
)

// PinError says what could not be pinned where, and why. Nothing stays pinned then. Err wraps
// ErrUnsupported when the engine has no bpffs, os.ErrExist when the name is taken, and an Errno
// where Linux gave one.
type PinError = engine.PinError

// Pin gives every map and every program of the collection a file in dir, a directory on bpffs, so
// that they outlive Close and this process. Above all a PROG_ARRAY keeps its slots: Linux empties
// it when its last descriptor and pin are gone, even while pinned or attached programs use it.
//
// Files are named as libbpf's bpf_object__pin names them, dir/NAME with '_' for each '.', because
// bpffs has no names with dots. Directories that are missing are made. Either all are pinned or
// nothing is: on an error, a *PinError, what was pinned is unpinned. A map that has a pin already,
// through its name for example (LIBBPF_PIN_BY_NAME), keeps that one too.
//
// Attachments are pinned one by one with kernel.Attachment.Pin. The kernel engine only.
func (c *Collection) Pin(dir string) error {
	if err := c.open(); err != nil {
		return &PinError{Path: dir, Err: err}
	}
	p, ok := c.core.(engine.Pinner)
	if !ok {
		return &PinError{Path: dir, Err: fmt.Errorf(
			"the collection is in user space and ends with this process, load it with kernel.Engine: %w", ErrUnsupported)}
	}
	return p.PinAll(dir)
}

// Unpin removes the files that Pin made, and the directories that it made for them where these are
// empty. Without pins it does nothing.
func (c *Collection) Unpin() error {
	if err := c.open(); err != nil {
		return err
	}
	if p, ok := c.core.(engine.Pinner); ok {
		return p.UnpinAll()
	}
	return nil
}

// Pin gives the program a file on bpffs that keeps it. The slots of PROG_ARRAYs that it tail-calls
// through are not kept by that: pin the arrays as well, or use Collection.Pin.
func (p *Program) Pin(path string) error { return p.failPin(path, p.core.Pin(path)) }

// Unpin removes the file that Pin made.
func (p *Program) Unpin() error { return p.failPin("", p.core.Unpin()) }

// IsPinned reports whether the program has a pin that this handle knows of.
func (p *Program) IsPinned() bool { return p.core.IsPinned() }

func (p *Program) failPin(path string, err error) error {
	if err == nil || errors.As(err, new(*PinError)) {
		return err
	}
	return &PinError{Path: path, Kind: "program", Name: p.Name(), Err: err}
}
