// Package linux holds facts about Linux as data: error numbers, limits, context layouts,
// helper names, map and program rules. What differs between kernel versions is in a Profile.
package linux

import "fmt"

// Errno is a Linux error number on every platform that carom runs on (include/uapi/asm-generic/
// errno-base.h and errno.h; include/linux/errno.h for those above 512). Helpers return it
// negated; 0 is success.
type Errno uint16

// Error numbers that BPF programs and bpf(2) see.
const (
	OK           Errno = 0
	EPERM        Errno = 1
	ENOENT       Errno = 2
	ESRCH        Errno = 3
	EINTR        Errno = 4
	EIO          Errno = 5
	E2BIG        Errno = 7
	EBADF        Errno = 9
	EAGAIN       Errno = 11
	ENOMEM       Errno = 12
	EACCES       Errno = 13
	EFAULT       Errno = 14
	EBUSY        Errno = 16
	EEXIST       Errno = 17
	ENODEV       Errno = 19
	EINVAL       Errno = 22
	ENOSPC       Errno = 28
	ERANGE       Errno = 34
	EDEADLK      Errno = 35
	ENAMETOOLONG Errno = 36
	ENODATA      Errno = 61
	EOVERFLOW    Errno = 75
	EMSGSIZE     Errno = 90
	EPROTO       Errno = 71
	EOPNOTSUPP   Errno = 95
	ENOTSUPP     Errno = 524
)

// Error names the error as errno(1) does, with Linux's text.
func (e Errno) Error() string {
	if t, ok := errnoText(e); ok {
		return t.name + " (" + t.text + ")"
	}
	return fmt.Sprintf("errno %d", uint16(e))
}

// Name is the symbolic name, for example ENOENT.
func (e Errno) Name() string {
	if t, ok := errnoText(e); ok {
		return t.name
	}
	return fmt.Sprintf("errno %d", uint16(e))
}

// Neg is the value that a helper returns for e: 0 for success, -e as a 64-bit register.
func (e Errno) Neg() uint64 { return uint64(-int64(e)) }

// Err returns nil for OK and e otherwise.
func (e Errno) Err() error {
	if e == OK {
		return nil
	}
	return e
}

type nameText struct{ name, text string }

func errnoText(e Errno) (nameText, bool) {
	for _, t := range [...]struct {
		Errno
		nameText
	}{
		{OK, nameText{"OK", "success"}},
		{EPERM, nameText{"EPERM", "operation not permitted"}},
		{ENOENT, nameText{"ENOENT", "no such file or directory"}},
		{ESRCH, nameText{"ESRCH", "no such process"}},
		{EINTR, nameText{"EINTR", "interrupted system call"}},
		{EIO, nameText{"EIO", "input/output error"}},
		{E2BIG, nameText{"E2BIG", "argument list too long"}},
		{EBADF, nameText{"EBADF", "bad file descriptor"}},
		{EAGAIN, nameText{"EAGAIN", "resource temporarily unavailable"}},
		{ENOMEM, nameText{"ENOMEM", "cannot allocate memory"}},
		{EACCES, nameText{"EACCES", "permission denied"}},
		{EFAULT, nameText{"EFAULT", "bad address"}},
		{EBUSY, nameText{"EBUSY", "device or resource busy"}},
		{EEXIST, nameText{"EEXIST", "file exists"}},
		{ENODEV, nameText{"ENODEV", "no such device"}},
		{EINVAL, nameText{"EINVAL", "invalid argument"}},
		{ENOSPC, nameText{"ENOSPC", "no space left on device"}},
		{ERANGE, nameText{"ERANGE", "numerical result out of range"}},
		{EDEADLK, nameText{"EDEADLK", "resource deadlock avoided"}},
		{ENAMETOOLONG, nameText{"ENAMETOOLONG", "file name too long"}},
		{ENODATA, nameText{"ENODATA", "no data available"}},
		{EPROTO, nameText{"EPROTO", "protocol error"}},
		{EOVERFLOW, nameText{"EOVERFLOW", "value too large for defined data type"}},
		{EMSGSIZE, nameText{"EMSGSIZE", "message too long"}},
		{EOPNOTSUPP, nameText{"EOPNOTSUPP", "operation not supported"}},
		{ENOTSUPP, nameText{"ENOTSUPP", "operation not supported by this map type"}},
	} {
		if t.Errno == e {
			return t.nameText, true
		}
	}
	return nameText{}, false
}
