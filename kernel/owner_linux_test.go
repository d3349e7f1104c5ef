package kernel_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/kernel"
)

const (
	callText   = "r2 = map[table] ll\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit"
	returnText = "r0 = 0\nexit"
)

// kind is a program as far as a PROG_ARRAY looks at it.
type kind struct {
	typ    ebpf.ProgramType
	attach ebpf.AttachType
	flags  uint32
}

func (k kind) program(t *testing.T, text string) *ebpf.ProgramSpec {
	p := program(t, k.typ, text)
	p.AttachType, p.Flags = k.attach, k.flags
	return p
}

func tableSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}
}

// mismatches are pairs that Linux 6.18 refuses, and why.
func mismatches() []struct {
	name        string
	owner, prog kind
	diff        carom.OwnerDiff
} {
	const frags = 1 << 5
	return []struct {
		name        string
		owner, prog kind
		diff        carom.OwnerDiff
	}{
		{"program type", kind{typ: ebpf.SchedCLS}, kind{typ: ebpf.SocketFilter},
			carom.OwnerDiff{Field: "program type", Have: "SocketFilter", Want: "SchedCLS"}},
		{"xdp attach", kind{typ: ebpf.XDP, attach: ebpf.AttachXDP}, kind{typ: ebpf.XDP},
			carom.OwnerDiff{Field: "expected_attach_type", Have: "None", Want: "XDP"}},
		{"frags", kind{ebpf.XDP, ebpf.AttachXDP, 0}, kind{ebpf.XDP, ebpf.AttachXDP, frags},
			carom.OwnerDiff{Field: "xdp_has_frags", Have: "true", Want: "false"}},
		{"tcx", kind{typ: ebpf.SchedCLS, attach: ebpf.AttachTCXIngress}, kind{typ: ebpf.SchedCLS, attach: ebpf.AttachTCXEgress},
			carom.OwnerDiff{Field: "expected_attach_type", Have: "TCXEgress", Want: "TCXIngress"}},
	}
}

// refused checks that an error is EINVAL of the kernel with this reason.
func refused(t *testing.T, what string, err error, want carom.OwnerDiff) {
	t.Helper()
	var oe *carom.OwnerError
	if !errors.Is(err, linux.EINVAL) || !errors.Is(err, unix.EINVAL) || !errors.As(err, &oe) {
		t.Errorf("%s: %v, want an OwnerError around EINVAL", what, err)
		return
	}
	// AttachType 0 is named after its first user.
	have := strings.Replace(oe.Diffs[0].Have, ebpf.AttachNone.String(), "None", 1)
	if len(oe.Diffs) != 1 || oe.Diffs[0].Field != want.Field || have != want.Have || oe.Diffs[0].Want != want.Want {
		t.Errorf("%s: %+v, want %+v", what, oe.Diffs, want)
	}
	if !strings.Contains(err.Error(), oe.Prog) || !strings.Contains(err.Error(), "table") {
		t.Errorf("%s: %v names program or map not", what, err)
	}
}

func TestRefusedInsert(t *testing.T) {
	for _, tt := range mismatches() {
		spec := &ebpf.CollectionSpec{
			Maps:     map[string]*ebpf.MapSpec{"table": tableSpec()},
			Programs: map[string]*ebpf.ProgramSpec{"caller": tt.owner.program(t, callText), "other": tt.prog.program(t, returnText)},
		}
		coll := load(t, spec, carom.Options{})
		refused(t, tt.name, coll.Maps["table"].Put(uint32(1), coll.Programs["other"]), tt.diff)
		// The owner may come from the first insertion as well.
		spec.Programs["caller"] = tt.owner.program(t, returnText)
		coll = load(t, spec, carom.Options{})
		if err := coll.Maps["table"].Put(uint32(0), coll.Programs["caller"]); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		clone, err := coll.Maps["table"].Clone()
		if err != nil {
			t.Fatal(err)
		}
		refused(t, tt.name+", owner inserted", clone.Put(uint32(1), coll.Programs["other"]), tt.diff)
		if err := clone.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRefusedLoad(t *testing.T) {
	needKernel(t)
	opts := &carom.Options{Engine: kernel.Engine(kernel.Options{})}
	for _, tt := range mismatches() {
		table := tableSpec()
		spec := &ebpf.CollectionSpec{
			Maps:     map[string]*ebpf.MapSpec{"table": table},
			Programs: map[string]*ebpf.ProgramSpec{"caller": tt.owner.program(t, callText), "other": tt.prog.program(t, returnText)},
		}
		table.Contents = []ebpf.MapKV{{Key: uint32(1), Value: "other"}}
		_, err := carom.NewCollection(spec, opts)
		refused(t, tt.name+", static slot", err, tt.diff)

		// A map that exists has its owner already.
		table.Contents = nil
		coll := load(t, spec, carom.Options{})
		second := &ebpf.CollectionSpec{
			Maps:     map[string]*ebpf.MapSpec{"table": tableSpec()},
			Programs: map[string]*ebpf.ProgramSpec{"other": tt.prog.program(t, callText)},
		}
		opts := *opts
		opts.MapReplacements = map[string]*carom.Map{"table": coll.Maps["table"]}
		_, err = carom.NewCollection(second, &opts)
		refused(t, tt.name+", load", err, tt.diff)

		// Of two callers in one object either may come first.
		spec.Programs["other"] = tt.prog.program(t, callText)
		_, err = carom.NewCollection(spec, &carom.Options{Engine: opts.Engine})
		var oe *carom.OwnerError
		if !errors.As(err, &oe) || oe.Slot != -1 || oe.Diffs[0].Field != tt.diff.Field {
			t.Errorf("%s, two callers: %v", tt.name, err)
		}
	}
}

// A map that came from a pin has an owner of which Linux shows the type only.
func TestRefusedByPinnedMap(t *testing.T) {
	needKernel(t)
	dir := t.TempDir()
	if err := unix.Mount("bpffs", dir, "bpf", 0, ""); err != nil {
		t.Skipf("cannot mount a bpffs: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	table := tableSpec()
	table.Pinning, table.Name = ebpf.PinByName, "table"
	spec := func(k kind, text string) *ebpf.CollectionSpec {
		return &ebpf.CollectionSpec{
			Maps:     map[string]*ebpf.MapSpec{"table": table},
			Programs: map[string]*ebpf.ProgramSpec{"p": k.program(t, text)},
		}
	}
	opts := &carom.Options{Engine: kernel.Engine(kernel.Options{PinPath: dir})}
	first, err := carom.NewCollection(spec(kind{typ: ebpf.SchedCLS}, callText), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := os.Stat(filepath.Join(dir, "table")); err != nil {
		t.Fatal(err)
	}
	second, err := carom.NewCollection(spec(kind{typ: ebpf.SocketFilter}, returnText), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	refused(t, "pinned", second.Maps["table"].Put(uint32(0), second.Programs["p"]),
		carom.OwnerDiff{Field: "program type", Have: "SocketFilter", Want: "SchedCLS"})
}

// An EINVAL that has another cause is not blamed on the owner.
func TestOtherRefusals(t *testing.T) {
	coll := load(t, &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{"table": tableSpec()},
		Programs: map[string]*ebpf.ProgramSpec{
			"caller": kind{typ: ebpf.SchedCLS}.program(t, callText), "other": kind{typ: ebpf.SchedCLS}.program(t, returnText),
		},
	}, carom.Options{})
	err := coll.Maps["table"].Update(uint32(1), coll.Programs["other"], ebpf.UpdateNoExist)
	var oe *carom.OwnerError
	if !errors.Is(err, linux.EINVAL) || errors.As(err, &oe) {
		t.Errorf("%v, want EINVAL without an owner", err)
	}
}
