package verifier

import (
	"encoding/binary"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
)

// graphKernel loads programs whose types are those of the map, as libbpf does.
type graphKernel struct {
	handle *btf.Handle
	funcs  map[string]btf.TypeID
	mapFD  int32
}

func bpfCall(cmd uintptr, attr []byte) (int, unix.Errno) {
	fd, _, errno := unix.Syscall(unix.SYS_BPF, cmd, reflect.ValueOf(attr).Pointer(), uintptr(len(attr)))
	for errno == unix.EAGAIN {
		fd, _, errno = unix.Syscall(unix.SYS_BPF, cmd, reflect.ValueOf(attr).Pointer(), uintptr(len(attr)))
	}
	return int(fd), errno
}

func newGraphKernel(t *testing.T, g *graphTypes, programs []*Program) *graphKernel {
	t.Helper()
	k := &graphKernel{funcs: map[string]btf.TypeID{}}
	for _, p := range programs {
		for _, f := range p.Funcs {
			if _, ok := k.funcs[f.Name]; ok {
				continue
			}
			id, err := g.builder.Add(f.Type)
			if err != nil {
				t.Fatal(err)
			}
			k.funcs[f.Name] = id
		}
	}
	var err error
	if k.handle, err = btf.NewHandle(g.builder); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = k.handle.Close() })
	m := programs[0].Maps[0]
	attr := make([]byte, 144)
	for off, v := range map[int]uint32{
		0: uint32(m.Type), 4: m.KeySize, 8: m.ValueSize, 12: m.MaxEntries,
		48: uint32(k.handle.FD()), 52: uint32(g.ids["HALF"]), 56: uint32(g.ids["VALUE"]),
	} {
		binary.NativeEndian.PutUint32(attr[off:], v)
	}
	fd, errno := bpfCall(0, attr)
	if errno != 0 {
		t.Fatalf("the map was refused: %v", errno)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	k.mapFD = int32(fd)
	return k
}

func (k *graphKernel) load(t *testing.T, p *Program) (verdict, log string) {
	t.Helper()
	at := func(p any) uint64 { return uint64(reflect.ValueOf(p).Pointer()) }
	code, license, buf := isa.Encode(kernelCalls(t, p)), []byte("GPL\x00"), make([]byte, 1<<20)
	fds := []int32{k.mapFD}
	var records []byte
	for _, f := range p.Funcs {
		records = binary.NativeEndian.AppendUint32(records, uint32(f.Insn))
		records = binary.NativeEndian.AppendUint32(records, uint32(k.funcs[f.Name]))
	}
	attr := make([]byte, 144)
	for off, v := range map[int]uint32{
		0: uint32(p.Type), 4: uint32(len(p.Insns)), 24: 4, 28: uint32(len(buf)), 44: p.Flags,
		72: uint32(k.handle.FD()), 76: 8, 88: uint32(len(p.Funcs)),
	} {
		binary.NativeEndian.PutUint32(attr[off:], v)
	}
	for off, v := range map[int]uint64{8: at(code), 16: at(license), 32: at(buf), 80: at(records), 120: at(fds)} {
		binary.NativeEndian.PutUint64(attr[off:], v)
	}
	fd, errno := bpfCall(5, attr)
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	runtime.KeepAlive(records)
	runtime.KeepAlive(fds)
	log = unix.ByteSliceToString(buf)
	if errno == 0 {
		_ = unix.Close(fd)
		return "ok", log
	}
	last := ""
	for _, l := range strings.Split(log, "\n") {
		if l != "" && !strings.HasPrefix(l, "processed ") && !strings.HasPrefix(l, "stack depth ") &&
			!strings.HasPrefix(l, "verification time ") {
			last = l
		}
	}
	return linux.Errno(errno).Name() + ": " + last, log
}

func TestGraphsOnLinux(t *testing.T) {
	needKernel618(t)
	g := newGraphTypes(t)
	cases := graphCases()
	var programs []*Program
	for i := range cases {
		programs = append(programs, g.program(t, &cases[i]))
	}
	k := newGraphKernel(t, g, programs)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, log := k.load(t, programs[i])
			insns := 0
			_, _ = fmt.Sscanf(statsLine.FindString(log), "processed %d insns", &insns)
			if os.Getenv("OBJECT_CASES") != "" {
				fmt.Printf("CASE\t%s\t%s\t%d\n", c.name, got, insns)
			}
			if got != c.want || got == "ok" && insns != c.insns {
				t.Errorf("Linux says %s (%d instructions)\nwant       %s (%d)\n%s", got, insns, c.want, c.insns, log)
			}
		})
	}
}
