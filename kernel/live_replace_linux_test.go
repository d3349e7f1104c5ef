package kernel_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
)

// namedChain is an entry of a name that no other process uses, and its array.
func namedChain(t *testing.T, entry, array string, kind ebpf.ProgramType, at ebpf.AttachType) *ebpf.CollectionSpec {
	t.Helper()
	p := program(t, kind, "r2 = map["+array+"] ll\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit")
	p.Name, p.AttachType = entry, at
	return &ebpf.CollectionSpec{
		Maps:     map[string]*ebpf.MapSpec{array: {Name: array, Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
		Programs: map[string]*ebpf.ProgramSpec{entry: p},
	}
}

// mounted mounts a file system of the test.
func mounted(t *testing.T, kind string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, kind, 0, ""); err != nil {
		t.Skipf("cannot mount a %s: %v", kind, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// newCgroup makes a cgroup of the test.
func newCgroup(t *testing.T, root string) string {
	t.Helper()
	dir, err := os.MkdirTemp(root, "carom-test-")
	if err != nil {
		t.Skipf("cannot make a cgroup: %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestReplaceAllChooses: without a link's id, ReplaceAll takes the only link of a program with the
// entry's name and type, and says what there is when there is none or more than one.
func TestReplaceAllChooses(t *testing.T) {
	needKernel(t)
	pins, cgroups := mounted(t, "bpf"), mounted(t, "cgroup2")
	entry := fmt.Sprintf("entry%d", os.Getpid())
	spec := namedChain(t, entry, "chain", ebpf.CGroupSKB, ebpf.AttachCGroupInetEgress)
	replace := func(s *ebpf.CollectionSpec, id link.ID) error {
		_, err := kernel.ReplaceAll(s, entry, kernel.ReplaceOptions{PinDir: pins, Link: id})
		return err
	}
	refused := func(s *ebpf.CollectionSpec, want string) {
		t.Helper()
		if err := replace(s, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	coll := load(t, spec, carom.Options{})
	refused(spec, "no bpf_link attaches")

	// The same name, with another type: no candidate.
	xdp := load(t, namedChain(t, entry, "chain", ebpf.XDP, ebpf.AttachXDP), carom.Options{})
	inNamespace(t, func() {
		l, err := kernel.AttachXDP(xdp.Programs[entry], "lo", kernel.XDPGeneric)
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		refused(spec, "no bpf_link attaches a CGroupSKB program")

		dir := newCgroup(t, cgroups)
		a, err := kernel.AttachCgroup(coll.Programs[entry], dir)
		if err != nil {
			t.Error(err)
			return
		}
		defer a.Close()
		only := linkOf(t, coll.Programs[entry])
		refused(namedChain(t, entry, "other", ebpf.CGroupSKB, ebpf.AttachCGroupInetEgress), "uses the program arrays chain, of which the object has none")
		if err := replace(spec, 0); err != nil {
			t.Error(err)
		}
		if now := programOf(t, only); now == coll.Programs[entry].ID() || now == 0 {
			t.Errorf("link %d has program %d, as before", only, now)
		}

		second, err := kernel.AttachCgroup(coll.Programs[entry], newCgroup(t, cgroups))
		if err != nil {
			t.Error(err)
			return
		}
		defer second.Close()
		before := programOf(t, only)
		err = replace(spec, 0)
		var ambiguous *kernel.AmbiguousLinkError
		if !errors.As(err, &ambiguous) || len(ambiguous.Candidates) != 2 {
			t.Errorf("two links: %v", err)
			return
		}
		c := ambiguous.Candidates[0]
		if c.ID != only || c.Type != "cgroup" || c.Program.ID != before || !strings.Contains(c.Place.Target, "carom-test-") || programOf(t, only) != before {
			t.Errorf("candidate %+v", c)
		}
		if want := fmt.Sprintf("link %d, type cgroup, CGroupInetEgress on %s, program id %d", only, c.Place.Target, before); !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := replace(spec, only); err != nil || programOf(t, only) == before {
			t.Errorf("by its id: %v", err)
		}
	})
}

// TestReplaceAllWithoutLink: an attachment without a link is named, as it cannot be switched.
func TestReplaceAllWithoutLink(t *testing.T) {
	needKernel(t)
	entry := fmt.Sprintf("loose%d", os.Getpid())
	spec := namedChain(t, entry, "chain", ebpf.XDP, ebpf.AttachXDP)
	coll := load(t, spec, carom.Options{})
	inNamespace(t, func() {
		setXDP(t, coll.Programs[entry].FD())
		_, err := kernel.ReplaceAll(spec, entry, kernel.ReplaceOptions{PinDir: "/none"})
		if err == nil || !strings.Contains(err.Error(), "attached without a bpf_link (xdp on lo, by netlink)") {
			t.Errorf("got %v", err)
		}
	})
}

func programOf(t *testing.T, id link.ID) ebpf.ProgramID {
	t.Helper()
	l, err := link.NewFromID(id)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		t.Error(err)
		return 0
	}
	return info.Program
}
