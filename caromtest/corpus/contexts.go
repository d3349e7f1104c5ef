package corpus

import (
	"slices"

	"github.com/cilium/ebpf"

	ct "github.com/carom-bpf/carom/caromtest"
	"github.com/carom-bpf/carom/internal/linux"
)

// Contexts returns programs that read each field of their context in each size that Linux lets
// them, and write those that may be written. Most values have no literal here: the engines must
// agree on them.
func Contexts() []ct.Case {
	tables := linux.NewContexts()
	given := contextOf(linux.SKBSize, field{linux.SKBMark, 0x11223344}, field{linux.SKBPriority, 0x55667788},
		field{linux.SKBCB, 0xa0a1a2a3}, field{linux.SKBCB + 16, 0xb0b1b2b3}, field{linux.SKBTstamp, 0x01020304},
		field{linux.SKBTstamp + 4, 5}, field{linux.SKBWireLen, 700}, field{linux.SKBGSOSegs, 3}, field{linux.SKBGSOSize, 99},
		field{linux.SKBHwtstamp, 77})
	var cases []ct.Case
	for _, kind := range []struct {
		name    string
		t       ebpf.ProgramType
		a       ebpf.AttachType
		context []byte
	}{
		{"tc", ebpf.SchedCLS, 0, given},
		{"action", ebpf.SchedACT, 0, given},
		{"socket filter", ebpf.SocketFilter, 0, given},
		{"cgroup ingress", ebpf.CGroupSKB, ebpf.AttachCGroupInetIngress, given},
		{"cgroup egress", ebpf.CGroupSKB, ebpf.AttachCGroupInetEgress, given},
		{"lwt in", ebpf.LWTIn, 0, given},
		{"lwt xmit", ebpf.LWTXmit, 0, given},
		{"xdp", ebpf.XDP, 0, contextOf(linux.XDPMDSize, field{4, 64})},
	} {
		layout := tables.Of(kind.t, kind.a)
		for _, c := range []ct.Case{readFields("context fields/"+kind.name+" read", layout), writeFields("context fields/"+kind.name+" written", layout)} {
			c.Type, c.Attach, c.Data = kind.t, kind.a, sized(64)
			run := ct.Step{ContextOut: true, Want: &ct.Want{}}
			with := run
			with.Context = kind.context
			c.Steps = []ct.Step{run, with}
			if kind.t == ebpf.XDP {
				c.Steps = []ct.Step{with}
			}
			cases = append(cases, c)
		}
	}
	return cases
}

// comparable leaves out addresses, which differ between runs, and what depends on the devices
// and sockets that there are.
func comparable(f linux.ContextField) bool {
	if f.Kind == linux.FieldPacketData || f.Kind == linux.FieldPacketEnd || f.Kind == linux.FieldPacketMeta {
		return false
	}
	return !slices.Contains([]string{"sk", "ifindex", "ingress_ifindex", "napi_id", "hash", "flow_keys"}, f.Name)
}

// readFields stores every part of every field that may be read.
func readFields(name string, layout *linux.Context) ct.Case {
	b := newBatch(name)
	for _, f := range layout.Fields {
		for _, size := range sizes() {
			for off := f.Off; comparable(f) && off+uint32(size) <= f.Off+f.Size; off += uint32(size) {
				if layout.Field(off, uint32(size), false) == nil {
					continue
				}
				b.line("r1 = *(u%d *)(r9 +%d)", size*8, off)
				b.result("r1", 0)
			}
		}
	}
	return b.finish()
}

// writeFields stores into every field that may be written, and reads it back.
func writeFields(name string, layout *linux.Context) ct.Case {
	b := newBatch(name)
	for i, f := range layout.Fields {
		if !comparable(f) {
			continue
		}
		for _, size := range sizes() {
			for off := f.Off; off+uint32(size) <= f.Off+f.Size; off += uint32(size) {
				if layout.Field(off, uint32(size), true) == nil {
					continue
				}
				b.line("r1 = 0x%x ll", 0xfedcba9876543210+uint64(i)*0x0101010101010101)
				b.line("*(u%d *)(r9 +%d) = r1", size*8, off)
				b.line("r1 = *(u%d *)(r9 +%d)", size*8, off)
				b.result("r1", 0)
			}
		}
	}
	if len(b.out) == 0 {
		b.line("r1 = 0")
		b.result("r1", 0) // a map has values of at least one byte
	}
	return b.finish()
}
