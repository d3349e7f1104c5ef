package kernel

import (
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// attachments says where links attach programs. What cannot be read is left out: links came with
// Linux 5.7, and not every kind tells its target.
func attachments() map[ebpf.ProgramID][]string {
	all := map[ebpf.ProgramID][]string{}
	links := new(link.Iterator)
	defer links.Close()
	for links.Next() {
		if info, err := links.Link.Info(); err == nil {
			all[info.Program] = append(all[info.Program], fmt.Sprintf("%s, link %d", place(info), info.ID))
		}
	}
	return all
}

// place is where a link attaches its program.
func place(info *link.Info) string {
	if x := info.XDP(); x != nil {
		return "xdp on " + device(x.Ifindex)
	}
	if x := info.TCX(); x != nil {
		return fmt.Sprintf("%s on %s", ebpf.AttachType(x.AttachType), device(x.Ifindex))
	}
	if x := info.Netkit(); x != nil {
		return fmt.Sprintf("%s on %s", ebpf.AttachType(x.AttachType), device(x.Ifindex))
	}
	if x := info.Cgroup(); x != nil {
		return fmt.Sprintf("%s on cgroup %d", ebpf.AttachType(x.AttachType), x.CgroupId)
	}
	if x := info.RawTracepoint(); x != nil {
		return "raw tracepoint " + x.Name
	}
	if x := info.PerfEvent(); x != nil {
		return "a probe"
	}
	return "attached"
}

// device is the name of an interface of this network namespace, else its number.
func device(index uint32) string {
	if d, err := net.InterfaceByIndex(int(index)); err == nil {
		return d.Name
	}
	return fmt.Sprintf("interface %d", index)
}
