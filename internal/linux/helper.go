package linux

import (
	"sync"

	"github.com/carom-bpf/carom/internal/isa"
)

// changesPacket lists the helpers that may move the packet (bpf_helper_changes_pkt_data,
// net/core/filter.c). bpf_tail_call is not in it: a profile says what it does.
func changesPacket() []uint32 {
	return []uint32{
		FuncCloneRedirect, FuncL3CsumReplace, FuncL4CsumReplace, FuncLWTPushEncap, FuncLWTSeg6Action,
		FuncLWTSeg6AdjustSRH, FuncLWTSeg6StoreBytes, FuncMsgPopData, FuncMsgPullData, FuncMsgPushData,
		FuncSKBAdjustRoom, FuncSKBChangeHead, FuncSKBChangeProto, FuncSKBChangeTail, FuncSKBPullData,
		FuncSKBStoreBytes, FuncSKBVLANPop, FuncSKBVLANPush, FuncStoreHdrOpt, FuncXDPAdjustHead,
		FuncXDPAdjustMeta, FuncXDPAdjustTail,
	}
}

// protoTable is every prototype, made once and never written to afterwards.
type protoTable struct {
	rows     []Proto
	bySymbol map[string]*Proto
	first    [MaxFuncID + 1]*Proto // the first row of each helper
}

var protos = sync.OnceValue(func() *protoTable {
	t := &protoTable{bySymbol: map[string]*Proto{}}
	for _, rows := range [][]Proto{baseProtos(), coreProtos(), traceProtos(), packetProtos(), socketProtos()} {
		t.rows = append(t.rows, rows...)
	}
	changes := map[uint32]bool{}
	for _, id := range changesPacket() {
		changes[id] = true
	}
	for i := range t.rows {
		p := &t.rows[i]
		p.Name = isa.HelperName(int32(p.ID))
		p.ChangesPacket = changes[p.ID]
		t.bySymbol[p.Symbol] = p
		if t.first[p.ID] == nil {
			t.first[p.ID] = p
		}
	}
	return t
})

// Helper returns the prototype of a helper of Linux. Where program types have variants of it,
// it is the one of the type for which the helper was made. False says that Linux 6.18 has no
// helper of this number.
func Helper(id uint32) (Proto, bool) {
	if id > MaxFuncID || protos().first[id] == nil {
		return Proto{}, false
	}
	return *protos().first[id], true
}
