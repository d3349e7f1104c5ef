package kernel

import (
	"errors"
	"syscall"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
)

// sysError is what bpf(2) reported, with the error number in the form that is the same on all
// engines. Its text is that of the cause.
type sysError struct {
	errno linux.Errno
	err   error
}

func (e *sysError) Error() string { return e.err.Error() }

func (e *sysError) Unwrap() []error { return []error{e.errno, e.err} }

// wrap adds the linux.Errno to an error that carries an error number.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return &sysError{linux.Errno(errno), err}
	case errors.Is(err, ebpf.ErrNotSupported):
		return &sysError{linux.ENOTSUPP, err}
	}
	return err
}

// explain says what to do about an error of Load.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.EPERM) {
		return notPermitted(err)
	}
	if errors.Is(err, syscall.ENOSYS) {
		return &hintError{"this kernel has no bpf(2)", errors.Join(engine.ErrUnsupported, err)}
	}
	if errors.Is(err, ebpf.ErrNotSupported) {
		return unsupportedFeature(wrap(err))
	}
	return wrap(err)
}

// hintError is an error with a remedy in front.
type hintError struct {
	hint string
	err  error
}

func (e *hintError) Error() string { return e.hint + ": " + e.err.Error() }

func (e *hintError) Unwrap() error { return e.err }
