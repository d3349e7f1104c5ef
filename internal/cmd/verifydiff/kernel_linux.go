package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"time"

	"github.com/carom-bpf/carom/internal/gen"
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// Commands and log level of bpf(2) (include/uapi/linux/bpf.h).
const (
	cmdProgLoad = 5
	logStats    = 4 // messages and statistics, without the trace
	mostLog     = 64 << 20
)

// judge is Linux with one fixed set of maps and functions.
type judge struct {
	specs   []*ebpf.MapSpec
	held    []*ebpf.Map
	fds     []int32
	extra   map[mapKey]*ebpf.Map     // of programs that have their own
	owned   map[progsKey][]*ebpf.Map // maps that each kind of program has for itself
	types   *btf.Handle
	typeIDs []btf.TypeID
	funcs   []*btf.Func
	log     []byte
	attr    []byte
}

// mapKey is what maps that can stand for each other have in common.
type mapKey struct {
	typ                        ebpf.MapType
	key, value, entries, flags uint32
	kind                       progsKey // of PROG_ARRAYs
}

// mapFDs finds or makes the maps of a program.
func (j *judge) mapFDs(p *gen.VerifyProg) ([]int32, error) {
	if p.Maps == nil {
		fds := append([]int32(nil), j.fds...)
		for i, m := range j.ownMaps(p) {
			fds[gen.VerifyOwn()[i]] = int32(m.FD())
		}
		return fds, nil
	}
	var fds []int32
	for _, s := range p.Maps {
		key := mapKey{typ: s.Type, key: s.KeySize, value: s.ValueSize, entries: s.MaxEntries, flags: s.Flags}
		if s.Type == ebpf.ProgramArray {
			key.kind = progsKey{p.Type, p.Attach, p.Flags}
		}
		m := j.extra[key]
		if m == nil {
			var err error
			if m, err = newExtra(s); err != nil {
				return nil, fmt.Errorf("map %s: %w", s.Name, err)
			}
			j.extra[key] = m
		}
		fds = append(fds, int32(m.FD()))
	}
	return fds, nil
}

// newExtra makes a map of a program that has its own.
func newExtra(s *ebpf.MapSpec) (*ebpf.Map, error) {
	c := s.Copy()
	if s.Flags&linux.MapReadOnlyProg == 0 { // the others are filled, and frozen because of their name
		c.Contents = nil
	}
	return ebpf.NewMap(c)
}

// progsKey is what programs in one PROG_ARRAY have in common.
type progsKey struct {
	typ    ebpf.ProgramType
	attach ebpf.AttachType
	flags  uint32
}

func newJudge() (*judge, error) {
	j := &judge{
		specs: gen.VerifyMaps(), owned: map[progsKey][]*ebpf.Map{}, extra: map[mapKey]*ebpf.Map{}, funcs: gen.VerifyFuncs(),
		log: make([]byte, 1<<18), attr: make([]byte, 152),
	}
	for _, s := range j.specs {
		m, err := ebpf.NewMap(s)
		if err != nil {
			j.close()
			return nil, fmt.Errorf("map %s: %w", s.Name, err)
		}
		j.held = append(j.held, m)
		j.fds = append(j.fds, int32(m.FD()))
	}
	rodata := j.held[gen.VerifyRodataMap]
	if err := errors.Join(rodata.Put(uint32(0), gen.VerifyRodata()), rodata.Freeze(), j.loadTypes(), j.own()); err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

// loadTypes gives the kernel the functions of func_info.
func (j *judge) loadTypes() error {
	types := make([]btf.Type, len(j.funcs))
	for i, f := range j.funcs {
		types[i] = f
	}
	b, err := btf.NewBuilder(types, nil)
	if err != nil {
		return err
	}
	for _, f := range j.funcs {
		id, err := b.Add(f)
		if err != nil {
			return err
		}
		j.typeIDs = append(j.typeIDs, id)
	}
	j.types, err = btf.NewHandle(b)
	return err
}

// own makes socket filters the owner of a map.
func (j *judge) own() error {
	p := &gen.VerifyProg{Type: ebpf.SocketFilter, License: "GPL", Insns: []isa.Insn{
		{Op: isa.LDDW, Dst: 2, Src: isa.PseudoMapIdx, Imm: gen.VerifyOwned}, {},
		{Op: isa.ClassALU64 | isa.MOV, Dst: 3}, {Op: isa.ClassJMP | isa.CALL, Imm: linux.FuncTailCall},
		{Op: isa.ClassALU64 | isa.MOV}, {Op: isa.ClassJMP | isa.EXIT},
	}}
	if a := j.ask(p); !a.accepted {
		return fmt.Errorf("the owner of a map was refused: %v", a)
	}
	return nil
}

func (j *judge) close() {
	for _, m := range j.held {
		m.Close()
	}
	for _, m := range j.extra {
		m.Close()
	}
	for _, own := range j.owned {
		for _, m := range own {
			m.Close()
		}
	}
	if j.types != nil {
		j.types.Close()
	}
}

// ownMaps are the maps of a kind of program, in the order of gen.VerifyOwn.
func (j *judge) ownMaps(p *gen.VerifyProg) []*ebpf.Map {
	key := progsKey{p.Type, p.Attach, p.Flags}
	if have := j.owned[key]; have != nil {
		return have
	}
	var out []*ebpf.Map
	for _, at := range gen.VerifyOwn() {
		m, err := ebpf.NewMap(j.specs[at])
		if err != nil {
			m = j.held[at] // the answers will differ, which is seen
		}
		out = append(out, m)
	}
	j.owned[key] = out
	return out
}

// lacks finds out what the kernel was built or booted without.
func (j *judge) lacks() (f linux.Feature) {
	for id, feature := range map[int32]linux.Feature{
		linux.FuncProbeWriteUser: linux.FeatureWriteUser, linux.FuncOverrideReturn: linux.FeatureKprobeOverride,
	} {
		p := &gen.VerifyProg{Type: ebpf.Kprobe, License: "GPL", Insns: []isa.Insn{
			{Op: isa.ClassJMP | isa.CALL, Imm: id}, {Op: isa.ClassJMP | isa.EXIT},
		}}
		if strings.Contains(j.ask(p).reason, "cannot use helper") {
			f |= feature
		}
	}
	return f
}

func address(v any) uint64 { return uint64(reflect.ValueOf(v).Pointer()) }

// ask loads a program and closes it.
func (j *judge) ask(p *gen.VerifyProg) answer {
	if !p.Loadable() {
		return answer{err: errors.New("not given to Linux")}
	}
	code, license := isa.Encode(p.Insns), append([]byte(p.License), 0)
	fds, err := j.mapFDs(p)
	if err != nil {
		return answer{err: err, reason: err.Error()}
	}
	clear(j.attr)
	put32 := func(off int, v uint32) { binary.NativeEndian.PutUint32(j.attr[off:], v) }
	put64 := func(off int, v uint64) { binary.NativeEndian.PutUint64(j.attr[off:], v) }
	put32(0, uint32(p.Type))
	put32(4, uint32(len(p.Insns)))
	put64(8, address(code))
	put64(16, address(license))
	put32(24, logStats)
	put32(28, uint32(len(j.log)))
	put64(32, address(j.log))
	put32(44, p.Flags)
	put32(68, uint32(p.Attach))
	put64(120, address(fds))
	var info []byte
	if len(p.Funcs) > 0 {
		for _, f := range p.Funcs {
			info = binary.NativeEndian.AppendUint32(info, uint32(f.Insn))
			info = binary.NativeEndian.AppendUint32(info, uint32(j.typeIDs[f.Func]))
		}
		put32(72, uint32(j.types.FD()))
		put32(76, 8)
		put64(80, address(info))
		put32(88, uint32(len(p.Funcs)))
	}
	var fd uintptr
	errno := unix.EAGAIN
	var took time.Duration
	for errno == unix.EAGAIN { // a signal came, such as those of Go's scheduler
		j.log[0] = 0
		start := time.Now()
		fd, _, errno = unix.Syscall(unix.SYS_BPF, cmdProgLoad, uintptr(address(j.attr)), uintptr(len(j.attr)))
		took = time.Since(start)
	}
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	runtime.KeepAlive(fds)
	runtime.KeepAlive(info)
	if errno == unix.ENOSPC && len(j.log) < mostLog {
		j.log = make([]byte, 16*len(j.log))
		return j.ask(p)
	}
	log := unix.ByteSliceToString(j.log)
	a := answer{took: took, insns: processed(log), log: log}
	if errno == 0 {
		_ = unix.Close(int(fd))
		a.accepted = true
		return a
	}
	a.errno, a.err = linux.Errno(errno), errno
	a.reason = lastReason(strings.Split(log, "\n"))
	return a
}
