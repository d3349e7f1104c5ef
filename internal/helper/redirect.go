package helper

import (
	"encoding/binary"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/vm"
)

// redirectHelpers record where the program wants the packet to go; nothing is sent.
func redirectHelpers() []vm.Helper {
	return []vm.Helper{
		packetRow(linux.FuncCloneRedirect, cloneRedirect),
		{Proto: proto(linux.FuncRedirect), Func: redirect},
		{Proto: proto(linux.FuncRedirectMap), Func: redirectMap},
		{Proto: proto(linux.FuncRedirectNeigh), Func: redirectNeigh},
		{Proto: proto(linux.FuncRedirectPeer), Func: redirectPeer},
	}
}

// Return codes (include/uapi/linux/bpf.h, include/uapi/linux/pkt_cls.h).
const (
	tcActShot     = 2
	tcActRedirect = 7
	xdpAborted    = 0
	xdpRedirect   = 4
	xdpActions    = 3 // XDP_ABORTED, XDP_DROP, XDP_PASS and XDP_TX

	ebadmsg linux.Errno = 74
)

// Flags of the redirect helpers.
const (
	flagIngress        = 1 << 0 // BPF_F_INGRESS
	flagBroadcast      = 1 << 3 // BPF_F_BROADCAST
	flagExcludeIngress = 1 << 4 // BPF_F_EXCLUDE_INGRESS
	// Linux's own marks of a redirect to a neighbour and to a peer.
	flagNeigh   = 1 << 16
	flagPeer    = 1 << 17
	flagNextHop = 1 << 18
)

func toDevice(k *vm.Call, flags, action uint64) uint64 {
	k.CPU.Redirect = vm.Redirect{Set: true, Ifindex: uint32(k.Args[0]), Flags: flags}
	return action
}

func redirect(k *vm.Call) uint64 {
	flags := k.Args[1]
	if k.Program().Type == ebpf.XDP {
		if flags != 0 {
			return xdpAborted
		}
		return toDevice(k, 0, xdpRedirect)
	}
	if flags&^flagIngress != 0 {
		return tcActShot
	}
	return toDevice(k, flags, tcActRedirect)
}

func redirectPeer(k *vm.Call) uint64 {
	if k.Args[1] != 0 {
		return tcActShot
	}
	return toDevice(k, flagPeer, tcActRedirect)
}

func redirectNeigh(k *vm.Call) uint64 {
	const paramsSize = 20 // struct bpf_redir_neigh
	n := uint64(uint32(k.Args[2]))
	flags := uint64(flagNeigh)
	switch {
	case n > 0 && n < paramsSize || k.Args[3] != 0:
		return tcActShot // before the parameters are looked at, which may be NULL
	case n > 0:
		if _, ok := k.Bytes(k.Args[1], n); !ok {
			return 0
		}
		flags |= flagNextHop
	}
	return toDevice(k, flags, tcActRedirect)
}

// cloneRedirect records a copy that would be sent. Which devices there are is not known here, so
// every ifindex but 0 is good.
func cloneRedirect(k *vm.Call) uint64 {
	ifindex, flags := uint32(k.Args[1]), k.Args[2]
	switch {
	case flags&^flagIngress != 0:
		return linux.EINVAL.Neg()
	case field(k.CPU, linux.SKBGSOSize) != 0:
		return ebadmsg.Neg()
	case ifindex == 0:
		return linux.EINVAL.Neg()
	}
	k.CPU.Redirect = vm.Redirect{Set: true, Ifindex: ifindex, Flags: flags}
	return 0
}

// redirectMap is __bpf_xdp_redirect_map of include/linux/filter.h.
func redirectMap(k *vm.Call) uint64 {
	m, ok := k.Map(k.Args[0]).(maps.Map)
	if !ok {
		return k.FailMap(0, "a map")
	}
	info := m.Info()
	allowed := uint64(xdpActions)
	switch info.Type {
	case ebpf.DevMap, ebpf.DevMapHash:
		allowed |= flagBroadcast | flagExcludeIngress
	case ebpf.CPUMap, ebpf.XSKMap:
	default:
		return k.Fail("map %s: cannot pass map_type %d into func bpf_redirect_map#51", info.Name, uint32(info.Type))
	}
	flags := k.Args[2]
	if flags&^allowed != 0 {
		return xdpAborted
	}
	if flags&flagBroadcast == 0 && !hasKey(k, m, uint32(k.Args[1])) {
		k.CPU.Redirect = vm.Redirect{} // also of an earlier call
		return flags & xdpActions
	}
	k.CPU.Redirect = vm.Redirect{Set: true, Map: info.Name, Key: uint64(uint32(k.Args[1])), Flags: flags}
	return xdpRedirect
}

// hasKey looks a key up.
func hasKey(k *vm.Call, m maps.Map, key uint32) bool {
	binary.LittleEndian.PutUint32(k.Buf[:], key)
	return m.Lookup(k.CPU.ID, k.Buf[:4]) != 0
}
