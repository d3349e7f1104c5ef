package kernel

import "strings"

// PrivilegeError says that the system refused an operation of the kernel engine (EPERM), and which
// capabilities this process lacks for it.
type PrivilegeError struct {
	// Missing are names such as CAP_BPF. It is empty when the process has all that bpf(2) asks
	// for; then a security module, seccomp or a locked-down kernel refused.
	Missing []string
	Err     error
}

func (e *PrivilegeError) Error() string {
	what := "no capability is missing, so a seccomp filter, a security module or kernel lockdown forbids it"
	if len(e.Missing) > 0 {
		what = "this process has no " + strings.Join(e.Missing, ", no ") + "; run as root or grant that"
	}
	return "bpf(2) is not permitted, " + what + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *PrivilegeError) Unwrap() error { return e.Err }
