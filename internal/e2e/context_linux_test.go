package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// newCgroup makes a cgroup, which is gone at the end of the test.
func newCgroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range strings.Split(string(mounts), "\n") {
		f := strings.Fields(m)
		if len(f) < 3 || f[2] != "cgroup2" {
			continue
		}
		dir := filepath.Join(f[1], fmt.Sprintf("carom-e2e-%d", os.Getpid()))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Skipf("cannot make a cgroup: %v", err)
		}
		t.Cleanup(func() {
			// The last process leaves a moment after it was waited for.
			gone(t, dir, func() bool { return os.Remove(dir) == nil || os.IsNotExist(statError(dir)) })
		})
		return dir
	}
	t.Skip("no cgroup v2 file system is mounted")
	return ""
}

func statError(path string) error {
	_, err := os.Stat(path)
	return err
}

// TestContext attaches examples/tail-context to a cgroup; a process in it sends one datagram.
func TestContext(t *testing.T) {
	needKernel(t)
	dir := newCgroup(t)
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	a := attach(t, nil, examples+"tail-context/tail_context.o", "--cgroup", dir)

	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), childEnv+"="+server.LocalAddr().String())
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	pid := child.Process.Pid
	err = os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
	_ = stdin.Close()
	if waited := child.Wait(); err != nil || waited != nil {
		t.Fatalf("the child: %v, %v", err, waited)
	}
	_ = server.SetReadDeadline(time.Now().Add(patience))
	var b [16]byte
	if n, _, err := server.ReadFrom(b[:]); err != nil || string(b[:n]) != "hello" {
		t.Errorf("the datagram did not arrive: %q, %v", b[:n], err)
	}
	a.wait("printed line", func(l line) bool { return l.From == "third_prog" })
	n := 0
	for _, l := range a.stop() {
		if l.Kind != "printk" || l.From == "" { // no name: of a program that is gone, not of ours
			continue
		}
		n++
		if l.Text != "first=11 second=22" || l.From != "third_prog" {
			t.Errorf("got %+v", l)
		}
	}
	if n != 1 {
		t.Errorf("%d lines for one datagram", n)
	}
}
