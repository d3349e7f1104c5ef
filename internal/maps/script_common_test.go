package maps

import (
	"bytes"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// sysOp is one operation of bpf(2), and what Linux 6.18 answers.
type sysOp struct {
	op         string // lookup, update, delete, next, pop (lookup and delete), freeze
	key, value []byte
	flags      uint64
	want       linux.Errno
	out        []byte // of lookup, pop and next
}

// script is a map and operations on it in their order.
type script struct {
	name       string
	spec       Spec
	key, value btf.Type // for types that need BTF
	ops        []sysOp
}

// created is an attempt to make a map.
type created struct {
	spec Spec
	btf  bool // with types for key and value
	want linux.Errno
}

// flagRows are attempts with one flag each; ok are those that are accepted.
func flagRows(s Spec, btf bool, ok uint32) []created {
	var rows []created
	for bit := range 18 {
		c := created{spec: s, btf: btf, want: linux.EINVAL}
		c.spec.Flags |= 1 << bit
		if ok&(1<<bit) != 0 {
			c.want = linux.OK
		}
		rows = append(rows, c)
	}
	return rows
}

// runScript runs the operations; do performs one and fills out.
func runScript(t *testing.T, s *script, valueSize int, do func(o sysOp, out []byte) linux.Errno) {
	t.Helper()
	for i, o := range s.ops {
		size := valueSize
		if o.op == "next" {
			size = int(s.spec.KeySize)
		}
		out := make([]byte, size)
		if s.spec.Type == ebpf.BloomFilter {
			copy(out, o.value)
		}
		got := do(o, out)
		if got != o.want {
			t.Errorf("%s: operation %d, %s %x flags %d: %v, want %v", s.name, i, o.op, o.key, o.flags, got, o.want)
		}
		if o.out != nil && got == linux.OK && !bytes.Equal(out[:len(o.out)], o.out) {
			t.Errorf("%s: operation %d, %s %x: %x, want %x", s.name, i, o.op, o.key, out, o.out)
		}
	}
}

func runScriptOn(t *testing.T, s *script) {
	t.Helper()
	spec := s.spec
	spec.HasTypes = s.key != nil
	m := refMake[Map](t, refHost(t, 2), spec, 1)
	runScript(t, s, int(spec.ValueSize), func(o sysOp, out []byte) linux.Errno {
		switch o.op {
		case "lookup":
			return m.SysLookup(o.key, out, o.flags)
		case "update":
			return m.SysUpdate(o.key, o.value, o.flags)
		case "delete":
			return m.SysDelete(o.key)
		case "next":
			return m.NextKey(o.key, out)
		case "pop":
			if l, ok := m.(LookupDeleter); ok {
				return l.SysLookupDelete(o.key, out, o.flags)
			}
			return linux.ENOTSUPP
		}
		return m.Info().Freeze()
	})
}

func describe(c created) string {
	s := c.spec
	return strings.Join([]string{s.Type.String(), "key " + hex(s.KeySize), "value " + hex(s.ValueSize),
		"entries " + hex(s.MaxEntries), "flags " + hex(s.Flags), "extra " + hex(uint32(s.Extra))}, " ")
}

func checkCreated(t *testing.T, rows []created) {
	t.Helper()
	h := refHost(t, 2)
	for _, c := range rows {
		s := c.spec
		s.Name, s.HasTypes = "m", c.btf
		m, err := New(h, &s, 1)
		refCheck(t, describe(c), refErrno(t, err), c.want)
		if err == nil {
			m.Close()
		}
	}
}

func word(v uint64) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	return b
}
