package linux

import (
	"math/bits"

	"github.com/cilium/ebpf"
)

// CtxValue is what a register holds after a load from a context: a scalar or a kind of pointer
// (enum bpf_reg_type, include/linux/bpf.h).
type CtxValue uint8

// Values that context loads give.
const (
	CtxScalar           CtxValue = iota
	CtxPacket                    // PTR_TO_PACKET
	CtxPacketMeta                // PTR_TO_PACKET_META
	CtxPacketEnd                 // PTR_TO_PACKET_END
	CtxSockCommonOrNull          // PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL
	CtxSocket                    // PTR_TO_SOCKET
	CtxSocketOrNull              // PTR_TO_SOCKET | PTR_MAYBE_NULL
	CtxFlowKeys                  // PTR_TO_FLOW_KEYS
	CtxTPBuffer                  // PTR_TO_TP_BUFFER
	CtxTrustedBTF                // PTR_TO_BTF_ID | PTR_TRUSTED, to the structure that CtxLoad.BTF names
)

// String returns the text of the verifier log (reg_type_str, kernel/bpf/log.c).
func (v CtxValue) String() string {
	names := [...]string{"scalar", "pkt", "pkt_meta", "pkt_end", "sock_common_or_null", "sock", "sock_or_null",
		"flow_keys", "tp_buffer", "trusted_ptr_"}
	if int(v) < len(names) {
		return names[v]
	}
	return "unknown"
}

// CtxLoad is what a load from a context, or from a structure that follows the same rules, gives.
type CtxLoad struct {
	Value CtxValue
	BTF   string // CtxTrustedBTF: the structure's name
	// FieldSize is the size in bytes of the whole field that a narrower load is turned into, 0
	// where the load is done as it is written (ctx_field_size of struct bpf_insn_access_aux). The
	// field starts at the offset rounded down to a multiple of FieldSize.
	FieldSize uint8
}

// sizes is a set of access sizes: the sum of its members of 1, 2, 4 and 8 bytes.
type sizes uint8

const (
	none     sizes = 0
	byteOnly sizes = 1
	short    sizes = 1 | 2
	halfword sizes = 2
	word     sizes = 4
	narrow   sizes = 1 | 2 | 4 // bpf_ctx_narrow_access_ok with a default of 4
	double   sizes = 8
	anySize  sizes = 1 | 2 | 4 | 8
)

// accessRule allows accesses whose first byte lies in [Off, End). Several rules may cover one
// offset; the last that allows a size decides about it.
type accessRule struct {
	off, end    int
	load, store sizes
	value       CtxValue
	full        uint8 // FieldSize
	btf         string
	fit         bool // the access must also end inside the rule
}

// CtxRules says which accesses to a context Linux 6.18 allows (is_valid_access of struct
// bpf_verifier_ops). It is immutable. Make it once for each program.
type CtxRules struct {
	// Name is the structure behind the pointer.
	Name string
	// BTF says that the accesses follow the BTF of the attach target (btf_ctx_access); the rules
	// then allow nothing.
	BTF bool

	loads []CtxLoad // distinct results; cells hold an index plus 1
	cells []ctxCell // one an offset
	plain plainRule
}

// ctxCell is the answer for one offset, by log2 of the size.
type ctxCell struct {
	load  [4]uint8
	store sizes
}

// plainRule is the whole rule of contexts that are bytes without fields: aligned accesses whose
// first byte lies in [off, end), and whose last byte lies below last.
type plainRule struct {
	off, end, last int
	load, store    sizes
}

func newCtxRules(name string, rules []accessRule) *CtxRules {
	r := &CtxRules{Name: name}
	size := 0
	for _, rule := range rules {
		size = max(size, rule.end)
	}
	r.cells = make([]ctxCell, size)
	for _, rule := range rules {
		at := r.intern(CtxLoad{Value: rule.value, BTF: rule.btf, FieldSize: rule.full})
		for off := rule.off; off < rule.end; off++ {
			r.fill(off, rule, at)
		}
	}
	return r
}

// fill enters the sizes that one rule allows at one offset. Every context wants natural
// alignment.
func (r *CtxRules) fill(off int, rule accessRule, at uint8) {
	for log := range 4 {
		n := 1 << log
		if off&(n-1) != 0 || rule.fit && off+n > rule.end {
			continue
		}
		if rule.load&sizes(n) != 0 {
			r.cells[off].load[log] = at
		}
		r.cells[off].store |= rule.store & sizes(n)
	}
}

func (r *CtxRules) intern(l CtxLoad) uint8 {
	for i, have := range r.loads {
		if have == l {
			return uint8(i + 1)
		}
	}
	r.loads = append(r.loads, l)
	return uint8(len(r.loads))
}

func (p *plainRule) allows(off, size int, set sizes) bool {
	return off >= p.off && off < p.end && off&(size-1) == 0 && off+size <= p.last && set&sizes(size) != 0
}

// Load says whether a load of size bytes (1, 2, 4 or 8) at off is allowed and what it gives.
// Where it is not, Linux says "invalid bpf_context access off=%d size=%d" (EACCES).
func (r *CtxRules) Load(off, size int) (CtxLoad, bool) {
	if off < 0 || off >= len(r.cells) {
		return CtxLoad{}, r.plain.allows(off, size, r.plain.load)
	}
	i := r.cells[off].load[bits.TrailingZeros8(uint8(size))&3]
	if i == 0 {
		return CtxLoad{}, false
	}
	return r.loads[i-1], true
}

// LoadSigned is Load for sign-extending loads, which cannot give pointers (info->is_ldsx).
func (r *CtxRules) LoadSigned(off, size int) (CtxLoad, bool) {
	l, ok := r.Load(off, size)
	if !ok || l.Value != CtxScalar {
		return CtxLoad{}, false
	}
	return l, true
}

// Store says whether a store of size bytes (1, 2, 4 or 8) at off is allowed.
func (r *CtxRules) Store(off, size int) bool {
	if off < 0 || off >= len(r.cells) {
		return r.plain.allows(off, size, r.plain.store)
	}
	return r.cells[off].store&sizes(size) != 0
}

// NewCtxRules returns the rules for a program type and expected attach type, nil when the type
// is not known. arch gives the size of the registers that probes see; nil stands for amd64.
func NewCtxRules(t ebpf.ProgramType, attach ebpf.AttachType, arch *Arch) *CtxRules {
	if a, ok := skbAccess()[t]; ok {
		return newCtxRules("__sk_buff", fieldRules(skBuff(a)))
	}
	if build, ok := ctxBuilders()[t]; ok {
		if arch == nil {
			arch = amd64Regs()
		}
		return build(attach, arch)
	}
	return nil
}

// fieldRules turns the table of a context that the engines share into access rules.
func fieldRules(c *Context) []accessRule {
	values := map[FieldKind]CtxValue{FieldPacketData: CtxPacket, FieldPacketEnd: CtxPacketEnd, FieldPacketMeta: CtxPacketMeta}
	var rules []accessRule
	for _, f := range c.Fields {
		if f.Access == Hidden {
			continue
		}
		r := accessRule{off: int(f.Off), end: int(f.Off + f.Size), load: sizes(f.Size), value: values[f.Kind], fit: true}
		if f.Any {
			r.load = anySize
		}
		if f.Narrow {
			r.load, r.full = narrow, 4
		}
		if f.Access == ReadWrite {
			r.store = sizes(f.Size)
			if f.Any {
				r.store = anySize
			}
		}
		if c.Name == "__sk_buff" && f.Off == SKBSk {
			r.value = CtxSockCommonOrNull
		}
		rules = append(rules, r)
	}
	return rules
}
