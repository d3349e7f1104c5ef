package main

import (
	"encoding/binary"
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// hooks is how many sets struct btf_kfunc_set_tab has (enum btf_kfunc_hook, kernel/bpf/btf.c).
const hooks = 14

// reader reads the kernel's memory.
type reader struct {
	spec *btf.Spec
	prog *ebpf.Program
}

func newReader(spec *btf.Spec) (*reader, error) {
	const sleepable = 1 << 4
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Syscall, License: "GPL", Flags: sleepable,
		// The context is the address to read, 0 for that of the running task, and what was read.
		Instructions: asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.LoadMem(asm.R3, asm.R6, 0, asm.DWord),
			asm.JNE.Imm(asm.R3, 0, "read"),
			asm.FnGetCurrentTask.Call(),
			asm.StoreMem(asm.R6, 8, asm.R0, asm.DWord),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
			asm.Mov.Imm(asm.R2, 8).WithSymbol("read"),
			asm.Mov.Reg(asm.R1, asm.R10),
			asm.Add.Imm(asm.R1, -8),
			asm.StoreMem(asm.R10, -8, asm.R2, asm.DWord),
			asm.FnProbeReadKernel.Call(),
			asm.LoadMem(asm.R1, asm.R10, -8, asm.DWord),
			asm.StoreMem(asm.R6, 8, asm.R1, asm.DWord),
			asm.Return(),
		},
	})
	return &reader{spec, prog}, err
}

func (r *reader) close() { r.prog.Close() }

// u64 reads eight bytes.
func (r *reader) u64(addr uint64) (uint64, error) {
	in, out := make([]byte, 16), make([]byte, 16)
	binary.LittleEndian.PutUint64(in, addr)
	ret, err := r.prog.Run(&ebpf.RunOptions{Context: in, ContextOut: out})
	if err == nil && ret != 0 {
		err = fmt.Errorf("reading %#x: error %d", addr, -int32(ret))
	}
	return binary.LittleEndian.Uint64(out[8:]), err
}

// member returns the offset of a member of a structure.
func (r *reader) member(name, member string) (uint64, error) {
	var s *btf.Struct
	if err := r.spec.TypeByName(name, &s); err != nil {
		return 0, err
	}
	for _, m := range s.Members {
		if m.Name == member {
			return uint64(m.Offset.Bytes()), nil
		}
	}
	return 0, fmt.Errorf("struct %s has no member %s", name, member)
}

// follow reads the pointer in a member.
func (r *reader) follow(addr uint64, name, member string) (uint64, error) {
	off, err := r.member(name, member)
	if err != nil {
		return 0, err
	}
	return r.u64(addr + off)
}

// sets finds struct btf_kfunc_set_tab: a file descriptor of the kernel's BTF leads to it.
func (r *reader) sets() (uint64, error) {
	handle, err := btf.NewHandleFromID(1)
	if err != nil {
		return 0, err
	}
	defer runtime.KeepAlive(handle)
	addr, err := r.u64(0)
	for _, step := range [][2]string{{"task_struct", "files"}, {"files_struct", "fdt"}, {"fdtable", "fd"}} {
		if err == nil {
			addr, err = r.follow(addr, step[0], step[1])
		}
	}
	if err == nil {
		addr, err = r.u64(addr + 8*uint64(handle.FD()))
	}
	for _, step := range [][2]string{{"file", "private_data"}, {"btf", "kfunc_set_tab"}} {
		if err == nil {
			addr, err = r.follow(addr, step[0], step[1])
		}
	}
	if err != nil {
		return 0, err
	}
	off, err := r.member("btf_kfunc_set_tab", "sets")
	return addr + off, err
}

// kfuncs reads the sets of all hooks (struct btf_id_set8).
func (r *reader) kfuncs() ([]kfunc, error) {
	sets, err := r.sets()
	if err != nil {
		return nil, err
	}
	byID := map[btf.TypeID]*kfunc{}
	for hook := range uint64(hooks) {
		set, err := r.u64(sets + 8*hook)
		if err != nil {
			return nil, err
		}
		if set == 0 {
			continue
		}
		n, err := r.u64(set)
		if err != nil {
			return nil, err
		}
		for i := range uint64(uint32(n)) {
			pair, err := r.u64(set + 8 + 8*i)
			if err != nil {
				return nil, err
			}
			if err := r.add(byID, btf.TypeID(uint32(pair)), uint32(pair>>32), hook); err != nil {
				return nil, err
			}
		}
	}
	all := make([]kfunc, 0, len(byID))
	for _, f := range byID {
		all = append(all, *f)
	}
	return all, nil
}

func (r *reader) add(byID map[btf.TypeID]*kfunc, id btf.TypeID, flags uint32, hook uint64) error {
	f := byID[id]
	if f == nil {
		t, err := r.spec.TypeByID(id)
		if err != nil {
			return err
		}
		fn, ok := t.(*btf.Func)
		if !ok {
			return fmt.Errorf("type %d is not a function", id)
		}
		f = &kfunc{typ: fn, flags: flags}
		byID[id] = f
	}
	if f.flags != flags {
		return fmt.Errorf("%s has other flags in set %d", f.typ.Name, hook)
	}
	f.hooks |= 1 << hook
	return nil
}
