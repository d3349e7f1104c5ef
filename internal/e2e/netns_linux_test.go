package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Addresses in the namespaces, of a range that is for tests (RFC 5737).
const (
	clientAddr = "192.0.2.1"
	serverAddr = "192.0.2.2"
)

// wire is two network namespaces joined by a veth pair.
type wire struct {
	client, server           string // namespaces
	clientIface, serverIface string
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// newWire makes the namespaces; the interfaces are never in that of the machine. At the end of the
// test they are gone, which is checked.
func newWire(t *testing.T) *wire {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("ip of iproute2 is not installed")
	}
	pid := os.Getpid()
	w := &wire{
		client: fmt.Sprintf("carom-e2e-%d-client", pid), server: fmt.Sprintf("carom-e2e-%d-server", pid),
		clientIface: fmt.Sprintf("cc%d", pid), serverIface: fmt.Sprintf("cs%d", pid),
	}
	t.Cleanup(func() { w.remove(t) })
	if err := ip("netns", "add", w.client); err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
	for _, args := range [][]string{
		{"netns", "add", w.server},
		{"-n", w.client, "link", "add", w.clientIface, "type", "veth", "peer", "name", w.serverIface, "netns", w.server},
		{"-n", w.client, "addr", "add", clientAddr + "/24", "dev", w.clientIface},
		{"-n", w.server, "addr", "add", serverAddr + "/24", "dev", w.serverIface},
		{"-n", w.client, "link", "set", w.clientIface, "up"},
		{"-n", w.server, "link", "set", w.serverIface, "up"},
		{"-n", w.server, "link", "set", "lo", "up"},
	} {
		if err := ip(args...); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *wire) remove(t *testing.T) {
	for _, name := range []string{w.client, w.server} {
		path := filepath.Join("/run/netns", name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if err := ip("netns", "del", name); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("the namespace %s is left: %v", name, err)
		}
	}
	for _, name := range []string{w.clientIface, w.serverIface} {
		if _, err := net.InterfaceByName(name); err == nil {
			t.Errorf("the interface %s is left", name)
		}
	}
}

// in is how a command is run in a namespace.
func in(namespace string) []string { return []string{"ip", "netns", "exec", namespace} }

// within calls f on a thread in the namespace; sockets that f makes itself belong to it. The thread
// ends with f.
func within(t *testing.T, namespace string, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- func() error {
			ns, err := os.Open(filepath.Join("/run/netns", namespace))
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter %s: %w", namespace, err)
			}
			return f()
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
