package verifier

import (
	"encoding/binary"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
)

// kernelMaps creates the maps of the cases; Linux has the index of wide loads in fd_array.
func kernelMaps(t testing.TB, maps []*Map) []int32 {
	t.Helper()
	fds := make([]int32, len(maps))
	for i, m := range maps {
		spec := mapSpec(m)
		if m.Inner != nil {
			spec.InnerMap = mapSpec(m.Inner)
		}
		k, err := ebpf.NewMap(spec)
		if err != nil {
			t.Skipf("cannot create map %s: %v", m.Name, err)
		}
		t.Cleanup(func() { _ = k.Close() })
		if m.Data != nil {
			if err := k.Put(uint32(0), m.Data); err != nil {
				t.Fatal(err)
			}
		}
		if m.Frozen {
			if err := k.Freeze(); err != nil {
				t.Fatal(err)
			}
		}
		fds[i] = int32(k.FD())
	}
	return fds
}

func mapSpec(m *Map) *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Name: m.Name, Type: m.Type, KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries, Flags: m.Flags,
		Key: m.Key, Value: m.Value,
	}
}

var kernelTypes = sync.OnceValues(btf.LoadKernelSpec)

// kernelCalls gives calls of kernel functions the number that the running kernel has for them.
func kernelCalls(t testing.TB, p *Program) []isa.Insn {
	t.Helper()
	if len(p.Kfuncs) == 0 {
		return p.Insns
	}
	spec, err := kernelTypes()
	if err != nil {
		t.Skip(err)
	}
	insns := slices.Clone(p.Insns)
	for i := range insns {
		in := &insns[i]
		if in.Op != isa.ClassJMP|isa.CALL || in.Src != isa.CallKfunc {
			continue
		}
		var f *btf.Func
		if err := spec.TypeByName(p.Kfuncs[in.Imm], &f); err != nil {
			t.Skip(err)
		}
		id, err := spec.TypeID(f)
		if err != nil {
			t.Fatal(err)
		}
		in.Imm = int32(id)
	}
	return insns
}

// loadOnLinux asks bpf(2) and returns the verdict and the log.
func loadOnLinux(t testing.TB, p *Program, fds []int32, level uint32) (verdict, log string) {
	t.Helper()
	at := func(p any) uint64 {
		if v := reflect.ValueOf(p); v.Len() > 0 {
			return uint64(v.Pointer())
		}
		return 0
	}
	code, license := isa.Encode(externsByID(t, p, kernelCalls(t, p))), []byte("GPL\x00")
	if !p.GPL {
		license = []byte("MIT\x00")
	}
	buf := make([]byte, 4<<20)
	attr := make([]byte, 144)
	put32 := func(off int, v uint32) { binary.NativeEndian.PutUint32(attr[off:], v) }
	put64 := func(off int, v uint64) { binary.NativeEndian.PutUint64(attr[off:], v) }
	put32(0, uint32(p.Type))
	put32(4, uint32(len(p.Insns)))
	put64(8, at(code))
	put64(16, at(license))
	put32(24, level)
	put32(28, uint32(len(buf)))
	put64(32, at(buf))
	put32(44, p.Flags)
	put32(68, uint32(p.AttachType))
	put32(108, attachID(t, p))
	put64(120, at(fds))
	var records []byte
	if len(p.Funcs) > 0 {
		b, err := btf.NewBuilder(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range p.Funcs {
			id, err := b.Add(f.Type)
			if err != nil {
				t.Fatal(err)
			}
			records = binary.NativeEndian.AppendUint32(records, uint32(f.Insn))
			records = binary.NativeEndian.AppendUint32(records, uint32(id))
		}
		h, err := btf.NewHandle(b)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		put32(72, uint32(h.FD()))
		put32(76, 8)
		put64(80, at(records))
		put32(88, uint32(len(p.Funcs)))
	}
	const progLoad = 5
	fd, _, errno := unix.Syscall(unix.SYS_BPF, progLoad, uintptr(at(attr)), uintptr(len(attr)))
	for errno == unix.EAGAIN { // a signal came in between
		clear(buf)
		fd, _, errno = unix.Syscall(unix.SYS_BPF, progLoad, uintptr(at(attr)), uintptr(len(attr)))
	}
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	runtime.KeepAlive(records)
	log = unix.ByteSliceToString(buf)
	if errno == 0 {
		_ = unix.Close(int(fd))
		return "ok", log
	}
	last := ""
	for _, l := range strings.Split(strings.TrimRight(log, "\n"), "\n") {
		// A reason without an end of line is followed by the statistics.
		l, _, _ = strings.Cut(l, "verification time ")
		if l != "" && !strings.HasPrefix(l, "processed ") && !strings.HasPrefix(l, "stack depth ") {
			last = l
		}
	}
	return linux.Errno(errno).Name() + ": " + last, log
}

func needKernel618(t testing.TB) {
	t.Helper()
	_ = rlimit.RemoveMemlock()
	var u unix.Utsname
	if unix.Uname(&u) != nil || !strings.HasPrefix(unix.ByteSliceToString(u.Release[:]), "6.18.") {
		t.Skip("the reference is Linux 6.18")
	}
	if os.Geteuid() != 0 {
		t.Skip("programs are loaded as root")
	}
}

func TestCallsOnLinux(t *testing.T) {
	needKernel618(t)
	fds := kernelMaps(t, callMaps())
	for _, c := range callCases() {
		t.Run(c.name, func(t *testing.T) {
			p := c.program(t)
			// Without the trace, the last line is the reason, or there is none.
			got, _ := loadOnLinux(t, p, fds, 4)
			if os.Getenv("CALL_CASES") != "" {
				t.Logf("CASE\t%s\t%s", c.name, got)
			}
			if got != c.want {
				_, log := loadOnLinux(t, p, fds, 2)
				t.Errorf("Linux says %s\nwant       %s\n%s", got, c.want, log)
			}
		})
	}
}
