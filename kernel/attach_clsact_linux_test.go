package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/isa/asm"
)

// withVeth calls f on a thread with a network namespace of its own, in which the interfaces a and b
// are joined. The namespace ends with the thread.
func withVeth(t *testing.T, f func(a, b netlink.Link)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it needs root")
	}
	if err := available(); err != nil {
		t.Skip(err)
	}
	done := make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		attrs := netlink.NewLinkAttrs() // with no length of queue, which Linux warns of when it is 0
		attrs.Name = "a"
		veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "b", PeerTxQLen: attrs.TxQLen}
		if err := netlink.LinkAdd(veth); err != nil {
			done <- err
			return
		}
		var links []netlink.Link
		for _, name := range []string{"a", "b"} {
			l, err := netlink.LinkByName(name)
			if err == nil {
				err = netlink.LinkSetUp(l)
			}
			if err != nil {
				t.Error(err)
				return
			}
			links = append(links, l)
		}
		if err := errors.Join(carries(t, links[0], links[1]), carries(t, links[1], links[0])); err != nil {
			t.Error(err)
			return
		}
		f(links[0], links[1])
	}()
	if err := <-done; err != nil {
		t.Skipf("cannot make a namespace with a veth pair: %v", err)
	}
}

// etherType is one for experiments (IEEE 802).
const etherType = 0x88b5

// send puts a frame on an interface.
func send(t *testing.T, l netlink.Link) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer unix.Close(fd)
	frame := make([]byte, 60)
	copy(frame, net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	binary.BigEndian.PutUint16(frame[12:], etherType)
	if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index, Halen: 6}); err != nil {
		t.Error(err)
	}
}

// carries waits until frames get from one interface to the other: Linux drops them until it has taken
// note, a while after both are up, that there is a carrier.
func carries(t *testing.T, from, to netlink.Link) error {
	t.Helper()
	network := uint16(etherType>>8 | etherType&0xff<<8)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(network))
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: network, Ifindex: to.Attrs().Index}); err != nil {
		return err
	}
	wait := unix.NsecToTimeval(int64(50 * time.Millisecond))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return err
	}
	buf := make([]byte, 128)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		send(t, from)
		if _, err := unix.Read(fd, buf); err == nil {
			return nil
		}
	}
	return fmt.Errorf("no frame gets from %s to %s", from.Attrs().Name, to.Attrs().Name)
}

// countFrames are programs that count frames of etherType, each in its own element of hits, and
// leave the verdict to the next filter (TC_ACT_UNSPEC).
func countFrames(t *testing.T) *carom.Collection {
	t.Helper()
	spec := &ebpf.CollectionSpec{
		Maps:     map[string]*ebpf.MapSpec{"hits": {Name: "hits", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2}},
		Programs: map[string]*ebpf.ProgramSpec{},
	}
	for name, i := range map[string]string{"first": "0", "second": "1"} {
		insns, err := asm.Parse(`
			w1 = *(u32 *)(r1 +16)
			if w1 != 0xb588 goto out
			*(u32 *)(r10 -4) = ` + i + `
			r2 = r10
			r2 += -4
			r1 = map[hits] ll
			call bpf_map_lookup_elem
			if r0 == 0 goto out
			r1 = 1
			lock *(u64 *)(r0 +0) += r1
		out:
			r0 = -1
			exit`)
		if err != nil {
			t.Fatal(err)
		}
		spec.Programs[name] = &ebpf.ProgramSpec{Name: name, Type: ebpf.SchedCLS, License: "GPL", Instructions: insns}
	}
	coll, err := carom.NewCollection(spec, &carom.Options{Engine: Engine(Options{})})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { _ = coll.Close() })
	return coll
}

// arrived waits until the counters have the values that are expected.
func arrived(t *testing.T, coll *carom.Collection, want ...uint64) {
	t.Helper()
	got := make([]uint64, len(want))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		for i := range got {
			if err := coll.Maps["hits"].Lookup(uint32(i), &got[i]); err != nil {
				t.Error(err)
				return
			}
		}
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(end) {
			t.Errorf("programs saw %d frames, want %d", got, want)
			return
		}
	}
}

func hasClsact(t *testing.T, l netlink.Link) bool {
	t.Helper()
	all, err := netlink.QdiscList(l)
	if err != nil {
		t.Error(err)
	}
	return slices.ContainsFunc(all, func(q netlink.Qdisc) bool { return q.Type() == "clsact" })
}

// TestClsact: the way of kernels without tcx, on the same interfaces.
func TestClsact(t *testing.T) {
	withVeth(t, func(a, b netlink.Link) {
		coll := countFrames(t)
		in, err := attachClsact(coll.Programs["first"], b.Attrs().Index, Ingress)
		if err != nil {
			t.Error(err)
			return
		}
		out, err := attachClsact(coll.Programs["second"], a.Attrs().Index, Egress)
		if err != nil {
			t.Error(err)
			return
		}
		send(t, a)
		arrived(t, coll, 1, 1)
		send(t, b) // the other way: neither sees it
		if err := in.update(coll.Programs["second"]); err != nil {
			t.Error(err)
		}
		send(t, a)
		arrived(t, coll, 1, 3)
		if err := in.pin("/sys/fs/bpf/x"); !errors.Is(err, carom.ErrUnsupported) {
			t.Errorf("pin: %v", err)
		}
		// Close works from any thread, whatever its network namespace is.
		closed := make(chan error)
		go func() { closed <- errors.Join(in.Close(), out.Close(), in.Close()) }()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		send(t, a)
		arrived(t, coll, 1, 3)
		if hasClsact(t, a) || hasClsact(t, b) {
			t.Error("the qdisc is left")
		}
		if err := in.update(coll.Programs["first"]); err == nil {
			t.Error("updated after Close")
		}
	})
}

// TestClsactOfOthers: what others have on the interface stays.
func TestClsactOfOthers(t *testing.T) {
	withVeth(t, func(a, b netlink.Link) {
		coll := countFrames(t)
		index := b.Attrs().Index
		// Ours first, theirs later: the qdisc stays for them.
		ours, err := attachClsact(coll.Programs["first"], index, Ingress)
		if err != nil {
			t.Error(err)
			return
		}
		theirs := &netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 7},
			Fd:          coll.Programs["second"].FD(), Name: "theirs", DirectAction: true,
		}
		if err := netlink.FilterAdd(theirs); err != nil {
			t.Error(err)
		}
		send(t, a)
		arrived(t, coll, 1, 1)
		if err := ours.Close(); err != nil {
			t.Error(err)
		}
		send(t, a)
		arrived(t, coll, 1, 2)
		if !hasClsact(t, b) {
			t.Error("the qdisc of others is gone")
		}
		// Theirs first: a priority of our own, and the qdisc is not ours.
		theirs.Priority = 1
		if err := netlink.FilterAdd(theirs); err != nil {
			t.Error(err)
		}
		if ours, err = attachClsact(coll.Programs["first"], index, Ingress); err != nil {
			t.Error(err)
			return
		}
		send(t, a)
		arrived(t, coll, 2, 4)
		for _, priority := range []uint16{1, 7} {
			theirs.Priority = priority
			if err := netlink.FilterDel(theirs); err != nil {
				t.Error(err)
			}
		}
		if err := ours.Close(); err != nil {
			t.Error(err)
		}
		if !hasClsact(t, b) {
			t.Error("the qdisc of others is gone")
		}
		// Somebody replaced our filter: it is theirs now, and the interface goes before Close.
		if ours, err = attachClsact(coll.Programs["first"], index, Ingress); err != nil {
			t.Error(err)
			return
		}
		theirs.Priority = ours.(*tcFilter).filter.Priority
		if err := netlink.FilterReplace(theirs); err != nil {
			t.Error(err)
		}
		if err := ours.update(coll.Programs["first"]); !errors.Is(err, unix.ENOENT) {
			t.Errorf("updated a filter of others: %v", err)
		}
		if err := ours.Close(); err != nil {
			t.Error(err)
		}
		send(t, a)
		arrived(t, coll, 2, 5)
		last, err := attachClsact(coll.Programs["first"], index, Ingress)
		if err != nil {
			t.Error(err)
			return
		}
		if err := errors.Join(netlink.LinkDel(b), last.Close()); err != nil {
			t.Errorf("close without interface: %v", err)
		}
	})
}

// TestClsactRefused: nothing is left when a filter cannot be added.
func TestClsactRefused(t *testing.T) {
	withVeth(t, func(a, b netlink.Link) {
		spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{}}
		insns, err := asm.Parse("r0 = 0\nexit")
		if err != nil {
			t.Error(err)
			return
		}
		spec.Programs["x"] = &ebpf.ProgramSpec{Name: "x", Type: ebpf.XDP, License: "GPL", Instructions: insns}
		coll, err := carom.NewCollection(spec, &carom.Options{Engine: Engine(Options{})})
		if err != nil {
			t.Error(err)
			return
		}
		defer coll.Close()
		if _, err := attachClsact(coll.Programs["x"], a.Attrs().Index, Ingress); err == nil {
			t.Error("an XDP program was taken as a filter")
		}
		if hasClsact(t, a) {
			t.Error("the qdisc is left")
		}
		ingress := &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: b.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS}}
		if err := netlink.QdiscAdd(ingress); err != nil {
			t.Error(err)
			return
		}
		cls := countFrames(t)
		if _, err := attachClsact(cls.Programs["first"], b.Attrs().Index, Egress); !errors.Is(err, unix.EEXIST) {
			t.Errorf("egress with the qdisc ingress: %v", err)
		}
		in, err := attachClsact(cls.Programs["first"], b.Attrs().Index, Ingress)
		if err != nil {
			t.Error(err)
			return
		}
		send(t, a)
		arrived(t, cls, 1, 0)
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
}
