//go:build linux

package maps

import (
	"slices"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

func TestTargetCreationMatchesLinux(t *testing.T) {
	liveMap(t, ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	try := func(s Spec) linux.Errno {
		m, err := ebpf.NewMap(&ebpf.MapSpec{Type: s.Type, KeySize: s.KeySize, ValueSize: s.ValueSize, MaxEntries: s.MaxEntries, Flags: s.Flags})
		if err == nil {
			m.Close()
		}
		return liveErrno(err)
	}
	for _, c := range targetSpecs() {
		for bit := range 13 {
			if 1<<bit == linux.MapNUMANode {
				continue // cilium/ebpf sets the node along with it
			}
			s := c.spec
			s.Flags = 1 << bit
			want := linux.EINVAL
			if c.ok&s.Flags != 0 {
				want = linux.OK
			}
			refCheck(t, s.Type.String()+" flag "+hex(s.Flags), try(s), want)
		}
	}
	for _, c := range targetSizes() {
		if c.t == ebpf.CPUMap && (c.entries == 0 || c.entries > 1) {
			continue // cilium/ebpf puts the number of CPUs there
		}
		got := try(Spec{Type: c.t, KeySize: c.key, ValueSize: c.value, MaxEntries: c.entries})
		if got != c.want {
			t.Errorf("kernel: %v with key %d, value %d, %d entries: %v, want %v", c.t, c.key, c.value, c.entries, got, c.want)
		}
	}
}

func TestDevMapHashOrderMatchesLinux(t *testing.T) {
	m := liveMap(t, ebpf.MapSpec{Type: ebpf.DevMapHash, KeySize: 4, ValueSize: 4, MaxEntries: 5})
	put, first, again := devMapOrder()
	keys := func() (all []uint32) {
		var k, v uint32
		for it := m.Iterate(); it.Next(&k, &v); {
			all = append(all, k)
		}
		return all
	}
	for _, k := range put {
		refCheck(t, "kernel: put", liveErrno(m.Put(k, uint32(1))), linux.OK)
	}
	if got := keys(); !slices.Equal(got, first) {
		t.Errorf("kernel: keys %v, want %v", got, first)
	}
	refCheck(t, "kernel: put again", liveErrno(m.Put(uint32(9), uint32(1))), linux.OK)
	if got := keys(); !slices.Equal(got, again) {
		t.Errorf("kernel: keys %v, want %v", got, again)
	}
}

func TestXSKMapMatchesLinux(t *testing.T) {
	m := liveMap(t, ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 2})
	sockets := map[uint32]int{}
	for _, n := range []uint32{16, 17} {
		fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW, 0)
		if err != nil {
			t.Skipf("no AF_XDP sockets: %v", err)
		}
		defer unix.Close(fd)
		sockets[n] = fd
	}
	for i, op := range xskOps() {
		got := liveErrno(m.Update(op.key, uint32(sockets[op.socket]), ebpf.MapUpdateFlags(op.flags)))
		if got != op.want {
			t.Errorf("kernel: update %d: %v, want %v", i, got, op.want)
		}
	}
}
