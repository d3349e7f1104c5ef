package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom/kernel"
)

// childArgs holds the arguments of a carom that the test binary, started again, is.
const childArgs = "CAROM_TEST_ARGS"

// TestChild is not a test: it is carom in a process of its own.
func TestChild(t *testing.T) {
	args := os.Getenv(childArgs)
	if args == "" {
		t.Skip("it serves other tests")
	}
	os.Exit(run(t.Context(), strings.Split(args, "\n"), os.Stdin, os.Stdout, os.Stderr))
}

// child runs carom in a process of its own, in the network namespace of the thread.
func child(args ...string) (out, errOut string, err error) {
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestChild$")
	cmd.Env = append(os.Environ(), childArgs+"="+strings.Join(args, "\n"))
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// onLoopback calls f on a thread in a new network namespace with lo up.
func onLoopback(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it needs root")
	}
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	failed := make(chan error)
	go func() {
		defer close(failed)
		runtime.LockOSThread() // and never unlocked
		if err := newLoopback(); err != nil {
			failed <- err
			return
		}
		f()
	}()
	if err := <-failed; err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
}

// refused says whether the namespace answers that nobody listens, that is, whether packets arrive.
// It waits up to a time for the answer that is expected.
func refused(port string, wait time.Duration) bool {
	c, err := net.DialTimeout("tcp4", "127.0.0.1:"+port, wait)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

func mountBPFFS(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := unix.Mount("bpffs", root, "bpf", 0, ""); err != nil {
		t.Skipf("cannot mount a bpffs: %v", err)
	}
	t.Cleanup(func() {
		if left := pinsIn(t, root); len(left) > 0 {
			t.Errorf("left on bpffs: %v", left)
		}
		if err := unix.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	})
	return root
}

// TestAttachPin: the chain works after carom has ended, and is gone when its files are removed.
func TestAttachPin(t *testing.T) {
	onLoopback(t, func() {
		root := mountBPFFS(t)
		dir := filepath.Join(root, "dispatch")
		out, errOut, err := child("attach", dispatch, "--xdp", "lo", "--xdp-mode", "generic",
			"--slot", "prog_array[1]=port22_prog", "--pin", dir, "--duration", "10ms")
		if err != nil || errOut != "" {
			t.Errorf("%v: %s", err, errOut)
			return
		}
		wantLines(t, out, "pinned in "+dir+", it stays when carom ends; rm -r "+dir+"/links "+dir+" takes it off",
			"leaving it after 10ms, or with Ctrl-C")
		if !strings.Contains(out, "\nstill attached after ") {
			t.Errorf("got %s", out)
		}
		if refused("22", 200*time.Millisecond) {
			t.Error("packets to port 22 are not dropped: the array is empty")
		}
		if !refused("80", 10*time.Second) {
			t.Error("packets to port 80 are dropped")
		}
		checkPinnedSlot(t, filepath.Join(dir, "prog_array"), filepath.Join(dir, "port22_prog"))
		// The same again fails without any change.
		before := pinsIn(t, root)
		_, errOut, err = child("attach", dispatch, "--xdp", "lo", "--slot", "prog_array[1]=port22_prog", "--pin", dir, "--duration", "10ms")
		if err == nil || !strings.Contains(errOut, "a file of that name is there") {
			t.Errorf("pinned twice: %v: %s", err, errOut)
		}
		if after := pinsIn(t, root); strings.Join(after, " ") != strings.Join(before, " ") {
			t.Errorf("there are %v, were %v", after, before)
		}
		if out, err := exec.Command("rm", "-r", filepath.Join(dir, "links"), dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		for end := time.Now().Add(10 * time.Second); !refused("22", 200*time.Millisecond); {
			if time.Now().After(end) {
				t.Error("the program is still attached")
				return
			}
		}
	})
}

func checkPinnedSlot(t *testing.T, array, program string) {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(array, nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer m.Close()
	p, err := ebpf.LoadPinnedProgram(program, nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		t.Error(err)
		return
	}
	id, _ := info.ID()
	var have uint32
	if err := m.Lookup(uint32(1), &have); err != nil || ebpf.ProgramID(have) != id {
		t.Errorf("slot 1 holds %d (%v), want %d", have, err, id)
	}
}

// TestAttachPinFails: what cannot be pinned is not attached either.
func TestAttachPinFails(t *testing.T) {
	onLoopback(t, func() {
		root := mountBPFFS(t)
		for _, c := range []struct {
			args []string
			want string
		}{
			{[]string{"--xdp", "lo", "--pin", t.TempDir()}, "mount -t bpf bpf /sys/fs/bpf"},
			{[]string{"--xdp", "carom-none", "--pin", filepath.Join(root, "x")}, "no such interface"},
		} {
			code, _, errOut := cli(t, "", append([]string{"attach", dispatch, "--prog", "xdp_dispatch"}, c.args...)...)
			if code != exitFailed || !strings.Contains(errOut, c.want) || strings.Count(errOut, "\n") != 1 {
				t.Errorf("%v: exit %d, %s", c.args, code, errOut)
			}
			if left := pinsIn(t, root); len(left) > 0 {
				t.Errorf("%v: left %v", c.args, left)
			}
		}
		if !refused("22", 10*time.Second) {
			t.Error("something is attached")
		}
	})
}

// TestAttachPinAll: with probes, every kind of link is pinned, and two places of one program.
func TestAttachPinAll(t *testing.T) {
	if _, err := os.Stat("/bin/bash"); err != nil {
		t.Skip("no bash with the function readline")
	}
	onLoopback(t, func() {
		root := mountBPFFS(t)
		dir := filepath.Join(root, "deep", "er")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var out, errOut bytes.Buffer
		code := run(ctx, []string{"attach", examples + "readline/readline.o", "--prog", "readline_return",
			"--uprobe", "/bin/bash:readline", "--uretprobe", "/bin/bash:readline",
			"--pin", dir, "--duration", "1ms"}, strings.NewReader(""), &out, &errOut)
		if code != exitOK || errOut.Len() > 0 {
			t.Errorf("exit %d: %s", code, &errOut)
		}
		for _, name := range []string{"readline_return", "readline_return-2"} {
			if _, err := os.Stat(filepath.Join(dir, "links", name)); err != nil {
				t.Error(err)
			}
		}
		if err := os.RemoveAll(filepath.Join(root, "deep")); err != nil {
			t.Error(err)
		}
	})
}

func pinsIn(t *testing.T, dir string) []string {
	t.Helper()
	names, err := pinned(dir)
	if err != nil {
		t.Error(err)
	}
	return names
}
