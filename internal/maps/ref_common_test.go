package maps

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// refHost is a machine with cpus virtual CPUs that are not running.
func refHost(tb testing.TB, cpus int) *Host {
	tb.Helper()
	space, err := mem.NewSpaceOf(4 << 30) // little, for emulators that pay for reserved pages
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(space.Close)
	descs, err := mem.NewTable(space, mem.KindMapDesc)
	if err != nil {
		tb.Fatal(err)
	}
	h := &Host{Space: space, Epochs: mem.NewEpochs(), Descs: descs, CPUs: cpus}
	for range cpus {
		h.Readers = append(h.Readers, h.Epochs.NewReader())
	}
	return h
}

func refMake[M Map](tb testing.TB, h *Host, s Spec, id uint32) M {
	tb.Helper()
	if s.Name == "" {
		s.Name = "m"
	}
	m, err := New(h, &s, id)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(m.Close)
	return m.(M)
}

func refKey(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// refErrno is the errno of an error of this package.
func refErrno(tb testing.TB, err error) linux.Errno {
	tb.Helper()
	if err == nil {
		return linux.OK
	}
	var e linux.Errno
	if !errors.As(err, &e) {
		tb.Fatalf("%v carries no errno", err)
	}
	return e
}

func refCheck(tb testing.TB, what string, got, want linux.Errno) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: %v, want %v", what, got, want)
	}
}

// The bits are those that Linux 6.18 accepts (measured; ref_kernel_test.go compares).
func TestCreateFlags(t *testing.T) {
	inner := &Spec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	types := []struct {
		spec Spec
		ok   uint32
	}{
		{Spec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}, 0x1c},
		{Spec{Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, Inner: inner}, 0x1c},
		{Spec{Type: ebpf.HashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, Inner: inner}, 0x1dd},
		{Spec{Type: ebpf.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}, 0x81c},
		{Spec{Type: ebpf.RingBuf, MaxEntries: 4096}, 0x4},
	}
	h := refHost(t, 2)
	for _, c := range types {
		for bit := range 13 {
			s := c.spec
			s.Flags = 1 << bit
			want := linux.EINVAL
			if c.ok&s.Flags != 0 {
				want = linux.OK
			}
			m, err := New(h, &s, 1)
			refCheck(t, s.Type.String()+" flag "+hex(s.Flags), refErrno(t, err), want)
			if err == nil {
				m.Close()
			}
		}
	}
}

func TestCreateSizes(t *testing.T) {
	h := refHost(t, 2)
	inner := &Spec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	for _, typ := range []ebpf.MapType{ebpf.ProgramArray, ebpf.ArrayOfMaps, ebpf.HashOfMaps, ebpf.PerfEventArray} {
		for _, c := range []struct {
			key, value, entries uint32
			want                linux.Errno
		}{
			{4, 4, 1, linux.OK}, {1, 4, 1, linux.EINVAL}, {8, 4, 1, linux.EINVAL}, {0, 4, 1, linux.EINVAL},
			{4, 8, 1, linux.EINVAL}, {4, 0, 1, linux.EINVAL}, {4, 4, 0, linux.EINVAL},
		} {
			want := c.want
			if typ == ebpf.HashOfMaps && (c.key == 1 || c.key == 8) {
				want = linux.OK
			}
			m, err := New(h, &Spec{Type: typ, KeySize: c.key, ValueSize: c.value, MaxEntries: c.entries, Inner: inner}, 1)
			refCheck(t, typ.String(), refErrno(t, err), want)
			if err == nil {
				m.Close()
			}
		}
	}
}

func hex(v uint32) string {
	const digits = "0123456789abcdef"
	s := ""
	for ; v != 0; v >>= 4 {
		s = string(digits[v&15]) + s
	}
	return "0x" + s
}
