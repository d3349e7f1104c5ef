package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Attributes of tc (include/uapi/linux/pkt_cls.h, include/uapi/linux/tc_act/tc_bpf.h).
const (
	tcaChain = 11 // TCA_CHAIN

	tcaBPFID = 11 // TCA_BPF_ID

	tcaActKind    = 1 // TCA_ACT_KIND
	tcaActOptions = 2 // TCA_ACT_OPTIONS
	tcaActBPFID   = 9 // TCA_ACT_BPF_ID
)

// Handles of the clsact qdisc (include/uapi/linux/pkt_sched.h).
const (
	clsactIngress = 0xfffffff2
	clsactEgress  = 0xfffffff3
)

// actionsOf is the attribute with the actions in the options of a filter, by the filter's kind.
var actionsOf = map[string]uint16{
	"bpf": 1, "cgroup": 1, "matchall": 2, "basic": 3, "flower": 3, "fw": 4, "route": 6, "u32": 7, "flow": 9,
}

// rtnetlink asks the kernel about interfaces, qdiscs and filters of one network namespace.
type rtnetlink struct {
	fd  int
	seq uint32
}

func openRtnetlink() (*rtnetlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	return &rtnetlink{fd: fd}, nil
}

func (n *rtnetlink) close() { _ = unix.Close(n.fd) }

// dump sends a request and returns the bodies of the answers.
func (n *rtnetlink) dump(request uint16, body []byte) ([][]byte, error) {
	n.seq++
	msg := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	msg = binary.NativeEndian.AppendUint16(msg, request)
	msg = binary.NativeEndian.AppendUint16(msg, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	msg = binary.NativeEndian.AppendUint32(msg, n.seq)
	msg = binary.NativeEndian.AppendUint32(msg, 0)
	msg = append(msg, body...)
	if err := unix.Sendto(n.fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var all [][]byte
	buf := make([]byte, 1<<17)
	for {
		size, _, err := unix.Recvfrom(n.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for b := buf[:size]; len(b) >= unix.SizeofNlMsghdr; {
			length, kind := int(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint16(b[4:])
			if length < unix.SizeofNlMsghdr || length > len(b) {
				return nil, fmt.Errorf("rtnetlink: a message of %d bytes in %d", length, len(b))
			}
			data := b[unix.SizeofNlMsghdr:length]
			own := binary.NativeEndian.Uint32(b[8:]) == n.seq
			b = b[min((length+3)&^3, len(b)):]
			switch {
			case !own: // of a dump that was given up
			case kind == unix.NLMSG_DONE:
				return all, nil
			case kind == unix.NLMSG_ERROR && len(data) >= 4:
				return nil, unix.Errno(-int32(binary.NativeEndian.Uint32(data)))
			default:
				all = append(all, append([]byte(nil), data...))
			}
		}
	}
}

// attributes reads a list of attributes, without the flags in the two upper bits of their types; what does not fit ends it.
func attributes(b []byte) map[uint16][]byte {
	all := map[uint16][]byte{}
	for len(b) >= unix.SizeofNlAttr {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofNlAttr || length > len(b) {
			break
		}
		all[binary.NativeEndian.Uint16(b[2:])&0x3fff] = b[unix.SizeofNlAttr:length]
		b = b[min((length+3)&^3, len(b)):]
	}
	return all
}

func number32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}

// netDevice is an interface and the XDP programs on it.
type netDevice struct {
	index uint32
	name  string
	xdp   []uint32 // program ids, of each mode that has one
}

func (n *rtnetlink) devices() ([]netDevice, error) {
	answers, err := n.dump(unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg))
	if err != nil {
		return nil, err
	}
	var all []netDevice
	for _, b := range answers {
		if len(b) < unix.SizeofIfInfomsg {
			continue
		}
		attrs := attributes(b[unix.SizeofIfInfomsg:])
		d := netDevice{index: number32(b[4:]), name: unix.ByteSliceToString(attrs[unix.IFLA_IFNAME])}
		xdp := attributes(attrs[unix.IFLA_XDP])
		for _, mode := range []uint16{unix.IFLA_XDP_DRV_PROG_ID, unix.IFLA_XDP_SKB_PROG_ID, unix.IFLA_XDP_HW_PROG_ID} {
			if id := number32(xdp[mode]); id != 0 {
				d.xdp = append(d.xdp, id)
			}
		}
		// Before Linux 5.0 there is this one attribute alone.
		if id := number32(xdp[unix.IFLA_XDP_PROG_ID]); id != 0 && len(d.xdp) == 0 {
			d.xdp = append(d.xdp, id)
		}
		all = append(all, d)
	}
	return all, nil
}

// tcProgram is a program that a tc filter runs.
type tcProgram struct {
	id     uint32
	index  uint32 // of the interface
	hook   string
	filter string
}

const sizeofTcMsg = 20

// tcMessage is a struct tcmsg.
func tcMessage(index, parent uint32) []byte {
	b := make([]byte, sizeofTcMsg)
	binary.NativeEndian.PutUint32(b[4:], index)
	binary.NativeEndian.PutUint32(b[12:], parent)
	return b
}

// tcPrograms lists the programs of filters, and of actions of filters, at all qdiscs.
func (n *rtnetlink) tcPrograms() ([]tcProgram, error) {
	qdiscs, err := n.dump(unix.RTM_GETQDISC, tcMessage(0, 0))
	if err != nil {
		return nil, err
	}
	var all []tcProgram
	for _, b := range qdiscs {
		if len(b) < sizeofTcMsg {
			continue
		}
		index, handle := number32(b[4:]), number32(b[8:])
		kind := unix.ByteSliceToString(attributes(b[sizeofTcMsg:])[unix.TCA_KIND])
		switch {
		case kind == "clsact":
			all = append(all, n.filters(index, clsactIngress, "tc ingress")...)
			all = append(all, n.filters(index, clsactEgress, "tc egress")...)
		case kind == "ingress":
			all = append(all, n.filters(index, handle, "tc ingress")...)
		case handle != 0: // the default qdiscs have none, and no filters
			all = append(all, n.filters(index, handle, fmt.Sprintf("tc qdisc %s %x:", kind, handle>>16))...)
		}
	}
	return all, nil
}

// filters lists the programs at one qdisc. Qdiscs that take no filters answer with an error.
func (n *rtnetlink) filters(index, parent uint32, hook string) []tcProgram {
	answers, err := n.dump(unix.RTM_GETTFILTER, tcMessage(index, parent))
	if err != nil {
		return nil
	}
	var all []tcProgram
	for _, b := range answers {
		if len(b) < sizeofTcMsg {
			continue
		}
		attrs := attributes(b[sizeofTcMsg:])
		kind := unix.ByteSliceToString(attrs[unix.TCA_KIND])
		options := attributes(attrs[unix.TCA_OPTIONS])
		filter := fmt.Sprintf("tc filter %s pref %d handle %#x", kind, number32(b[16:])>>16, number32(b[8:]))
		if chain := number32(attrs[tcaChain]); chain != 0 {
			filter += fmt.Sprintf(" chain %d", chain)
		}
		if id := number32(options[tcaBPFID]); kind == "bpf" && id != 0 {
			all = append(all, tcProgram{id, index, hook, filter})
		}
		for _, action := range attributes(options[actionsOf[kind]]) {
			a := attributes(action)
			if id := number32(attributes(a[tcaActOptions])[tcaActBPFID]); unix.ByteSliceToString(a[tcaActKind]) == "bpf" && id != 0 {
				all = append(all, tcProgram{id, index, hook, filter + " action bpf"})
			}
		}
	}
	return all
}
