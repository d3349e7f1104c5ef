package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// inCgroup attaches a program to a cgroup of the test. It returns the link's id, because other
// tests attach programs of the same name, and a function that tells which program the link has.
func inCgroup(t *testing.T, p *carom.Program) (string, func() ebpf.ProgramID) {
	t.Helper()
	root := t.TempDir()
	if err := unix.Mount("none", root, "cgroup2", 0, ""); err != nil {
		t.Skipf("cannot mount a cgroup2: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	})
	dir, err := os.MkdirTemp(root, "carom-test-")
	if err != nil {
		t.Skipf("cannot make a cgroup: %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	fd, err := unix.FcntlInt(uintptr(p.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	prog, err := ebpf.NewProgramFromFD(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	l, err := link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupInetEgress, Program: prog})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	info, err := l.Info()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(int(info.ID)), func() ebpf.ProgramID {
		info, err := l.Info()
		if err != nil {
			t.Fatal(err)
		}
		return info.Program
	}
}

// pinned lists the pins in a bpffs, without the files that it comes with.
func pinned(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".debug") {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func TestSlotsReplaceAll(t *testing.T) {
	needKernel(t)
	pins := t.TempDir()
	if err := unix.Mount("bpffs", pins, "bpf", 0, ""); err != nil {
		t.Skipf("cannot mount a bpffs: %v", err)
	}
	defer func() {
		if err := unix.Unmount(pins, 0); err != nil {
			t.Error(err)
		}
	}()
	object := examples + "tail-context/tail_context.o"
	spec, err := readObject(object)
	if err != nil {
		t.Fatal(err)
	}
	old, err := carom.NewCollection(spec, &carom.Options{Engine: kernel.Engine(kernel.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	id, attached := inCgroup(t, old.Programs["first_prog"])
	first := attached()

	// What fails changes nothing.
	for _, args := range [][]string{
		{object, "--link", id, "--pin-dir", filepath.Join(pins, "none")},
		{dispatch, "--link", id, "--pin-dir", pins},
		{object, "--link", id},
	} {
		code, _, errOut := cli(t, "", append([]string{"slots", "replace-all"}, args...)...)
		left, err := pinned(pins)
		if code == exitOK || attached() != first || err != nil || len(left) != 0 {
			t.Errorf("replace-all %v: exit %d, program %d, was %d, pins %v (%v): %s", args, code, attached(), first, left, err, errOut)
		}
	}
	// The second time, the pin of the first generation is replaced.
	for range 2 {
		before := attached()
		out := ok(t, "slots", "replace-all", object, "--link", id, "--pin-dir", pins)
		if !strings.Contains(out, "first_prog is the entry of a new chain, which goes on with context\n") || attached() == before {
			t.Errorf("program %d, was %d, printed %s", attached(), before, out)
		}
	}
	fresh, err := ebpf.NewProgramFromID(attached())
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if err := old.Maps["chain"].Delete(uint32(0)); err != nil { // the new chain has another array
		t.Error(err)
	}
	if ret, _, err := fresh.Test(make([]byte, 64)); err != nil || ret != 1 {
		t.Errorf("the new entry returned %d (%v), want 1", ret, err)
	}
	var values []struct{ First, Second uint32 }
	if err := old.Maps["context"].Lookup(uint32(0), &values); err != nil {
		t.Fatal(err)
	}
	passed := false
	for _, v := range values {
		passed = passed || v.First == 11 && v.Second == 22
	}
	if !passed {
		t.Errorf("context is %v, want 11 and 22 on one CPU from the new chain", values)
	}
	left, err := pinned(pins)
	if err != nil || !slices.Equal(left, []string{"chain"}) {
		t.Errorf("pins %v (%v), want chain", left, err)
	}
}
