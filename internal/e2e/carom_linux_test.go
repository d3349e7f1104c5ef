package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom/kernel"
)

// patience is how long something that must happen may take on a slow machine.
const patience = 20 * time.Second

func needKernel(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it needs root")
	}
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
}

// caromBinary is carom, built once for all tests.
var caromBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(os.Getenv(dirEnv), "carom")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/carom").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build carom: %w: %s", err, out)
	}
	return path, nil
})

// line is one line of carom attach --json.
type line struct {
	Kind    string         `json:"kind"`
	Program string         `json:"program"`
	ID      ebpf.ProgramID `json:"id"`
	Target  string         `json:"target"`
	Map     string         `json:"map"`
	MapID   ebpf.MapID     `json:"map_id"`
	From    string         `json:"from"`
	Text    string         `json:"text"`
	PID     int            `json:"pid"`
	Value   map[string]any `json:"value"`
	Printed int            `json:"printed"`
	Maps    map[string]struct {
		Records, Lost int
	} `json:"maps"`
}

// attachment is a running carom attach.
type attachment struct {
	t      *testing.T
	cmd    *exec.Cmd
	errOut bytes.Buffer
	lines  chan line // closed when carom ends
	seen   []line
	ended  bool
}

// attach starts carom attach --json and waits until it has attached. In the name of prefix the
// command may run in a network namespace.
func attach(t *testing.T, prefix []string, args ...string) *attachment {
	t.Helper()
	path, err := caromBinary()
	if err != nil {
		t.Fatal(err)
	}
	all := append(append(append([]string{}, prefix...), path, "attach", "--json"), args...)
	a := &attachment{t: t, cmd: exec.Command(all[0], all[1:]...), lines: make(chan line, 1024)}
	a.cmd.Stderr = &a.errOut
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, a.cmd)
	t.Cleanup(a.kill)
	go func() {
		defer close(a.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			var l line
			if err := json.Unmarshal(s.Bytes(), &l); err != nil {
				l = line{Kind: "bad", Text: s.Text()}
			}
			a.lines <- l
		}
	}()
	a.wait("attached", func(l line) bool { return l.Kind == "attached" })
	return a
}

// start starts a command that must not stay when the tests are killed. The signal for that is sent
// when the thread ends that started it, so a thread is set aside for it until the test is over.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &unix.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = unix.SIGTERM
	if cmd.SysProcAttr.Setsid {
		cmd.SysProcAttr.Pdeathsig = unix.SIGKILL // an interactive shell ignores SIGTERM
	}
	started, over := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		<-over
	}()
	t.Cleanup(func() { close(over) })
	if err := <-started; err != nil {
		t.Fatal(err)
	}
}

// wait returns the first line, of those already seen too, that ok accepts.
func (a *attachment) wait(what string, ok func(line) bool) line {
	a.t.Helper()
	for _, l := range a.seen {
		if ok(l) {
			return l
		}
	}
	timeout := time.After(patience)
	for {
		select {
		case l, open := <-a.lines:
			if !open {
				a.t.Fatalf("carom ended without %s: %s", what, &a.errOut)
			}
			a.seen = append(a.seen, l)
			if ok(l) {
				return l
			}
		case <-timeout:
			a.t.Fatalf("no %s; carom printed %+v %s", what, a.seen, &a.errOut)
		}
	}
}

// stop ends carom as Ctrl-C does and returns all that it printed. It must end well, and leave
// neither its programs nor a trace instance behind.
func (a *attachment) stop() []line {
	a.t.Helper()
	if err := a.cmd.Process.Signal(unix.SIGINT); err != nil {
		a.t.Fatal(err)
	}
	end := time.AfterFunc(patience, func() { _ = a.cmd.Process.Kill() })
	for l := range a.lines {
		a.seen = append(a.seen, l)
	}
	a.ended = true
	err := a.cmd.Wait()
	end.Stop()
	if err != nil || a.errOut.Len() > 0 {
		a.t.Errorf("carom attach: %v %s", err, &a.errOut)
	}
	for _, l := range a.seen {
		switch l.Kind {
		case "bad":
			a.t.Errorf("carom printed %q, which is not JSON", l.Text)
		case "attached", "slot":
			gone(a.t, fmt.Sprintf("program %d", l.ID), func() bool { return !programExists(l.ID) })
		}
		if l.Kind == "slot" {
			gone(a.t, fmt.Sprintf("map %d", l.MapID), func() bool { return !mapExists(l.MapID) })
		}
	}
	for _, name := range traceInstances(a.t) {
		if strings.HasPrefix(name, fmt.Sprintf("carom-%d-", a.cmd.Process.Pid)) {
			a.t.Errorf("the trace instance %s is left", name)
		}
	}
	return a.seen
}

// kill ends carom when a test failed before stop.
func (a *attachment) kill() {
	if a.ended {
		return
	}
	_ = a.cmd.Process.Signal(unix.SIGTERM)
	end := time.AfterFunc(patience, func() { _ = a.cmd.Process.Kill() })
	for range a.lines {
	}
	_ = a.cmd.Wait()
	end.Stop()
}

func count(lines []line, ok func(line) bool) int {
	n := 0
	for _, l := range lines {
		if ok(l) {
			n++
		}
	}
	return n
}

// gone waits until something is no longer there; the kernel frees programs and maps a grace period
// after their last use.
func gone(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%s is left", what)
			return
		}
	}
}

// programExists and mapExists ask for the id that follows the one before. Opening a PROG_ARRAY by its
// id just when it is emptied would be a second last user of it, which Linux 6.18 does not survive:
// the map is never freed (kernel/bpf/arraymap.c, prog_array_map_clear takes a reference even if its
// work is queued already).
func programExists(id ebpf.ProgramID) bool {
	next, err := ebpf.ProgramGetNextID(id - 1)
	return err == nil && next == id
}

func mapExists(id ebpf.MapID) bool {
	next, err := ebpf.MapGetNextID(id - 1)
	return err == nil && next == id
}

// traceInstances lists the trace instances of the kernel, through a mount that nobody else sees.
func traceInstances(t *testing.T) []string {
	t.Helper()
	ctx, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil // then carom made none either
	}
	defer unix.Close(ctx)
	if err := unix.FsconfigCreate(ctx); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	entries, err := os.ReadDir(fmt.Sprintf("/proc/self/fd/%d/instances", fd))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
