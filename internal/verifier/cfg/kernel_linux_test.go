package cfg_test

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
)

// linuxVerdict is what bpf(BPF_PROG_LOAD) says of a program.
type linuxVerdict struct {
	errno linux.Errno
	log   string
	last  string // line of the log, without statistics
	// walked says that the program passed everything up to the computation of live registers.
	walked bool
}

// address gives the address of a slice for the kernel; the slice must be kept alive.
func address(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	return uint64(reflect.ValueOf(b).Pointer())
}

// ask loads a traffic control classifier with the instructions exactly as they are.
func ask(t testing.TB, insns []isa.Insn, funcs *btfFuncs, logSize int) linuxVerdict {
	t.Helper()
	code := isa.Encode(insns)
	license := []byte("GPL\x00")
	log := make([]byte, logSize)
	attr := make([]byte, 144)
	put32 := func(off int, v uint32) { binary.NativeEndian.PutUint32(attr[off:], v) }
	put64 := func(off int, v uint64) { binary.NativeEndian.PutUint64(attr[off:], v) }
	put32(0, 3) // BPF_PROG_TYPE_SCHED_CLS
	put32(4, uint32(len(insns)))
	put64(8, address(code))
	put64(16, address(license))
	put32(24, 6) // log level
	put32(28, uint32(len(log)))
	put64(32, address(log))
	if funcs != nil {
		put32(72, uint32(funcs.handle.FD()))
		put32(76, 8) // bytes of a record
		put64(80, address(funcs.records))
		put32(88, uint32(len(funcs.records)/8))
	}
	const progLoad = 5
	fd, _, errno := unix.Syscall(unix.SYS_BPF, progLoad, uintptr(address(attr)), uintptr(len(attr)))
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	runtime.KeepAlive(funcs)
	if errno == 0 {
		_ = unix.Close(int(fd))
	}
	v := linuxVerdict{errno: linux.Errno(errno), log: unix.ByteSliceToString(log)}
	for _, l := range strings.Split(strings.TrimRight(v.log, "\n"), "\n") {
		if !strings.HasPrefix(l, "processed ") && !strings.HasPrefix(l, "verification time ") && !strings.HasPrefix(l, "stack depth ") {
			v.last = l
		}
	}
	v.walked = strings.Contains(v.log, "Live regs before insn:\n")
	return v
}

// btfFuncs is BTF with one function for each subprogram.
type btfFuncs struct {
	handle  *btf.Handle
	records []byte
}

func newBTF(t testing.TB, funcs []cfg.Func) *btfFuncs {
	t.Helper()
	b, err := btf.NewBuilder(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	integer := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	out := &btfFuncs{}
	for n, f := range funcs {
		proto := &btf.FuncProto{Return: &btf.Pointer{Target: integer}, Params: []btf.FuncParam{{Name: "ctx", Type: integer}}}
		if f.ReturnsInt {
			proto.Return = integer
		}
		linkage := btf.StaticFunc
		if n == 0 {
			linkage = btf.GlobalFunc
		}
		id, err := b.Add(&btf.Func{Name: fmt.Sprintf("f%d", n), Type: proto, Linkage: linkage})
		if err != nil {
			t.Fatal(err)
		}
		out.records = binary.NativeEndian.AppendUint32(out.records, uint32(f.Start))
		out.records = binary.NativeEndian.AppendUint32(out.records, uint32(id))
	}
	if out.handle, err = btf.NewHandle(b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.handle.Close() })
	return out
}

// needKernel skips the test where programs cannot be loaded, or not by this kernel's rules.
func needKernel(t testing.TB) {
	t.Helper()
	_ = rlimit.RemoveMemlock()
	v := ask(t, []isa.Insn{{Op: 0xb7}, {Op: 0x95}}, nil, 1<<16)
	if v.errno != 0 {
		t.Skipf("cannot load programs: %v", v.errno)
	}
	if !v.walked {
		t.Skip("this kernel does not print live registers; Linux 6.18 does")
	}
}

var liveLine = regexp.MustCompile(`^ *(\d+)? +(\d+): ([0-9.]{10}) `)

// compareLive compares live registers and loops with the log.
func compareLive(t *testing.T, g *cfg.Graph, v linuxVerdict) {
	t.Helper()
	_, block, _ := strings.Cut(v.log, "Live regs before insn:\n")
	seen := 0
	for _, l := range strings.Split(block, "\n") {
		m := liveLine.FindStringSubmatch(l)
		if m == nil {
			break
		}
		n, _ := strconv.Atoi(m[2])
		scc, _ := strconv.Atoi(m[1])
		if got := cfg.LiveString(g.Live[n]); got != m[3] {
			t.Errorf("instruction %d: live %s, Linux has %s", n, got, m[3])
		}
		if got := g.SCCAt(n); got != uint32(scc) {
			t.Errorf("instruction %d: loop %d, Linux has %d", n, got, scc)
		}
		seen++
	}
	want := 0
	for n := range g.Insns {
		want++
		if n > 0 && g.Insns[n-1].IsWide() {
			want--
		}
	}
	if seen != want {
		t.Errorf("the log shows %d of %d instructions", seen, want)
	}
}

// judge compares Analyze with Linux; the program may be wrong for other reasons, too.
func judge(t *testing.T, in cfg.Input, funcs *btfFuncs) {
	t.Helper()
	v := ask(t, in.Insns, funcs, 1<<20+len(in.Insns)*200)
	g, err := cfg.Analyze(in)
	switch {
	case err == nil && !v.walked:
		t.Errorf("accepted; Linux says %v %q", v.errno, v.last)
	case err != nil && v.walked:
		t.Errorf("refused with %v %q; Linux goes on", err.Errno, err.Message)
	case err != nil && (err.Errno != v.errno || err.Message != v.last):
		t.Errorf("refused with %v %q; Linux says %v %q", err.Errno, err.Message, v.errno, v.last)
	case err == nil:
		compareLive(t, g, v)
	}
}

func TestLinuxRefusesToo(t *testing.T) {
	needKernel(t)
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			insns := assemble(t, c.text)
			var funcs *btfFuncs
			if c.funcs != nil {
				funcs = newBTF(t, c.funcs)
			}
			v := ask(t, insns, funcs, 1<<20)
			if v.errno != c.errno || v.last != c.msg {
				t.Errorf("Linux says %v %q, want %v %q", v.errno, v.last, c.errno, c.msg)
			}
		})
	}
}

// TestOpcodesAreThoseOfLinux asks for all 256.
func TestOpcodesAreThoseOfLinux(t *testing.T) {
	needKernel(t)
	for op := range 256 {
		insns := []isa.Insn{{Op: uint8(op)}, {}, {Op: 0x95}}
		if op != isa.LDDW {
			insns[1].Op = 0x95
		}
		judge(t, cfg.Input{Insns: insns, Helper: callees}, nil)
	}
}

func TestLinuxHasTheSameStackDepth(t *testing.T) {
	needKernel(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("other architectures inline other helpers")
	}
	for _, c := range fastcalls {
		v := ask(t, assemble(t, c.text), nil, 1<<20)
		m := regexp.MustCompile(`(?m)^stack depth (\d+)$`).FindStringSubmatch(v.log)
		if m == nil || m[1] != strconv.Itoa(c.depth) {
			t.Errorf("%s: Linux says %v %q %v, want stack depth %d", c.name, v.errno, v.last, m, c.depth)
		}
	}
}
