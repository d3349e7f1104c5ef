package printf

import "fmt"

// Limits of the kernel.
const (
	// MaxArgs is the number of 8-byte arguments that bpf_snprintf,
	// bpf_trace_vprintk and bpf_seq_printf take (MAX_BPRINTF_VARARGS).
	MaxArgs = 12
	// MaxTraceArgs is the number of arguments of bpf_trace_printk
	// (MAX_TRACE_PRINTK_VARARGS).
	MaxTraceArgs = 3
	// TraceBufferSize is the size in bytes, terminating NUL included, that
	// the text of bpf_trace_printk and bpf_trace_vprintk is cut to
	// (MAX_BPRINTF_BUF).
	TraceBufferSize = 1024

	binArgsSize = 512 // MAX_BPRINTF_BIN_ARGS
)

// Errno is a Linux error number; it has the same value on every host.
type Errno uint8

// The errors that formatting can give.
const (
	EINVAL Errno = 22 // the format or the argument count is not accepted
	ENOSPC Errno = 28 // the arguments need more than 512 bytes
)

// Error says why a format was refused.
type Error struct {
	Errno  Errno  // what the helper returns, negated
	Offset int    // byte of the format that was refused
	Reason string // what is wrong, and what to do
}

func (e *Error) Error() string {
	name := "EINVAL"
	if e.Errno == ENOSPC {
		name = "ENOSPC"
	}
	return fmt.Sprintf("format, byte %d: %s (%s)", e.Offset, e.Reason, name)
}

// Return is the value that the helper returns for the error: -Errno.
func (e *Error) Return() int64 { return -int64(e.Errno) }

// Space says which memory an address is meant to be in.
type Space uint8

const (
	// AnySpace is asked for by %s: user memory when the address is one of
	// user space, else kernel memory.
	AnySpace Space = iota
	// KernelSpace is asked for by %pks, %pI4, %pi4, %pI6 and %pi6.
	KernelSpace
	// UserSpace is asked for by %pus.
	UserSpace
)

// Reader gives access to the memory that arguments point to. It must not
// retain dst.
type Reader interface {
	// ReadString copies bytes from addr into dst up to, but without, the
	// first NUL or until dst is full. It returns how many it copied, or
	// false when it met an address that cannot be read before that.
	ReadString(dst []byte, addr uint64, space Space) (n int, ok bool)
	// ReadBytes fills dst from addr, or returns false.
	ReadBytes(dst []byte, addr uint64, space Space) bool
}

// Symbol is what an address is called.
type Symbol struct {
	Name   string
	Module string // empty for the kernel itself
	Offset uint64 // of the address from the symbol's start, in bytes
	Size   uint64 // of the symbol, in bytes
}

// Printer formats for one virtual CPU. Its zero value works: it can read no
// memory (so %s prints nothing, as in Linux for a bad address) and knows no
// symbols. A Printer must not be used by two goroutines at once.
type Printer struct {
	// Mem reads what pointer arguments point to.
	Mem Reader
	// Symbol names an address for %ps, %pS and %pB; nil or false prints it
	// as hex, as Linux does for an unknown address. For %pB it is asked for
	// addr-1, the call before a return address.
	Symbol func(addr uint64) (Symbol, bool)
	// Hash replaces [HashPointer] for %p and %pK.
	Hash func(addr uint64) uint32

	bin  [binArgsSize]byte // the packed arguments
	used int
}

// HashPointer is the 32-bit value that %p and %pK print for an address. Linux
// uses SipHash with a key drawn at boot; this is a fixed mix of the address
// bits, so equal pointers print equal and a run can be repeated.
func HashPointer(addr uint64) uint32 {
	addr ^= addr >> 33
	addr *= 0xff51afd7ed558ccd
	addr ^= addr >> 33
	addr *= 0xc4ceb9fe1a85ec53
	addr ^= addr >> 33
	return uint32(addr)
}

// Check says whether Linux accepts the format for nargs arguments, without
// looking at any. It is what the verifier does for the constant format of
// bpf_snprintf. The format must contain a NUL; what follows it is ignored.
func Check(format []byte, nargs int) error {
	text, err := terminate(format, nargs)
	if err != nil {
		return err
	}
	s := scanner{format: text, nargs: nargs}
	for {
		if _, err := s.next(); err != nil {
			return err
		}
		if s.done {
			return nil
		}
	}
}

// Format formats into dst and returns the length that the text has, or would
// have if dst were large enough, without the terminating NUL. Like the
// kernel's bstr_printf it writes at most len(dst)-1 bytes and a NUL, and
// nothing into an empty dst. The format must contain a NUL; what follows it is
// ignored. On an error (always *[Error]) dst is left alone.
func (p *Printer) Format(dst, format []byte, args []uint64) (int, error) {
	text, err := terminate(format, len(args))
	if err != nil {
		return 0, err
	}
	if err := p.prepare(text, args); err != nil {
		return 0, err
	}
	return p.render(dst, text), nil
}

// Snprintf is bpf_snprintf: it returns the helper's return value, which is the
// length of the whole text including the NUL, or a negative errno. A result
// above len(dst) says that the text was cut.
func (p *Printer) Snprintf(dst, format []byte, args []uint64) (int64, error) {
	n, err := p.Format(dst, format, args)
	if err != nil {
		return err.(*Error).Return(), err
	}
	return int64(n) + 1, nil
}

// Trace is bpf_trace_printk (give it [MaxTraceArgs] arguments, as the helper
// always does) and bpf_trace_vprintk. It returns the text that the trace event
// carries, in buf, and the helper's return value, which counts the text before
// it was cut to [TraceBufferSize], or is a negative errno. The event's text ends
// at the first NUL, so a %c of 0 cuts it but is counted.
func (p *Printer) Trace(buf *[TraceBufferSize]byte, format []byte, args []uint64) ([]byte, int64, error) {
	n, err := p.Format(buf[:], format, args)
	if err != nil {
		return nil, err.(*Error).Return(), err
	}
	text := buf[:min(n, TraceBufferSize-1)]
	for i, c := range text {
		if c == 0 {
			return text[:i], int64(n), nil
		}
	}
	return text, int64(n), nil
}

// terminate cuts the format at its NUL and checks the argument count.
func terminate(format []byte, nargs int) ([]byte, error) {
	if nargs > MaxArgs {
		return nil, &Error{EINVAL, 0, fmt.Sprintf("%d arguments, at most %d are allowed", nargs, MaxArgs)}
	}
	for i, c := range format {
		if c == 0 {
			return format[:i], nil
		}
	}
	return nil, &Error{EINVAL, len(format), "no NUL in the given size; count the terminating byte"}
}
