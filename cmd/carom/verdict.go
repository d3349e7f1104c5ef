package main

import (
	"fmt"
	"strconv"

	"github.com/carom-bpf/carom"
	"github.com/cilium/ebpf"
)

// verdictNames are the names of return values by program type (include/uapi/linux/bpf.h and
// pkt_cls.h). Values are 32 bits.
func verdictNames(t ebpf.ProgramType, attach ebpf.AttachType) map[int32]string {
	sk := map[int32]string{0: "SK_DROP", 1: "SK_PASS"}
	lwt := map[int32]string{0: "BPF_OK", 2: "BPF_DROP", 7: "BPF_REDIRECT", 128: "BPF_LWT_REROUTE"}
	switch t {
	case ebpf.XDP:
		return map[int32]string{0: "XDP_ABORTED", 1: "XDP_DROP", 2: "XDP_PASS", 3: "XDP_TX", 4: "XDP_REDIRECT"}
	case ebpf.SchedCLS, ebpf.SchedACT:
		if attach == ebpf.AttachTCXIngress || attach == ebpf.AttachTCXEgress {
			return map[int32]string{-1: "TCX_NEXT", 0: "TCX_PASS", 2: "TCX_DROP", 7: "TCX_REDIRECT"}
		}
		return map[int32]string{
			-1: "TC_ACT_UNSPEC", 0: "TC_ACT_OK", 1: "TC_ACT_RECLASSIFY", 2: "TC_ACT_SHOT", 3: "TC_ACT_PIPE",
			4: "TC_ACT_STOLEN", 5: "TC_ACT_QUEUED", 6: "TC_ACT_REPEAT", 7: "TC_ACT_REDIRECT", 8: "TC_ACT_TRAP",
		}
	case ebpf.CGroupSKB:
		return map[int32]string{0: "drop (0)", 1: "allow (1)", 2: "drop, congested (2)", 3: "allow, congested (3)"}
	case ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit, ebpf.LWTSeg6Local:
		return lwt
	case ebpf.SkSKB, ebpf.SkMsg, ebpf.SkLookup, ebpf.SkReuseport:
		return sk
	case ebpf.FlowDissector:
		return map[int32]string{0: "BPF_OK", 2: "BPF_DROP", 129: "BPF_FLOW_DISSECTOR_CONTINUE"}
	case ebpf.Netfilter:
		return map[int32]string{0: "NF_DROP", 1: "NF_ACCEPT"}
	}
	return nil
}

// verdicts names what a program returned.
type verdicts struct {
	typ   ebpf.ProgramType
	names map[int32]string
}

func newVerdicts(p *carom.Program) verdicts {
	return verdicts{p.Type(), verdictNames(p.Type(), p.AttachType())}
}

// name names a return value. length is that of the packet.
func (v *verdicts) name(ret uint64, r *carom.Redirect, length int) string {
	value := int32(uint32(ret))
	if v.typ == ebpf.SocketFilter {
		return keepName(uint32(ret), length)
	}
	name, known := v.names[value]
	switch {
	case !known && takesPackets(v.typ):
		return fmt.Sprintf("%d (not a verdict)", value)
	case !known:
		return strconv.Itoa(int(value))
	case !r.Set || (value != 4 || v.typ != ebpf.XDP) && value != 7:
		return name
	case r.Map != "":
		return fmt.Sprintf("%s to %s[%d]", name, r.Map, r.Key)
	}
	return fmt.Sprintf("%s to ifindex %d", name, r.Ifindex)
}

// keepName says how much of the packet a socket filter keeps.
func keepName(n uint32, length int) string {
	switch {
	case n == 0:
		return "drop (0)"
	case int64(n) >= int64(length):
		return "keep all"
	}
	return fmt.Sprintf("keep %d bytes", n)
}
