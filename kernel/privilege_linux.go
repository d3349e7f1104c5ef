package kernel

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
)

// capability is one that bpf(2) asks for (include/uapi/linux/capability.h).
type capability struct {
	bit  uint
	name string
}

// bpfCapabilities are those that carom's programs and maps need; CAP_SYS_ADMIN has all of them
// (include/linux/capability.h, bpf_capable, perfmon_capable; kernel/bpf/syscall.c, bpf_net_capable).
func bpfCapabilities() []capability {
	return []capability{
		{unix.CAP_BPF, "CAP_BPF"}, {unix.CAP_PERFMON, "CAP_PERFMON"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"},
	}
}

// lacking lists the capabilities that are not in a set. When all three are, what remains is
// CAP_SYS_ADMIN, for programs and maps by their ids and for tracefs.
func lacking(set uint64) []string {
	has := func(bit uint) bool { return set>>bit&1 != 0 }
	if has(unix.CAP_SYS_ADMIN) {
		return nil
	}
	var names []string
	for _, c := range bpfCapabilities() {
		if !has(c.bit) {
			names = append(names, c.name)
		}
	}
	if names == nil {
		names = []string{"CAP_SYS_ADMIN"}
	}
	return names
}

// effective is the set of capabilities that the calling thread has now.
func effective() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, err
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}

// notPermitted says why bpf(2), or what goes with it, reported EPERM.
func notPermitted(err error) error {
	refused := &sysError{linux.EPERM, refusal(withoutHint(err.Error()))}
	set, capErr := effective()
	if capErr != nil {
		return &PrivilegeError{Err: refused}
	}
	return &PrivilegeError{Missing: lacking(set), Err: refused}
}

// refusal is the text of an EPERM. cilium/ebpf makes every failure to load a program one of the
// verifier, which has not seen it here.
type refusal string

func (r refusal) Error() string { return string(r) }

// Unwrap returns the error number.
func (r refusal) Unwrap() error { return unix.EPERM }

// memlockHint is what cilium/ebpf adds to every EPERM. It is about kernels before 5.11, where carom
// has removed the limit.
const memlockHint = " (MEMLOCK may be too low, consider rlimit.RemoveMemlock)"

func withoutHint(text string) string { return strings.ReplaceAll(text, memlockHint, "") }

// lackingFeature asks the kernel, after a failure to load, whether it has the types of maps and
// programs of a spec at all.
func lackingFeature(spec *ebpf.CollectionSpec) error {
	for _, name := range slices.Sorted(maps.Keys(spec.Maps)) {
		m := spec.Maps[name]
		if err := features.HaveMapType(m.Type); errors.Is(err, ebpf.ErrNotSupported) {
			return missing("map %s: this kernel has no maps of type %s, it is older than they are or was built without them", name, m.Type)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
		p := spec.Programs[name]
		if err := features.HaveProgramType(p.Type); errors.Is(err, ebpf.ErrNotSupported) {
			return missing("program %s: this kernel has no programs of type %s, it is older than they are or was built without them", name, p.Type)
		}
	}
	return nil
}

// explainLoad is explain for a spec that could not be loaded.
func explainLoad(spec *ebpf.CollectionSpec, err error) error {
	var rejected *ebpf.VerifierError
	verified := errors.As(err, &rejected) && len(rejected.Log) > 0
	if !errors.Is(err, unix.EPERM) && !verified {
		if feature := lackingFeature(spec); feature != nil {
			return fmt.Errorf("%w: %v", feature, err)
		}
	}
	return explain(err)
}

// unsupportedFeature marks what cilium/ebpf found missing in the kernel, which its text names.
func unsupportedFeature(err error) error { return fmt.Errorf("%w: %w", err, engine.ErrUnsupported) }
