package e2e

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/kernel"
)

// Counters in the value of the map counts, each of 8 bytes.
const (
	countEntry = iota
	countMiss
	countOld
	countNew
	counters
)

// chainSpec is an XDP program that counts packets, calls slot 0 and counts when that falls through,
// and two targets that count themselves. All let the packet pass.
func chainSpec(t *testing.T) *ebpf.CollectionSpec {
	t.Helper()
	program := func(text string) *ebpf.ProgramSpec {
		insns, err := asm.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return &ebpf.ProgramSpec{Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "GPL", Instructions: insns}
	}
	increment := func(counter int) string {
		return fmt.Sprintf("r1 = map[counts][0]+%d ll\nr2 = 1\nlock *(u64 *)(r1 +0) += r2\n", 8*counter)
	}
	const pass = "r0 = 2\nexit\n"
	return &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{
			"counts": {Name: "counts", Type: ebpf.Array, KeySize: 4, ValueSize: 8 * counters, MaxEntries: 1},
			"chain":  {Name: "chain", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		},
		Programs: map[string]*ebpf.ProgramSpec{
			"entry": program("r6 = r1\n" + increment(countEntry) +
				"r1 = r6\nr2 = map[chain] ll\nr3 = 0\ncall bpf_tail_call\n" + increment(countMiss) + pass),
			"old": program(increment(countOld) + pass),
			"new": program(increment(countNew) + pass),
		},
	}
}

func loadKernel(t *testing.T, spec *ebpf.CollectionSpec) *carom.Collection {
	t.Helper()
	coll, err := carom.NewCollection(spec, &carom.Options{Engine: kernel.Engine(kernel.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := coll.Close(); err != nil {
			t.Error(err)
		}
	})
	return coll
}

func readCounts(t *testing.T, coll *carom.Collection) (c [counters]uint64) {
	t.Helper()
	var b []byte
	if err := coll.Maps["counts"].Lookup(uint32(0), &b); err != nil {
		t.Fatal(err)
	}
	for i := range c {
		c[i] = binary.NativeEndian.Uint64(b[8*i:])
	}
	return c
}

// flood sends datagrams to the server until stop is closed.
func (w *wire) flood(t *testing.T, stop <-chan struct{}) (done <-chan struct{}) {
	t.Helper()
	var conn net.Conn
	within(t, w.client, func() (err error) {
		conn, err = net.Dial("udp4", serverAddr+":9")
		return err
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer conn.Close()
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = conn.Write([]byte("packet")) // nobody listens, so some report that
			}
		}
	}()
	return ended
}

// TestReplaceUnderTraffic replaces the program in a slot while packets arrive: each of them meets
// the old or the new program, and none an empty slot.
func TestReplaceUnderTraffic(t *testing.T) {
	needKernel(t)
	w := newWire(t)
	coll := loadKernel(t, chainSpec(t))
	chain := coll.Maps["chain"]
	var link *kernel.Attachment
	within(t, w.server, func() (err error) {
		link, err = kernel.AttachXDP(coll.Programs["entry"], w.serverIface, kernel.XDPNative)
		return err
	})
	defer func() {
		if err := link.Close(); err != nil {
			t.Error(err)
		}
	}()
	stop := make(chan struct{})
	done := w.flood(t, stop)
	ended := false
	end := func() {
		if !ended {
			ended = true
			close(stop)
			<-done
		}
	}
	defer end()

	// The counter of misses works: the slot is empty so far.
	gone(t, "silence on an empty slot", func() bool { return readCounts(t, coll)[countMiss] > 0 })
	if c := readCounts(t, coll); c[countOld]+c[countNew] != 0 {
		t.Fatalf("a program ran from an empty slot: %v", c)
	}
	put := func(name string) {
		if err := chain.Put(uint32(0), coll.Programs[name]); err != nil {
			t.Fatal(err)
		}
	}
	put("old")
	// A packet that read the empty slot before counts its miss soon after.
	before := readCounts(t, coll)
	gone(t, "silence on a full slot", func() bool { return readCounts(t, coll)[countOld] > before[countOld]+100 })

	before = readCounts(t, coll)
	replaced := 0
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline) || replaced < 1000; replaced += 2 {
		put("new")
		put("old")
	}
	after := readCounts(t, coll)
	t.Logf("%d replacements, %d packets, %d to the old program, %d to the new one", replaced,
		after[countEntry]-before[countEntry], after[countOld]-before[countOld], after[countNew]-before[countNew])
	if missed := after[countMiss] - before[countMiss]; missed != 0 {
		t.Errorf("%d packets found the slot empty", missed)
	}
	for _, c := range []int{countOld, countNew} {
		if after[c] == before[c] {
			t.Errorf("one of the two programs never ran: %v, %v", before, after)
		}
	}
	end()
	// Nothing is under way any more: every packet is accounted for.
	if err := link.Close(); err != nil {
		t.Error(err)
	}
	if c := readCounts(t, coll); c[countEntry] != c[countMiss]+c[countOld]+c[countNew] {
		t.Errorf("packets are not accounted for: %v", c)
	}
}

// newBPFFS mounts a bpffs, which is gone at the end of the test.
func newBPFFS(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("bpffs", dir, "bpf", 0, ""); err != nil {
		t.Skipf("cannot mount a bpffs: %v", err)
	}
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		// Linux puts its own files there, maps.debug and progs.debug (CONFIG_BPF_PRELOAD).
		left = slices.DeleteFunc(left, func(e os.DirEntry) bool { return filepath.Ext(e.Name()) == ".debug" })
		if err != nil || len(left) > 0 {
			t.Errorf("pins are left: %v, %v", left, err)
		}
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestSlotsLiveAsLongAsTheirMap: programs do not keep what their PROG_ARRAY holds, only handles and
// pins of the map do (kernel/bpf/syscall.c, bpf_map_put_uref).
func TestSlotsLiveAsLongAsTheirMap(t *testing.T) {
	needKernel(t)
	for _, pinned := range []bool{false, true} {
		t.Run(map[bool]string{false: "closed", true: "pinned"}[pinned], func(t *testing.T) {
			pin := filepath.Join(newBPFFS(t), "chain")
			coll := loadKernel(t, chainSpec(t))
			chain, entry := coll.Maps["chain"], coll.Programs["entry"]
			if err := chain.Put(uint32(0), coll.Programs["old"]); err != nil {
				t.Fatal(err)
			}
			packet := make([]byte, 64)
			// missed runs the entry once and says whether its call fell through.
			missed := func() bool {
				before := readCounts(t, coll)
				if _, _, err := entry.Test(packet); err != nil {
					t.Fatal(err)
				}
				after := readCounts(t, coll)
				return after[countMiss] > before[countMiss]
			}
			if missed() {
				t.Fatal("the slot is empty")
			}
			if pinned {
				if err := chain.Pin(pin); err != nil {
					t.Fatal(err)
				}
			}
			if err := chain.Close(); err != nil {
				t.Fatal(err)
			}
			if pinned {
				// Slots are cleared by a worker, within a millisecond.
				time.Sleep(50 * time.Millisecond)
				for range 100 {
					if missed() {
						t.Fatal("the pin did not keep the slots")
					}
				}
				if err := os.Remove(pin); err != nil {
					t.Fatal(err)
				}
			}
			gone(t, "a program in the slot", missed)
		})
	}
}
