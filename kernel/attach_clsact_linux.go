package kernel

import (
	"errors"
	"fmt"
	"math"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/engine"
)

// tcFilter is a bpf filter of the clsact qdisc, with direct action: the program's return value is the
// verdict. It stands for tcx before Linux 6.6, and unlike a bpf_link stays when its maker ends.
type tcFilter struct {
	rt        *netlink.Handle // bound to the network namespace it was made in
	filter    netlink.BpfFilter
	program   ebpf.ProgramID
	madeQdisc bool
}

// filterHandle is the filter's number among those of one priority.
const filterHandle = 1

func clsact(index int) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
}

func linkOf(index int) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
}

// attachClsact adds a filter, and the qdisc if there is none.
func attachClsact(p *carom.Program, index int, dir Direction) (attached, error) {
	rt, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, wrap(err)
	}
	parent := uint32(netlink.HANDLE_MIN_INGRESS)
	if dir == Egress {
		parent = netlink.HANDLE_MIN_EGRESS
	}
	f := &tcFilter{rt: rt, filter: netlink.BpfFilter{
		FilterAttrs:  netlink.FilterAttrs{LinkIndex: index, Parent: parent, Handle: filterHandle, Protocol: unix.ETH_P_ALL},
		DirectAction: true,
	}}
	if err := f.add(p); err != nil {
		return nil, errors.Join(err, f.removeQdisc(), f.free())
	}
	return f, nil
}

func (f *tcFilter) add(p *carom.Program) error {
	err := f.rt.QdiscAdd(clsact(f.filter.LinkIndex))
	switch {
	case err == nil:
		f.madeQdisc = true
	case errors.Is(err, unix.ENOENT):
		return missing("filters of tc need a kernel with CONFIG_NET_SCH_INGRESS, and tcx needs Linux 6.6 with CONFIG_NET_XGRESS")
	case errors.Is(err, unix.EEXIST):
		if err := f.checkQdisc(); err != nil {
			return err
		}
	default:
		return failed(fmt.Errorf("add the clsact qdisc: %w", err), nil)
	}
	there, err := f.filters(f.filter.Parent)
	if err != nil {
		return err
	}
	taken := map[uint16]bool{}
	for _, other := range there {
		taken[other.Attrs().Priority] = true
	}
	for n := 1; n <= math.MaxUint16; n++ {
		f.filter.Priority = uint16(n)
		if taken[f.filter.Priority] {
			continue
		}
		err := f.set(p, f.rt.FilterAdd)
		if errors.Is(err, unix.EEXIST) {
			continue // taken meanwhile
		}
		return failed(err, map[error]string{
			unix.ENOENT: "filters of tc need a kernel with CONFIG_NET_CLS_BPF, and tcx needs Linux 6.6 with CONFIG_NET_XGRESS",
			unix.EINVAL: "the kernel takes no such program as a filter",
		})
	}
	return errors.New("all priorities of filters are taken")
}

// checkQdisc looks at what is in the place of clsact. The ingress qdisc has filters for one
// direction only.
func (f *tcFilter) checkQdisc() error {
	all, err := f.rt.QdiscList(linkOf(f.filter.LinkIndex))
	if err != nil {
		return wrap(err)
	}
	for _, q := range all {
		if q.Attrs().Parent == netlink.HANDLE_CLSACT && q.Type() == "ingress" && f.filter.Parent == netlink.HANDLE_MIN_EGRESS {
			return &hintError{"the interface has the qdisc ingress, which has no filters for egress; replace it by clsact, see tc qdisc", unix.EEXIST}
		}
	}
	return nil
}

// set adds or replaces the filter.
func (f *tcFilter) set(p *carom.Program, do func(netlink.Filter) error) error {
	filter := f.filter
	filter.Fd, filter.Name = p.FD(), p.Name()
	if err := do(&filter); err != nil {
		return err
	}
	f.program = p.ID()
	return nil
}

func (f *tcFilter) filters(parent uint32) ([]netlink.Filter, error) {
	all, err := f.rt.FilterList(linkOf(f.filter.LinkIndex), parent)
	return all, wrap(err)
}

// update replaces the program. cls_bpf_change swaps it in one step.
func (f *tcFilter) update(p *carom.Program) error {
	if ours, err := f.there(); err != nil || !ours {
		return errors.Join(err, fmt.Errorf("somebody else removed or replaced the filter: %w", unix.ENOENT))
	}
	return failed(f.set(p, f.rt.FilterReplace), nil)
}

func (f *tcFilter) pin(string) error {
	return fmt.Errorf("a filter of tc has no bpf_link that could be pinned, tcx of Linux 6.6 has: %w", engine.ErrUnsupported)
}

func (f *tcFilter) unpin() error { return nil }

func (f *tcFilter) hook() string { return "clsact" }

// there reports whether the filter still has the program that it was given.
func (f *tcFilter) there() (bool, error) {
	if f.rt == nil {
		return false, nil
	}
	all, err := f.filters(f.filter.Parent)
	for _, other := range all {
		bpf, ok := other.(*netlink.BpfFilter)
		if ok && bpf.Priority == f.filter.Priority && bpf.Handle == filterHandle && ebpf.ProgramID(bpf.Id) == f.program {
			return true, nil
		}
	}
	return false, err
}

// Close removes the filter, and the qdisc if it was made for it and has no other filters now.
func (f *tcFilter) Close() error {
	if f.rt == nil {
		return nil
	}
	ours, err := f.there()
	if errors.Is(err, unix.ENODEV) {
		return f.free() // it went with its interface
	}
	if ours {
		filter := f.filter
		err = f.rt.FilterDel(&filter)
	}
	return errors.Join(wrap(err), f.removeQdisc(), f.free())
}

func (f *tcFilter) removeQdisc() error {
	if !f.madeQdisc {
		return nil
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		if all, err := f.filters(parent); err != nil || len(all) > 0 {
			return err
		}
	}
	f.madeQdisc = false
	return wrap(f.rt.QdiscDel(clsact(f.filter.LinkIndex)))
}

func (f *tcFilter) free() error {
	f.rt.Close()
	f.rt = nil
	return nil
}
