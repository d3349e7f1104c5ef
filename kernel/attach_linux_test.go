package kernel_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/kernel"
)

// counting is a collection whose programs add 1 to hits for the thread that loads them: at probes
// and tracepoints other threads come along.
func counting(t *testing.T, kinds ...ebpf.ProgramType) *carom.Collection {
	t.Helper()
	spec := &ebpf.CollectionSpec{
		Maps:     map[string]*ebpf.MapSpec{"hits": {Name: "hits", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}},
		Programs: map[string]*ebpf.ProgramSpec{},
	}
	for _, kind := range kinds {
		insns, err := asm.Parse(fmt.Sprintf(`
			call bpf_get_current_pid_tgid
			if w0 != %d goto +4
			r1 = map[hits][0]+0 ll
			r2 = 1
			lock *(u64 *)(r1 +0) += r2
			r0 = 1
			exit
		`, unix.Gettid()))
		if err != nil {
			t.Fatal(err)
		}
		spec.Programs[strings.ToLower(kind.String())] = &ebpf.ProgramSpec{Type: kind, License: "GPL", Instructions: insns}
	}
	return load(t, spec, carom.Options{})
}

func hits(t *testing.T, coll *carom.Collection) (n uint64) {
	t.Helper()
	if err := coll.Maps["hits"].Lookup(uint32(0), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestTracepoints: the program runs between attaching and Close, once for each call.
func TestTracepoints(t *testing.T) {
	needKernel(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	coll := counting(t, ebpf.TracePoint, ebpf.RawTracepoint)
	for name, attach := range map[string]func() (*kernel.Attachment, error){
		"tracepoint": func() (*kernel.Attachment, error) {
			return kernel.AttachTracepoint(coll.Programs["tracepoint"], "sched", "sched_process_fork")
		},
		"raw tracepoint": func() (*kernel.Attachment, error) {
			return kernel.AttachRawTracepoint(coll.Programs["rawtracepoint"], "sched_process_fork")
		},
	} {
		before := hits(t, coll)
		a, err := attach()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		fork := func() {
			if err := exec.Command("/proc/self/exe", "-test.run", "^$").Run(); err != nil {
				t.Fatal(err)
			}
		}
		fork()
		during := hits(t, coll)
		if during == before {
			t.Errorf("%s: the program did not run", name)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		fork()
		if after := hits(t, coll); after != during {
			t.Errorf("%s: the program runs after Close", name)
		}
		if err := a.Update(coll.Programs["tracepoint"]); err == nil {
			t.Errorf("%s: updated after Close", name)
		}
	}
}

// inNamespace calls f on a thread with a network namespace of its own, in which lo is up. The
// namespace ends with the thread.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer close(done)
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		f()
	}()
	if err := <-done; err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
}

// TestUpdate replaces the program of an interface without detaching it.
func TestUpdate(t *testing.T) {
	coll := load(t, passing(t, ebpf.XDP, ebpf.SchedCLS), carom.Options{})
	inNamespace(t, func() {
		for _, c := range []struct {
			program string
			attach  func(*carom.Program) (*kernel.Attachment, error)
		}{
			{ebpf.XDP.String(), func(p *carom.Program) (*kernel.Attachment, error) {
				return kernel.AttachXDP(p, "lo", kernel.XDPGeneric)
			}},
			{ebpf.SchedCLS.String(), func(p *carom.Program) (*kernel.Attachment, error) {
				return kernel.AttachTC(p, "lo", kernel.Egress)
			}},
		} {
			p := coll.Programs[c.program]
			if p == nil {
				t.Errorf("no program %s in %v", c.program, coll.Names())
				continue
			}
			a, err := c.attach(p)
			if err != nil {
				t.Error(err)
				continue
			}
			if err := a.Update(p); err != nil {
				t.Error(err)
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestAttachErrors: an error names the program, the place and what is missing.
func TestAttachErrors(t *testing.T) {
	needKernel(t)
	coll := counting(t, ebpf.XDP, ebpf.SchedCLS, ebpf.Kprobe, ebpf.TracePoint, ebpf.RawTracepoint, ebpf.CGroupSKB)
	user, err := carom.NewCollection(passing(t, ebpf.XDP), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	p := coll.Programs
	type result = func() (*kernel.Attachment, error)
	for _, c := range []struct {
		name   string
		attach result
		is     error
		want   string
	}{
		{"no interface", func() (*kernel.Attachment, error) { return kernel.AttachXDP(p["xdp"], "carom-none", kernel.XDPAny) },
			nil, "no such interface"},
		{"type", func() (*kernel.Attachment, error) { return kernel.AttachTC(p["xdp"], "lo", kernel.Ingress) },
			nil, "it is a XDP program; tcx takes SchedCLS"},
		{"user space", func() (*kernel.Attachment, error) {
			return kernel.AttachXDP(user.Programs[user.Names()[0]], "lo", kernel.XDPAny)
		}, nil, "kernel.Engine"},
		{"nil", func() (*kernel.Attachment, error) { return kernel.AttachXDP(nil, "lo", kernel.XDPAny) }, nil, "nil"},
		{"no cgroup", func() (*kernel.Attachment, error) { return kernel.AttachCgroup(p["cgroupskb"], "/carom-none") },
			os.ErrNotExist, "no such cgroup"},
		{"not a cgroup", func() (*kernel.Attachment, error) { return kernel.AttachCgroup(p["cgroupskb"], "/proc") },
			nil, "not a directory of a cgroup v2"},
		{"no binary", func() (*kernel.Attachment, error) {
			return kernel.AttachUprobe(p["kprobe"], kernel.Probe{Binary: "/carom-none", Symbol: "main"})
		}, os.ErrNotExist, "path of a program"},
		{"no function", func() (*kernel.Attachment, error) {
			return kernel.AttachUretprobe(p["kprobe"], kernel.Probe{Binary: "/proc/self/exe", Symbol: "carom_none"})
		}, nil, "no function carom_none"},
		{"no process", func() (*kernel.Attachment, error) {
			return kernel.AttachUprobe(p["kprobe"], kernel.Probe{Binary: "/proc/self/exe", Symbol: "main.main", PID: 1 << 30})
		}, unix.ESRCH, "no process 1073741824"},
		{"no tracepoint", func() (*kernel.Attachment, error) {
			return kernel.AttachTracepoint(p["tracepoint"], "sched", "carom_none")
		},
			os.ErrNotExist, "no such tracepoint"},
		{"no raw tracepoint", func() (*kernel.Attachment, error) {
			return kernel.AttachRawTracepoint(p["rawtracepoint"], "carom_none")
		},
			nil, "no such tracepoint"},
	} {
		a, err := c.attach()
		var attach *kernel.AttachError
		if !errors.As(err, &attach) || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if a != nil {
			_ = a.Close()
		}
	}
	if _, err := os.Stat("/sys/bus/event_source/devices/kprobe"); os.IsNotExist(err) {
		_, err := kernel.AttachKprobe(p["kprobe"], "do_exit")
		if !errors.Is(err, carom.ErrUnsupported) || !strings.Contains(err.Error(), "CONFIG_KPROBES") {
			t.Errorf("kprobe: %v", err)
		}
	}
}
