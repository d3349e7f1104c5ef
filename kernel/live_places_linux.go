package kernel

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// places finds out what is attached where. What the kernel does not tell of a link, such as the
// name of an interface in another namespace, comes from asking the places themselves.
type places struct {
	types map[ebpf.ProgramType]bool // of the programs that are loaded
	found []*foundPlace
	// Names of what links show as numbers.
	netns   map[uint64]string
	cgroups map[uint64]string
}

// foundPlace is an attachment that was found without looking at links.
type foundPlace struct {
	key     string // what a link of the same attachment has, too
	program ebpf.ProgramID
	place   Place
	linked  bool
}

// attachments lists where programs of these types are attached. What cannot be read is left out.
func attachments(types map[ebpf.ProgramType]bool) map[ebpf.ProgramID][]Place {
	p := &places{types: types, netns: map[uint64]string{}, cgroups: map[uint64]string{}}
	if len(types) == 0 {
		return nil
	}
	// The namespace of the caller's thread is what this process is in.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p.lookAtNamespaces()
	p.lookAtCgroups()
	p.lookAtPerfEvents()
	all := p.links()
	for _, f := range p.found {
		if !f.linked && !slices.Contains(all[f.program], f.place) {
			all[f.program] = append(all[f.program], f.place)
		}
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b Place) int {
			return cmp.Or(cmp.Compare(a.Hook, b.Hook), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Link, b.Link), cmp.Compare(a.By, b.By))
		})
	}
	return all
}

func (p *places) add(key string, program uint32, place Place) {
	p.found = append(p.found, &foundPlace{key: key, program: ebpf.ProgramID(program), place: place})
}

// any reports whether a program of one of the types is loaded.
func (p *places) any(types ...ebpf.ProgramType) bool {
	return slices.ContainsFunc(types, func(t ebpf.ProgramType) bool { return p.types[t] })
}

func (p *places) lookAtNamespaces() {
	all := namespaces()
	for _, n := range all {
		p.netns[n.inode] = cmp.Or(n.label, "this netns")
	}
	if !p.any(ebpf.XDP, ebpf.SchedCLS, ebpf.SchedACT, ebpf.FlowDissector, ebpf.SkLookup) {
		return
	}
	inEach(all, func(n netns) {
		p.lookAtHooks(n)
		if c, err := openRtnetlink(); err == nil {
			p.lookAtDevices(c, n)
			c.close()
		}
	})
}

// lookAtHooks asks for the programs of the namespace itself.
func (p *places) lookAtHooks(n netns) {
	if !p.any(ebpf.FlowDissector, ebpf.SkLookup) {
		return
	}
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	for _, at := range []ebpf.AttachType{ebpf.AttachFlowDissector, ebpf.AttachSkLookup} {
		p.query(fd, at, Place{Hook: at.String(), Target: p.netns[n.inode]}, func(id ebpf.ProgramID) string {
			return fmt.Sprint("netns ", n.inode, at, id)
		})
	}
}

func (p *places) lookAtDevices(c *rtnetlink, n netns) {
	devices, err := c.devices()
	if err != nil {
		return
	}
	names := map[uint32]string{}
	for _, d := range devices {
		names[d.index] = n.in(d.name)
		for _, id := range d.xdp {
			p.add(fmt.Sprint("xdp ", d.index, id), id, Place{Hook: "xdp", Target: names[d.index], By: "by netlink"})
		}
	}
	if !p.any(ebpf.SchedCLS, ebpf.SchedACT) {
		return
	}
	programs, _ := c.tcPrograms()
	for _, t := range programs {
		p.add("", t.id, Place{Hook: t.hook, Target: names[t.index], By: t.filter})
	}
	for _, d := range devices {
		for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress, ebpf.AttachNetkitPrimary, ebpf.AttachNetkitPeer} {
			p.query(int(d.index), at, Place{Hook: at.String(), Target: names[d.index]}, nil)
		}
	}
}

// query asks for the programs at a hook. Where the kernel does not tell their links, key does.
func (p *places) query(target int, at ebpf.AttachType, place Place, key func(ebpf.ProgramID) string) {
	result, err := link.QueryPrograms(link.QueryOptions{Target: target, Attach: at})
	if err != nil {
		return // not a hook of this kernel or target
	}
	place.By = "no link"
	for _, q := range result.Programs {
		k := ""
		if id, ok := q.LinkID(); ok {
			k = fmt.Sprint("link ", id)
		} else if key != nil {
			k = key(q.ID)
		}
		p.add(k, uint32(q.ID), place)
	}
}

// links lists the attachments that have a bpf_link. Links came with Linux 5.7.
func (p *places) links() map[ebpf.ProgramID][]Place {
	all := map[ebpf.ProgramID][]Place{}
	links := new(link.Iterator)
	defer links.Close()
	for links.Next() {
		if info, err := links.Link.Info(); err == nil {
			all[info.Program] = append(all[info.Program], p.ofLink(info))
		}
	}
	return all
}

// take marks what was found under a key as an attachment of a link, and returns its place.
func (p *places) take(key string) (Place, bool) {
	for _, f := range p.found {
		if f.key == key && !f.linked {
			f.linked = true
			return f.place, true
		}
	}
	return Place{}, false
}

// ofLink is where a link attaches its program.
func (p *places) ofLink(info *link.Info) Place {
	place, key := p.describe(info)
	if found, ok := p.take(key); ok {
		place = found
	}
	return Place{Hook: place.Hook, Target: place.Target, Link: info.ID}
}

// describe says what a link itself tells, and the key of the same attachment among those found.
func (p *places) describe(info *link.Info) (Place, string) {
	onDevice := func(hook string, index uint32, key string) (Place, string) {
		return Place{Hook: hook, Target: fmt.Sprintf("interface %d of another netns", index)}, key
	}
	byLink := fmt.Sprint("link ", info.ID)
	if x := info.XDP(); x != nil {
		return onDevice("xdp", x.Ifindex, fmt.Sprint("xdp ", x.Ifindex, uint32(info.Program)))
	}
	if x := info.TCX(); x != nil {
		return onDevice(ebpf.AttachType(x.AttachType).String(), x.Ifindex, byLink)
	}
	if x := info.Netkit(); x != nil {
		return onDevice(ebpf.AttachType(x.AttachType).String(), x.Ifindex, byLink)
	}
	if x := info.Cgroup(); x != nil {
		at := ebpf.AttachType(x.AttachType)
		target := cmp.Or(p.cgroups[x.CgroupId], fmt.Sprintf("cgroup %d", x.CgroupId))
		return Place{Hook: at.String(), Target: target}, cgroupKey(x.CgroupId, at, info.Program)
	}
	if x := info.NetNs(); x != nil {
		at := ebpf.AttachType(x.AttachType)
		target := cmp.Or(p.netns[uint64(x.NetnsInode)], fmt.Sprintf("netns %d", x.NetnsInode))
		return Place{Hook: at.String(), Target: target}, fmt.Sprint("netns ", uint64(x.NetnsInode), at, info.Program)
	}
	if x := info.PerfEvent(); x != nil {
		place := perfPlace(x)
		for _, f := range p.found { // processes may share an event
			f.linked = f.linked || f.key == perfKey(info.Program, place)
		}
		return place, byLink
	}
	return other(info), byLink
}

// other is the place of a link whose kind has no programs without a link.
func other(info *link.Info) Place {
	if x := info.RawTracepoint(); x != nil {
		return Place{Hook: "raw tracepoint", Target: x.Name}
	}
	if x := info.UprobeMulti(); x != nil {
		return Place{Hook: "uprobes", Target: fmt.Sprintf("%d places of %s", x.Count, x.File)}
	}
	if x := info.KprobeMulti(); x != nil {
		return Place{Hook: "kprobes", Target: fmt.Sprintf("%d functions", x.Count)}
	}
	if x := info.Netfilter(); x != nil {
		return Place{Hook: "netfilter", Target: fmt.Sprintf("hook %d of family %d, priority %d", x.Hook, x.ProtocolFamily, x.Priority)}
	}
	if x := info.Tracing(); x != nil {
		return Place{Hook: ebpf.AttachType(x.AttachType).String(), Target: fmt.Sprintf("a function of object %d", x.TargetObjectId)}
	}
	return Place{Hook: linkType(info.Type)}
}

// linkTypes are the names of BPF_LINK_TYPE_*.
var linkTypes = map[link.Type]string{
	link.RawTracepointType: "raw_tracepoint", link.TracingType: "tracing", link.CgroupType: "cgroup",
	link.IterType: "iter", link.NetNsType: "netns", link.XDPType: "xdp", link.PerfEventType: "perf_event",
	link.KprobeMultiType: "kprobe_multi", link.StructOpsType: "struct_ops", link.NetfilterType: "netfilter",
	link.TCXType: "tcx", link.UprobeMultiType: "uprobe_multi", link.NetkitType: "netkit",
}

func linkType(t link.Type) string { return cmp.Or(linkTypes[t], fmt.Sprintf("type %d", t)) }
