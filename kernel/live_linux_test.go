package kernel_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
	"github.com/carom-bpf/carom/kernel/tracefs"
)

// twoArrays has an entry that calls slot 2 of first, where middle calls slot 1 of second, where the
// last program is.
func twoArrays(t *testing.T, kind ebpf.ProgramType, at ebpf.AttachType) *carom.Collection {
	t.Helper()
	array := func(name string) *ebpf.MapSpec {
		return &ebpf.MapSpec{Name: name, Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 4}
	}
	calling := func(array string, index int) *ebpf.ProgramSpec {
		return program(t, kind, fmt.Sprintf("r2 = map[%s] ll\nr3 = %d\ncall bpf_tail_call\nr0 = 1\nexit", array, index))
	}
	spec := &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{"first": array("first"), "second": array("second")},
		Programs: map[string]*ebpf.ProgramSpec{
			"entry": calling("first", 2), "middle": calling("second", 1), "last": program(t, kind, "r0 = 1\nexit"),
		},
	}
	for name, p := range spec.Programs {
		p.Name, p.AttachType = name, at
	}
	coll := load(t, spec, carom.Options{})
	for _, s := range []struct {
		array string
		index uint32
		prog  string
	}{{"first", 2, "middle"}, {"second", 1, "last"}} {
		if err := coll.Maps[s.array].Put(s.index, coll.Programs[s.prog]); err != nil {
			t.Fatal(err)
		}
	}
	return coll
}

// wantReached checks that the entry is attached at the place and gets to both arrays.
func wantReached(t *testing.T, coll *carom.Collection, want kernel.Place) {
	t.Helper()
	live, err := kernel.Look()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := live.Close(); err != nil {
			t.Error(err)
		}
	}()
	for name, via := range map[string][]kernel.Hop{
		"first":  nil,
		"second": {{Array: coll.Maps["first"].ID(), Name: "first", Index: 2}},
	} {
		a, err := live.Open(coll.Maps[name].ID())
		if err != nil {
			t.Fatal(err)
		}
		info, err := live.Info(a)
		if err != nil {
			t.Fatal(err)
		}
		if len(info.Reached) != 1 || info.Reached[0].Entry.ID != coll.Programs["entry"].ID() || !slices.Equal(info.Reached[0].Via, via) ||
			!slices.Equal(info.Reached[0].Entry.Attached, []kernel.Place{want}) {
			t.Errorf("%s is reached from %+v, want %+v via %v", name, info.Reached, want, via)
		}
	}
}

// attribute is one of netlink's.
func attribute(kind uint16, data []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(data)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), data...)
	return append(b, make([]byte, -len(b)&3)...)
}

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// rtnetlink sends one request and waits for the acknowledgement.
func rtnetlink(t *testing.T, request, flags uint16, parts ...[]byte) {
	t.Helper()
	if err := tryRtnetlink(request, flags, parts...); err != nil {
		t.Errorf("rtnetlink request %d: %v", request, err)
	}
}

func tryRtnetlink(request, flags uint16, parts ...[]byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	body := slices.Concat(parts...)
	msg := u32(uint32(unix.SizeofNlMsghdr + len(body)))
	msg = binary.NativeEndian.AppendUint16(msg, request)
	msg = binary.NativeEndian.AppendUint16(msg, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	msg = append(append(msg, make([]byte, 8)...), body...)
	answer := make([]byte, 4096)
	err = unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	if err == nil {
		_, _, err = unix.Recvfrom(fd, answer, 0)
	}
	if errno := -int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	return err
}

// setXDP attaches a program to lo, in generic mode, as ip link does. -1 detaches it.
func setXDP(t *testing.T, fd int) {
	t.Helper()
	info := slices.Concat(make([]byte, 4), u32(1), make([]byte, 8)) // struct ifinfomsg; lo is 1
	xdp := slices.Concat(attribute(unix.IFLA_XDP_FD, u32(uint32(fd))), attribute(unix.IFLA_XDP_FLAGS, u32(unix.XDP_FLAGS_SKB_MODE)))
	rtnetlink(t, unix.RTM_SETLINK, 0, info, attribute(unix.IFLA_XDP|unix.NLA_F_NESTED, xdp))
}

const (
	create     = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	everything = 0x0300 // ETH_P_ALL in network order
)

// tcMessage is a struct tcmsg for lo.
func tcMessage(handle, parent, info uint32) []byte {
	return slices.Concat(make([]byte, 4), u32(1), u32(handle), u32(parent), u32(info))
}

// setAction has a filter of lo's egress run a program as its action. The qdisc is setFilter's.
func setAction(fd int) error {
	parms := slices.Concat(u32(0), u32(0), u32(0), u32(0), u32(0)) // struct tc_act_bpf
	// TCA_ACT_BPF_PARMS, FD and NAME in TCA_ACT_OPTIONS, in the first action of TCA_MATCHALL_ACT
	bpf := slices.Concat(attribute(2, parms), attribute(5, u32(uint32(fd))), attribute(6, []byte("entry\x00")))
	action := slices.Concat(attribute(1, []byte("bpf\x00")), attribute(2|unix.NLA_F_NESTED, bpf))
	options := attribute(2|unix.NLA_F_NESTED, attribute(1|unix.NLA_F_NESTED, action))
	return tryRtnetlink(unix.RTM_NEWTFILTER, create, tcMessage(1, 0xfffffff3, 8<<16|everything),
		attribute(unix.TCA_KIND, []byte("matchall\x00")), attribute(unix.TCA_OPTIONS|unix.NLA_F_NESTED, options))
}

// setFilter attaches a program to lo's ingress, as tc filter does.
func setFilter(t *testing.T, fd int) {
	t.Helper()
	rtnetlink(t, unix.RTM_NEWQDISC, create, tcMessage(0xffff0000, 0xfffffff1, 0), attribute(unix.TCA_KIND, []byte("clsact\x00")))
	const all = 0x0300                                                                                               // ETH_P_ALL in network order
	options := slices.Concat(attribute(6, u32(uint32(fd))), attribute(7, []byte("entry\x00")), attribute(8, u32(1))) // TCA_BPF_FD, NAME, FLAGS
	rtnetlink(t, unix.RTM_NEWTFILTER, create, tcMessage(1, 0xfffffff2, 7<<16|everything),
		attribute(unix.TCA_KIND, []byte("bpf\x00")), attribute(unix.TCA_OPTIONS, options))
}

// TestReachedFromInterfaces: attachments by netlink and by links, seen from the namespace itself
// and from another one.
func TestReachedFromInterfaces(t *testing.T) {
	xdp := twoArrays(t, ebpf.XDP, ebpf.AttachXDP)
	filter := twoArrays(t, ebpf.SchedCLS, ebpf.AttachNone)
	action := twoArrays(t, ebpf.SchedACT, ebpf.AttachNone)
	tcx := twoArrays(t, ebpf.SchedCLS, ebpf.AttachTCXEgress)
	inNamespace(t, func() {
		setXDP(t, xdp.Programs["entry"].FD())
		wantReached(t, xdp, kernel.Place{Hook: "xdp", Target: "lo", By: "by netlink"})
		other := make(chan struct{})
		go func() { // on another thread, in the namespace of the test
			defer close(other)
			comm, _ := os.ReadFile("/proc/self/comm")
			in := fmt.Sprintf("lo in netns of %s (pid %d)", strings.TrimSpace(string(comm)), os.Getpid())
			wantReached(t, xdp, kernel.Place{Hook: "xdp", Target: in, By: "by netlink"})
		}()
		<-other
		setXDP(t, -1)
		l, err := kernel.AttachXDP(xdp.Programs["entry"], "lo", kernel.XDPGeneric)
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		wantReached(t, xdp, kernel.Place{Hook: "xdp", Target: "lo", Link: linkOf(t, xdp.Programs["entry"])})

		setFilter(t, filter.Programs["entry"].FD())
		wantReached(t, filter, kernel.Place{Hook: "tc ingress", Target: "lo", By: "tc filter bpf pref 7 handle 0x1"})

		// Not every kernel has matchall and act_bpf.
		if err := setAction(action.Programs["entry"].FD()); err == nil {
			wantReached(t, action, kernel.Place{Hook: "tc egress", Target: "lo", By: "tc filter matchall pref 8 handle 0x1 action bpf"})
		} else if !errors.Is(err, unix.ENOENT) {
			t.Errorf("filter with an action: %v", err)
		} else {
			t.Log("no filter with an action:", err)
		}

		attachRaw(t, tcx.Programs["entry"], 1, ebpf.AttachTCXEgress)
		wantReached(t, tcx, kernel.Place{Hook: "TCXEgress", Target: "lo", By: "no link"})
	})
}

// linkOf is the id of the link that attaches a program.
func linkOf(t *testing.T, p *carom.Program) link.ID {
	t.Helper()
	links := new(link.Iterator)
	defer links.Close()
	for links.Next() {
		if info, err := links.Link.Info(); err == nil && info.Program == p.ID() {
			return info.ID
		}
	}
	t.Errorf("no link attaches %s", p.Name())
	return 0
}

// attachRaw attaches with BPF_PROG_ATTACH until the test ends.
func attachRaw(t *testing.T, p *carom.Program, target int, at ebpf.AttachType) {
	t.Helper()
	prog, err := ebpf.NewProgramFromID(p.ID())
	if err != nil {
		t.Error(err)
		return
	}
	defer prog.Close()
	if err := link.RawAttachProgram(link.RawAttachProgramOptions{Target: target, Program: prog, Attach: at}); err != nil {
		t.Error(err)
	}
}

// TestReachedFromCgroup: attachments with and without a link to cgroups of the test.
func TestReachedFromCgroup(t *testing.T) {
	coll := twoArrays(t, ebpf.CGroupSKB, ebpf.AttachCGroupInetEgress)
	root := t.TempDir()
	if err := unix.Mount("none", root, "cgroup2", 0, ""); err != nil {
		t.Skipf("cannot mount a cgroup2: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	})
	dir, err := os.MkdirTemp(root, "carom-test-")
	if err != nil {
		t.Skipf("cannot make a cgroup: %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	// The hierarchy may be mounted elsewhere, too; the first mount names the cgroup.
	seen := firstMount(t, "cgroup2") + "/" + filepath.Base(dir)
	l, err := kernel.AttachCgroup(coll.Programs["entry"], dir)
	if err != nil {
		t.Fatal(err)
	}
	wantReached(t, coll, kernel.Place{Hook: "CGroupInetEgress", Target: seen, Link: linkOf(t, coll.Programs["entry"])})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	attachRaw(t, coll.Programs["entry"], fd, ebpf.AttachCGroupInetEgress)
	wantReached(t, coll, kernel.Place{Hook: "CGroupInetEgress", Target: seen, By: "no link"})
}

func firstMount(t *testing.T, kind string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, " - "+kind+" ") {
			return strings.Fields(line)[4]
		}
	}
	t.Fatalf("no mount of %s", kind)
	return ""
}

// TestReachedFromPerfEvents: programs on perf events that have no link.
func TestReachedFromPerfEvents(t *testing.T) {
	needKernel(t)
	file := filepath.Join(t.TempDir(), "probed")
	if err := os.WriteFile(file, make([]byte, 8192), 0o755); err != nil {
		t.Fatal(err)
	}
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	by := fmt.Sprintf("perf event of %s (pid %d)", strings.TrimSpace(string(comm)), os.Getpid())

	id, err := tracefs.EventID("sched", "sched_process_fork")
	if err != nil {
		t.Skip(err)
	}
	tracepoint := twoArrays(t, ebpf.TracePoint, ebpf.AttachNone)
	onEvent(t, tracepoint.Programs["entry"], &unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Sample: 1, Wakeup: 1})
	wantReached(t, tracepoint, kernel.Place{Hook: "tracepoint", Target: "sched_process_fork", By: by})

	text, err := os.ReadFile("/sys/bus/event_source/devices/uprobe/type")
	if err != nil {
		t.Skip(err)
	}
	kind, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	path, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(path) }()
	copy(path, file)
	uprobe := twoArrays(t, ebpf.Kprobe, ebpf.AttachNone)
	onEvent(t, uprobe.Programs["entry"], &unix.PerfEventAttr{Type: uint32(kind), Ext1: uint64(reflect.ValueOf(path).Pointer()), Ext2: 0x100})
	wantReached(t, uprobe, kernel.Place{Hook: "uprobe", Target: file + "+0x100", By: by})
}

// onEvent sets the program of a perf event that lasts until the test ends.
func onEvent(t *testing.T, p *carom.Program, attr *unix.PerfEventAttr) {
	t.Helper()
	attr.Size = uint32(reflect.TypeFor[unix.PerfEventAttr]().Size())
	event, err := unix.PerfEventOpen(attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		t.Skipf("perf_event_open: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(event) })
	if err := unix.IoctlSetInt(event, unix.PERF_EVENT_IOC_SET_BPF, p.FD()); err != nil {
		t.Fatal(err)
	}
}

// TestOneArray: a name that several arrays in use have chooses none, one that a single one has does,
// whatever is left over of others.
func TestOneArray(t *testing.T) {
	needKernel(t)
	spec := func(name string) *ebpf.CollectionSpec {
		user := program(t, ebpf.XDP, "r2 = map["+name+"] ll\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit")
		user.Name = "user"
		return &ebpf.CollectionSpec{
			Maps:     map[string]*ebpf.MapSpec{name: {Name: name, Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
			Programs: map[string]*ebpf.ProgramSpec{"user": user},
		}
	}
	name := fmt.Sprintf("one%d", os.Getpid())
	first := load(t, spec(name), carom.Options{})
	one := func() (ebpf.MapID, error) {
		live, err := kernel.Look()
		if err != nil {
			t.Fatal(err)
		}
		defer live.Close()
		a, err := live.One(name)
		if err != nil {
			return 0, err
		}
		return a.ID(), nil
	}
	if id, err := one(); err != nil || id != first.Maps[name].ID() {
		t.Errorf("array %d (%v), want %d", id, err, first.Maps[name].ID())
	}
	second := load(t, spec(name), carom.Options{})
	_, err := one()
	var ambiguous *kernel.AmbiguousArrayError
	if !errors.As(err, &ambiguous) || len(ambiguous.Candidates) != 2 || !ambiguous.InUse {
		t.Fatalf("two arrays in use: %v", err)
	}
	for i, coll := range []*carom.Collection{first, second} {
		c := ambiguous.Candidates[i]
		if c.ID != coll.Maps[name].ID() || len(c.Users) != 1 || !strings.Contains(err.Error(), fmt.Sprintf("id:%d, used by user (id %d)", c.ID, c.Users[0].ID)) {
			t.Errorf("candidate %+v in %v", c, err)
		}
	}
	name = "carom-none"
	if _, err := one(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no array: %v", err)
	}
}
