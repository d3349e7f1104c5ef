package kernel

import (
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/isa/asm"
)

func TestLacking(t *testing.T) {
	set := func(bits ...uint) (s uint64) {
		for _, b := range bits {
			s |= 1 << b
		}
		return s
	}
	for _, c := range []struct {
		set  uint64
		want []string
	}{
		{0, []string{"CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"}},
		{set(unix.CAP_BPF), []string{"CAP_PERFMON", "CAP_NET_ADMIN"}},
		{set(unix.CAP_BPF, unix.CAP_NET_ADMIN), []string{"CAP_PERFMON"}},
		{set(unix.CAP_PERFMON, unix.CAP_NET_ADMIN), []string{"CAP_BPF"}},
		{set(unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN), []string{"CAP_SYS_ADMIN"}},
		{set(unix.CAP_SYS_ADMIN), nil},
	} {
		if got := lacking(c.set); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%#x: %v, want %v", c.set, got, c.want)
		}
	}
}

// withoutCapabilities calls f while the thread has none of these.
func withoutCapabilities(t *testing.T, f func(), bits ...uint) {
	t.Helper()
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var before [2]unix.CapUserData
	if err := unix.Capget(&header, &before[0]); err != nil {
		t.Fatal(err)
	}
	less := before
	for _, b := range bits {
		less[b/32].Effective &^= 1 << (b % 32)
	}
	if err := unix.Capset(&header, &less[0]); err != nil {
		t.Fatal(err)
	}
	f()
	if err := unix.Capset(&header, &before[0]); err != nil {
		t.Fatal(err) // the thread stays locked and ends
	}
	runtime.UnlockOSThread()
}

// TestPrivileges: what Linux refuses for a capability is reported with its name.
func TestPrivileges(t *testing.T) {
	if err := available(); err != nil {
		t.Skip(err)
	}
	spec := func(kind ebpf.ProgramType) *ebpf.CollectionSpec {
		insns, err := asm.Parse("r0 = 0\nexit")
		if err != nil {
			t.Fatal(err)
		}
		return &ebpf.CollectionSpec{
			Maps:     map[string]*ebpf.MapSpec{"m": {Type: ebpf.LRUHash, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
			Programs: map[string]*ebpf.ProgramSpec{"p": {Type: kind, License: "GPL", Instructions: insns}},
		}
	}
	for _, c := range []struct {
		kind    ebpf.ProgramType
		without []uint
		want    []string
	}{
		{ebpf.SchedCLS, []uint{unix.CAP_SYS_ADMIN, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN},
			[]string{"CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"}},
		{ebpf.SchedCLS, []uint{unix.CAP_SYS_ADMIN, unix.CAP_BPF}, []string{"CAP_BPF"}},
		{ebpf.SchedCLS, []uint{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN}, []string{"CAP_NET_ADMIN"}},
		{ebpf.TracePoint, []uint{unix.CAP_SYS_ADMIN, unix.CAP_PERFMON}, []string{"CAP_PERFMON"}},
		{ebpf.TracePoint, []uint{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN}, nil},
		{ebpf.SchedCLS, []uint{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN}, nil},
	} {
		withoutCapabilities(t, func() {
			coll, err := carom.NewCollection(spec(c.kind), &carom.Options{Engine: Engine(Options{})})
			if err == nil {
				_ = coll.Close()
			}
			var p *PrivilegeError
			if errors.As(err, &p) != (c.want != nil) || p != nil && !reflect.DeepEqual(p.Missing, c.want) {
				t.Errorf("%s without %v: %v, want %v to be missing", c.kind, c.without, err, c.want)
			}
			if errors.As(err, new(*ebpf.VerifierError)) {
				t.Errorf("%s without %v is blamed on the verifier: %+v", c.kind, c.without, err)
			}
			if c.want != nil && (!errors.Is(err, carom.Errno(1)) || strings.Contains(err.Error(), "MEMLOCK")) {
				t.Errorf("%s without %v: %v", c.kind, c.without, err)
			}
		}, c.without...)
	}
	// With all three, opening what others loaded needs one more.
	withoutCapabilities(t, func() {
		_, err := ebpf.MapGetNextID(0)
		err = explain(err)
		var p *PrivilegeError
		if !errors.As(err, &p) || !reflect.DeepEqual(p.Missing, []string{"CAP_SYS_ADMIN"}) {
			t.Errorf("ids: %v", err)
		}
	}, unix.CAP_SYS_ADMIN)
}

// TestFeatures: a type that the kernel was built without is named.
func TestFeatures(t *testing.T) {
	if err := available(); err != nil {
		t.Skip(err)
	}
	insns, err := asm.Parse("r0 = 0\nexit")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, kind := range []ebpf.ProgramType{ebpf.LircMode2, ebpf.LSM, ebpf.Netfilter, ebpf.SkSKB} {
		spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{
			"p": {Name: "p", Type: kind, License: "GPL", Instructions: insns},
		}}
		if lackingFeature(spec) == nil {
			continue
		}
		tried++
		_, err := carom.NewCollection(spec, &carom.Options{Engine: Engine(Options{})})
		if errors.As(err, new(*ebpf.VerifierError)) || !errors.Is(err, carom.ErrUnsupported) || !strings.Contains(err.Error(), "no programs of type "+kind.String()) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if tried == 0 {
		t.Skip("this kernel has all types of programs")
	}
}
