package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/carom-bpf/carom/kernel"
	"golang.org/x/sys/unix"
)

// newLoopback moves the thread into a new network namespace and sets its lo up. The namespace goes
// with the thread, which stays on its CPU, so that all packets are received there.
func newLoopback() error {
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		return err
	}
	for i := 0; cpus.Count() > 1; i++ {
		cpus.Clear(i)
	}
	if err := unix.SchedSetaffinity(0, &cpus); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// onceAttached is the output of a command that sends traffic when programs are attached, on the
// thread that attached them and writes what their slots hold, and then ends the command.
type onceAttached struct {
	bytes.Buffer
	traffic func(printed string)
}

func (o *onceAttached) Write(b []byte) (int, error) {
	if o.traffic != nil && bytes.Contains(b, []byte("prog_array")) {
		o.traffic(string(b))
		o.traffic = nil
	}
	return o.Buffer.Write(b)
}

// dial sends one packet each to TCP ports of the namespace that nobody listens on.
func dial(ports ...string) {
	for _, port := range ports {
		if c, err := net.DialTimeout("tcp4", "127.0.0.1:"+port, 50*time.Millisecond); err == nil {
			_ = c.Close()
		}
	}
}

// attachLoopback runs carom attach for lo of a new network namespace, calls traffic there with what
// was printed when programs are attached, and returns all that was printed.
func attachLoopback(t *testing.T, traffic func(printed string), args ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it needs root")
	}
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	var out onceAttached
	var errOut bytes.Buffer
	var skip error
	code := exitOK
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread must not be used again
		if skip = newLoopback(); skip != nil {
			return
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out.traffic = func(printed string) {
			traffic(printed)
			cancel()
		}
		all := append([]string{"attach", dispatch, "--xdp", "lo", "--xdp-mode", "generic"}, args...)
		code = run(ctx, all, strings.NewReader(""), &out, &errOut)
	}()
	<-done
	if skip != nil {
		t.Skipf("cannot make a network namespace: %v", skip)
	}
	if code != exitOK || errOut.Len() > 0 {
		t.Fatalf("exit %d: %s", code, &errOut)
	}
	return out.String()
}

// TestAttachCountsEdges: a SYN to each of the ports is one run that makes a tail call. What the
// system answers goes to other ports.
func TestAttachCountsEdges(t *testing.T) {
	out := attachLoopback(t, func(string) { dial("8080", "22", "8080", "80") }, "--count-edges", "--slot", "prog_array[0]=port8080_prog")
	wantLines(t, out,
		"tail calls are counted: what runs is an instrumented copy of each program",
		"tail call taken count",
		"xdp_dispatch -> prog_array[0] -> port8080_prog 2",
		"tail call not taken reason count at source",
		"xdp_dispatch -> prog_array[1] empty slot 1 xdp_dispatch.c:87 bpf_tail_call(ctx, &prog_array…",
	)
	if !strings.HasSuffix(out, ": 2 lines printed, 2 tail calls, 1 not taken\n") {
		t.Errorf("got %s", out)
	}
}

// detached is the last line of carom attach --json.
type detached struct {
	Kind         string
	Instrumented bool
	Counted      *bool `json:"edges_counted"`
	Edges        []edgeCount
	Misses       []edgeCount
	Hops         *uint64 `json:"tail_calls"`
	Missed       *uint64 `json:"not_taken"`
}

func readDetached(t *testing.T, out string) (first, last detached) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for text, v := range map[string]*detached{lines[0]: &first, lines[len(lines)-1]: &last} {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	if first.Kind != "attached" || last.Kind != "detached" {
		t.Fatalf("got %s", out)
	}
	return first, last
}

func TestAttachCountsEdgesJSON(t *testing.T) {
	first, last := readDetached(t, attachLoopback(t, func(string) { dial("22", "8080", "22") }, "--json", "--count-edges", "--slot", "prog_array[1]=port8080_prog"))
	if !first.Instrumented || last.Counted == nil || !*last.Counted || *last.Hops != 2 || *last.Missed != 1 {
		t.Errorf("got %+v, %+v", first, last)
	}
	if len(last.Edges) != 1 || last.Edges[0].To != "port8080_prog" || last.Edges[0].Index != 1 || last.Edges[0].Count != 2 {
		t.Errorf("edges %+v", last.Edges)
	}
	if len(last.Misses) != 1 || last.Misses[0].Reason != "empty slot" || last.Misses[0].Index != 0 || last.Misses[0].Line != 87 {
		t.Errorf("misses %+v", last.Misses)
	}
	first, last = readDetached(t, attachLoopback(t, func(string) { dial("22") }, "--json", "--slot", "prog_array[0]=port8080_prog"))
	if first.Instrumented || last.Counted != nil || last.Edges != nil || last.Hops != nil {
		t.Errorf("counts that nobody asked for: %+v, %+v", first, last)
	}
}

// TestAttachCountsForeign: a program that somebody else puts into a slot is called, and drops.
func TestAttachCountsForeign(t *testing.T) {
	traffic := func(printed string) {
		var slot struct {
			MapID uint32 `json:"map_id"`
		}
		if err := json.Unmarshal([]byte(printed), &slot); err != nil {
			t.Errorf("%v: %s", err, printed)
			return
		}
		code, _, errOut := cli(t, "", "slots", "set", fmt.Sprintf("id:%d[1]=%s:port22_prog", slot.MapID, dispatch))
		if code != exitOK {
			t.Errorf("slots set: %s", errOut)
		}
		dial("22", "8080")
	}
	_, last := readDetached(t, attachLoopback(t, traffic, "--json", "--count-edges", "--slot", "prog_array[0]=port8080_prog"))
	if *last.Hops != 2 || *last.Missed != 0 || len(last.Edges) != 2 {
		t.Fatalf("got %+v", last)
	}
	for _, e := range last.Edges {
		want := map[uint32]*regexp.Regexp{
			0: regexp.MustCompile(`^port8080_prog$`),
			1: regexp.MustCompile(`^port22_prog \(id \d+, not instrumented\)$`),
		}[e.Index]
		if want == nil || !want.MatchString(e.To) || e.Count != 1 {
			t.Errorf("got %+v, want the target %v", e, want)
		}
	}
}
