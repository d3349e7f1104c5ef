package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

// XDPMode says where in the receive path an XDP program runs.
type XDPMode uint8

// Modes of XDP (XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE).
const (
	XDPAny     XDPMode = iota // the driver if it can, else generic
	XDPGeneric                // after the kernel made an sk_buff; every interface can
	XDPNative                 // in the driver
)

func (m XDPMode) String() string {
	switch m {
	case XDPGeneric:
		return "generic"
	case XDPNative:
		return "native"
	}
	return "any"
}

// Direction is that of packets on an interface.
type Direction uint8

// Directions of packets.
const (
	Ingress Direction = iota
	Egress
)

func (d Direction) String() string {
	if d == Egress {
		return "egress"
	}
	return "ingress"
}

// Probe is a place in a user-space program or library.
type Probe struct {
	Binary string // path
	Symbol string // function, from the symbol table or the dynamic one
	Offset uint64 // bytes behind the start of the function; 0 in a return probe
	PID    int    // only in this process; in all when 0
}

func (p Probe) String() string {
	s := p.Binary + ":" + p.Symbol
	if p.Offset != 0 {
		s += fmt.Sprintf("+%#x", p.Offset)
	}
	if p.PID != 0 {
		s += fmt.Sprintf(", process %d", p.PID)
	}
	return s
}

// Attachment is a program that runs at a hook of the kernel until Close. It keeps the program, but
// not its maps' contents: a PROG_ARRAY is emptied when the last handle and pin of it are gone.
type Attachment struct {
	program string
	target  string
	link    attached
}

// attached is what the system has to offer for an attachment.
type attached interface {
	Close() error
	update(p *carom.Program) error
	pin(path string) error
	unpin() error
}

// Program is the name of the program that was attached.
func (a *Attachment) Program() string { return a.program }

// Target says in words what the program is attached to.
func (a *Attachment) Target() string { return a.target }

// Update replaces the program in one step: every packet sees the old or the new one. Hooks of
// probes and tracepoints cannot do that and return an error that wraps carom.ErrUnsupported.
func (a *Attachment) Update(p *carom.Program) error {
	if err := a.link.update(p); err != nil {
		return &AttachError{Program: p.Name(), Target: a.target, Err: err}
	}
	a.program = p.Name()
	return nil
}

// Pin keeps the attachment past Close and the end of this process, as a file on bpffs, until that
// file is removed. The attachment keeps its program, but not the slots of PROG_ARRAYs that the
// program uses: pin the collection as well. Unheld tells what is missing. Errors are
// *carom.PinError and wrap carom.ErrUnsupported where there is no bpf_link to pin, which is so for
// tc filters and before Linux 5.15 for probes and tracepoints.
func (a *Attachment) Pin(path string) error {
	if err := a.link.pin(path); err != nil {
		return &carom.PinError{Path: path, Kind: "link", Name: a.program + " on " + a.target, Err: err}
	}
	return nil
}

// Unpin removes the file that Pin made. The program stays attached until Close.
func (a *Attachment) Unpin() error {
	if err := a.link.unpin(); err != nil {
		return fmt.Errorf("unpin the attachment to %s: %w", a.target, err)
	}
	return nil
}

// Close detaches the program unless the attachment was pinned.
func (a *Attachment) Close() error {
	if a == nil {
		return nil
	}
	if err := a.link.Close(); err != nil {
		return fmt.Errorf("detach from %s: %w", a.target, err)
	}
	return nil
}

// AttachError says which program could not be attached to what, and why.
type AttachError struct {
	Program string
	Target  string
	Err     error
}

func (e *AttachError) Error() string {
	return fmt.Sprintf("attach %s to %s: %v", e.Program, e.Target, e.Err)
}

// Unwrap returns the cause.
func (e *AttachError) Unwrap() error { return e.Err }

// hook is a kind of place that programs are attached to.
type hook struct {
	name  string
	types []ebpf.ProgramType
}

// check finds out whether a program can be attached at all.
func (h hook) check(p *carom.Program) error {
	if p == nil {
		return errors.New("the program is nil")
	}
	if p.FD() < 0 {
		return errors.New("it is loaded in user space or closed; load the collection with kernel.Engine")
	}
	for _, t := range h.types {
		if p.Type() == t {
			return nil
		}
	}
	return fmt.Errorf("it is a %s program; %s takes %v", p.Type(), h.name, h.types[0])
}

// attach makes an attachment with what is returned by do.
func (h hook) attach(p *carom.Program, target string, do func() (attached, error)) (*Attachment, error) {
	err := h.check(p)
	name := "a program"
	if p != nil {
		name = p.Name()
	}
	var l attached
	if err == nil {
		l, err = do()
	}
	if err != nil {
		return nil, &AttachError{Program: name, Target: target, Err: err}
	}
	return &Attachment{program: name, target: target, link: l}, nil
}

// AttachXDP runs p on every packet that the interface of that name receives.
func AttachXDP(p *carom.Program, iface string, mode XDPMode) (*Attachment, error) {
	h := hook{"XDP", []ebpf.ProgramType{ebpf.XDP}}
	target := "interface " + iface + " (XDP)"
	if mode != XDPAny {
		target = fmt.Sprintf("interface %s (XDP, %s)", iface, mode)
	}
	return h.attach(p, target, func() (attached, error) { return attachXDP(p, iface, mode) })
}

// AttachTC runs p on packets of the interface through tcx, before filters of the clsact qdisc. Where
// tcx is missing, before Linux 6.6, it makes such a filter with direct action, behind those that are
// there, and adds the qdisc if there is none. Close removes the filter, and the qdisc if this
// attachment added it and no other filter is left; so close attachments in reverse order. Unlike tcx,
// a filter stays when the process ends without Close, and cannot be pinned.
func AttachTC(p *carom.Program, iface string, dir Direction) (*Attachment, error) {
	h := hook{"tcx", []ebpf.ProgramType{ebpf.SchedCLS}}
	target := fmt.Sprintf("interface %s (tcx %s)", iface, dir)
	a, err := h.attach(p, target, func() (attached, error) { return attachTC(p, iface, dir) })
	if err != nil {
		return nil, err
	}
	if other, ok := a.link.(interface{ hook() string }); ok {
		a.target = fmt.Sprintf("interface %s (%s %s)", iface, other.hook(), dir)
	}
	return a, nil
}

// AttachCgroup runs p for the processes of a cgroup, a directory of a cgroup v2 file system, and
// of those below it. What it sees is the attach type that p was loaded with.
func AttachCgroup(p *carom.Program, path string) (*Attachment, error) {
	h := hook{"a cgroup", []ebpf.ProgramType{
		ebpf.CGroupSKB, ebpf.CGroupSock, ebpf.CGroupSockAddr, ebpf.CGroupSockopt, ebpf.CGroupDevice,
		ebpf.CGroupSysctl, ebpf.SockOps,
	}}
	target := "cgroup " + path
	if p != nil {
		target += fmt.Sprintf(" (%s)", p.AttachType())
	}
	return h.attach(p, target, func() (attached, error) { return attachCgroup(p, path) })
}

// AttachUprobe runs p when a thread reaches the place.
func AttachUprobe(p *carom.Program, at Probe) (*Attachment, error) {
	h := hook{"a uprobe", []ebpf.ProgramType{ebpf.Kprobe}}
	return h.attach(p, "uprobe "+at.String(), func() (attached, error) { return attachUprobe(p, at, onEntry) })
}

// AttachUretprobe runs p when the function returns.
func AttachUretprobe(p *carom.Program, at Probe) (*Attachment, error) {
	h := hook{"a uretprobe", []ebpf.ProgramType{ebpf.Kprobe}}
	return h.attach(p, "uretprobe "+at.String(), func() (attached, error) { return attachUprobe(p, at, onReturn) })
}

// AttachKprobe runs p when the kernel enters the function of that name.
func AttachKprobe(p *carom.Program, symbol string) (*Attachment, error) {
	h := hook{"a kprobe", []ebpf.ProgramType{ebpf.Kprobe}}
	return h.attach(p, "kprobe "+symbol, func() (attached, error) { return attachKprobe(p, symbol, onEntry) })
}

// AttachKretprobe runs p when the kernel's function returns.
func AttachKretprobe(p *carom.Program, symbol string) (*Attachment, error) {
	h := hook{"a kretprobe", []ebpf.ProgramType{ebpf.Kprobe}}
	return h.attach(p, "kretprobe "+symbol, func() (attached, error) { return attachKprobe(p, symbol, onReturn) })
}

// AttachTracepoint runs p at a tracepoint such as syscalls, sys_enter_openat.
func AttachTracepoint(p *carom.Program, group, name string) (*Attachment, error) {
	h := hook{"a tracepoint", []ebpf.ProgramType{ebpf.TracePoint}}
	return h.attach(p, "tracepoint "+group+":"+name, func() (attached, error) { return attachTracepoint(p, group, name) })
}

// AttachRawTracepoint runs p at a tracepoint with its arguments as they are.
func AttachRawTracepoint(p *carom.Program, name string) (*Attachment, error) {
	h := hook{"a raw tracepoint", []ebpf.ProgramType{ebpf.RawTracepoint, ebpf.RawTracepointWritable}}
	return h.attach(p, "raw tracepoint "+name, func() (attached, error) { return attachRawTracepoint(p, name) })
}

// moment is when a probe fires.
type moment uint8

const (
	onEntry moment = iota
	onReturn
)
