package carom

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/userspace"
	"github.com/carom-bpf/carom/internal/verifier"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// DefaultKernel is the version of Linux whose rules apply unless VerifyOptions name another.
const DefaultKernel = "6.18"

// VerifyMode says whether NewCollection verifies programs.
type VerifyMode = userspace.VerifyMode

// Values of Options.Verify.
const (
	// VerifyDefault verifies every program before anything runs, as Linux does. A rejected
	// program is an error. A program that needs rules which the verifier does not have yet
	// (kernel functions, locks, BTF types) loads unverified; see Program.Verified.
	VerifyDefault = userspace.VerifyDefault
	// VerifySkip loads programs unverified. They run in the interpreter, which checks every
	// memory access, whatever engine was asked for.
	VerifySkip = userspace.VerifySkip
)

// ErrVerifySkipped is what Program.Unverified returns after a load with VerifySkip.
var ErrVerifySkipped = userspace.ErrVerifySkipped

// VerifierError says why the verifier rejects a program. errors.As finds it in what Verify and
// NewCollection return:
//
//   - Reason.Code is the class of the reason, stable and comparable; Reason.Errno what bpf(2)
//     would return; Reason.Message the last line of Linux's log.
//   - Reason.Insn and Reason.Reg are instruction and register, -1 where none is meant.
//   - Reason.Found and Reason.Needed say what the program has, and what it would need.
//   - File, Line and Source are the place in the C source, empty without BTF line information.
//   - Path leads there; Explanation and Suggestion say in plain words what is wrong and what to
//     do. They are empty where there is nothing to add.
type VerifierError = verifier.Error

// VerifierReason is the reason inside of a VerifierError.
type VerifierReason = reject.Error

// VerifierStep is a place on the path to the instruction that is rejected, and why it matters.
type VerifierStep = verifier.PathStep

// VerifierCode is the class of a reason.
type VerifierCode = reject.Code

// Classes of reasons; the others are the strings that VerifierReason.Code prints as.
const (
	VerifierUnsupported = verifier.CodeUnsupported // rules are needed that the verifier does not have
	VerifierTooComplex  = verifier.CodeTooComplex  // more than 1,000,000 instructions or 8,192 branches
	VerifierUninit      = verifier.CodeUninit      // a register that holds nothing is read
	VerifierLoop        = verifier.CodeLoop        // a loop without an end
	VerifierStackDepth  = verifier.CodeStackDepth  // frames of all callers together are too large
	VerifierTailCall    = verifier.CodeTailCall    // a tail call that is not allowed
	VerifierHelper      = verifier.CodeHelper      // a helper that the program type does not have
	VerifierNullAccess  = verifier.CodeNullAccess  // a pointer that may be NULL is used
	VerifierPacket      = verifier.CodePacketAccess
	VerifierMapValue    = verifier.CodeMapAccess
	VerifierContext     = verifier.CodeContextAccess
	VerifierStack       = verifier.CodeStackAccess
)

// Verdict is what is known of a program that was accepted.
type Verdict = verifier.Verdict

// VerifierStats are the numbers of a verification: instructions processed, states saved, bytes of
// stack.
type VerifierStats = verifier.Stats

// VerifyOptions say what a program is verified against. The zero value is Linux 6.18 and a
// privileged loader.
type VerifyOptions struct {
	// Kernel is the version whose rules apply, one of Kernels; DefaultKernel when empty.
	Kernel string
	// KernelTypes is the BTF for CO-RE relocations, as in Options.
	KernelTypes *btf.Spec
	// Kconfig answers CONFIG_ variables, as in Options.
	Kconfig map[string]string
	// Helpers are added to, or override, those of Linux.
	Helpers []Helper
	// CPUs is how many entries perf event arrays and CPU maps have, 1 when 0.
	CPUs int
	// Object is the object file that the spec was read from, nil for none. Its DWARF, which clang
	// writes with -g, names local variables in explanations of stacks that are too large.
	Object io.ReaderAt
	// Log receives the trace that Linux prints at log level 2, nil for none.
	Log io.Writer
}

// Kernels lists the versions of Linux whose rules Verify knows, oldest first.
func Kernels() []string {
	var out []string
	for _, p := range linux.Profiles() {
		out = append(out, p.Version)
	}
	return out
}

// Verify says whether Linux would load a program of a spec, without loading anything: no kernel and
// no privileges are needed. The spec is not changed. The error is a *VerifierError when the
// program is rejected; one with the code VerifierUnsupported says that it cannot be judged. Other
// errors say that the program cannot be linked, as those of NewCollection do.
func Verify(spec *ebpf.CollectionSpec, program string, opts *VerifyOptions) (*Verdict, error) {
	v, err := NewVerifier(spec, opts)
	if err != nil {
		return nil, err
	}
	return v.Verify(program)
}

// Verifier verifies the programs of one spec, which is cheaper than preparing the spec for each
// of them. It must not be used concurrently.
type Verifier struct{ core *userspace.Verifier }

// NewVerifier prepares a spec for Verify.
func NewVerifier(spec *ebpf.CollectionSpec, opts *VerifyOptions) (*Verifier, error) {
	if spec == nil {
		return nil, errNoSpec
	}
	if opts == nil {
		opts = &VerifyOptions{}
	}
	profile, err := profileOf(opts.Kernel)
	if err != nil {
		return nil, err
	}
	core, err := userspace.NewVerifier(spec, userspace.VerifyOptions{
		KernelTypes: opts.KernelTypes, Kconfig: opts.Kconfig, Helpers: opts.Helpers,
		Profile: &profile, Log: opts.Log, CPUs: opts.CPUs, Object: opts.Object,
	})
	if err != nil {
		return nil, err
	}
	return &Verifier{core}, nil
}

// Verify verifies one program; see the function Verify. Programs are judged as they would be loaded
// one after the other: the first that uses a PROG_ARRAY owns it, and others must be of its kind.
func (v *Verifier) Verify(program string) (*Verdict, error) { return v.core.Load(program) }

func profileOf(kernel string) (linux.Profile, error) {
	if kernel == "" {
		kernel = DefaultKernel
	}
	p, ok := linux.ProfileOf(kernel)
	if !ok {
		return p, fmt.Errorf("the rules of Linux %s are not known; use one of %s: %w",
			kernel, strings.Join(Kernels(), ", "), ErrUnsupported)
	}
	return p, nil
}

// rejection names the program that a collection could not be loaded for.
func rejection(err error) error {
	var rejected *VerifierError
	if errors.As(err, &rejected) {
		return &LoadError{Kind: "program", Name: rejected.Program, Err: err}
	}
	return err
}

// Verified reports whether a verifier has accepted the program: carom's, or that of the kernel
// that runs it.
func (p *Program) Verified() bool { return p.Unverified() == nil }

// Unverified says why no verifier has accepted the program, nil when one has: ErrVerifySkipped, or
// a *VerifierError with the code VerifierUnsupported.
func (p *Program) Unverified() error {
	if u, ok := p.core.(interface{ Unverified() error }); ok {
		return u.Unverified()
	}
	return nil
}
