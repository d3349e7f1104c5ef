package e2e

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shell is an interactive bash under a pseudo-terminal.
type shell struct {
	t        *testing.T
	cmd      *exec.Cmd
	terminal *os.File
	mu       sync.Mutex
	screen   bytes.Buffer
	closed   chan struct{}
}

// openTerminal makes a pseudo-terminal (pty(7)).
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		_ = master.Close()
		t.Skipf("no pseudo-terminals: %v", err)
	}
	return master, slave
}

const prompt = "carom-ready> "

func startShell(t *testing.T) *shell {
	t.Helper()
	master, slave := openTerminal(t)
	defer slave.Close()
	home := t.TempDir()
	s := &shell{t: t, cmd: exec.Command("/bin/bash", "--norc", "--noprofile", "-i"), terminal: master, closed: make(chan struct{})}
	s.cmd.Env = []string{"PATH=/usr/bin:/bin", "TERM=dumb", "HISTFILE=", "HOME=" + home, "PS1=" + prompt}
	s.cmd.Dir = home
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	start(t, s.cmd)
	t.Cleanup(s.exit)
	go func() {
		defer close(s.closed)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b) // EIO when bash is gone
			s.mu.Lock()
			s.screen.Write(b[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	s.waitPrompts(1)
	return s
}

// waitPrompts waits until bash has asked for a line so many times.
func (s *shell) waitPrompts(n int) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		text := s.screen.String()
		s.mu.Unlock()
		if bytes.Count([]byte(text), []byte(prompt)) >= n {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("bash does not ask for line %d: %q", n, text)
		}
	}
}

func (s *shell) write(text string) {
	s.t.Helper()
	if _, err := s.terminal.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// exit ends bash; it must be gone afterwards.
func (s *shell) exit() {
	_, _ = s.terminal.WriteString("exit\n")
	end := time.AfterFunc(patience/4, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
	end.Stop()
	<-s.closed
	_ = s.terminal.Close()
	if err := unix.Kill(s.cmd.Process.Pid, 0); err != unix.ESRCH {
		s.t.Errorf("bash is left: %v", err)
	}
}

// readlineBinary finds the file with the function readline that bash runs: itself, or the library.
func readlineBinary(t *testing.T) string {
	t.Helper()
	f, err := elf.Open("/bin/bash")
	if err != nil {
		t.Skipf("no bash: %v", err)
	}
	defer f.Close()
	symbols, _ := f.DynamicSymbols()
	for _, s := range symbols {
		if s.Name == "readline" && s.Section != elf.SHN_UNDEF {
			return "/bin/bash"
		}
	}
	for _, pattern := range []string{"/lib/*/libreadline.so.[0-9]", "/lib64/libreadline.so.[0-9]", "/usr/lib/libreadline.so.[0-9]"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	t.Skip("bash has no function readline")
	return ""
}

// TestReadline attaches examples/readline to one bash, in which lines are typed. What is typed into
// another bash must not appear.
func TestReadline(t *testing.T) {
	needKernel(t)
	if _, err := os.Stat("/sys/bus/event_source/devices/uprobe/type"); err != nil {
		t.Skip("the kernel has no uprobes")
	}
	file := readlineBinary(t)
	watched, other := startShell(t), startShell(t)
	pid := watched.cmd.Process.Pid
	a := attach(t, nil, examples+"readline/readline.o",
		"--uretprobe", file+":readline", "--pid", strconv.Itoa(pid), "--events", "events:event")
	// A return probe is armed when its function is entered: calls that wait already are not seen.
	for _, s := range []*shell{watched, other} {
		s.write("\n")
		s.waitPrompts(2)
	}
	other.write("foreign\n")
	other.waitPrompts(3)
	watched.write("ll\n")
	watched.waitPrompts(3)
	watched.write("odd\n")
	watched.waitPrompts(4)
	a.wait("event of odd_length", func(l line) bool { return l.Kind == "record" && fmt.Sprint(l.Value["type"]) == "2" })

	const lineEvent, oddEvent, evenEvent = 1, 2, 3
	type event struct {
		kind, length int
		text         string
	}
	var got []event
	for _, l := range a.stop() {
		if l.Kind == "detached" && (l.Maps["events"].Records != 4 || l.Maps["events"].Lost != 0) {
			t.Errorf("totals %+v, want 4 records and none lost", l.Maps)
		}
		if l.Kind != "record" {
			continue
		}
		number := func(field string) int { n, _ := l.Value[field].(float64); return int(n) }
		text, _ := l.Value["line"].(string)
		got = append(got, event{number("type"), number("length"), text})
		if number("pid") != pid || l.Map != "events" {
			t.Errorf("process %d, map %s; bash is %d", number("pid"), l.Map, pid)
		}
	}
	want := []event{{lineEvent, 2, "ll"}, {evenEvent, 2, "ll"}, {lineEvent, 3, "odd"}, {oddEvent, 3, "odd"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
