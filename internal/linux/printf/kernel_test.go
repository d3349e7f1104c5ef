//go:build linux

package printf

import (
	"encoding/binary"
	"errors"
	"reflect"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Layout of the map value that a judging program works on.
const (
	judgeRet     = 0                         // 8 bytes: the helper's return value
	judgeArgs    = 8                         // 12 arguments
	judgeStrings = judgeArgs + 8*MaxArgs     // what pointer arguments point to
	judgeOut     = judgeStrings + 2048       // the text
	judgeSize    = judgeOut + judgeOutLength // all of it
)

const judgeOutLength = 4096

// judge runs one format in the kernel.
type judge struct {
	t      *testing.T
	format []byte
	args   []arg
}

// maps makes the read-only map of the format and the working map, filled.
func (j *judge) maps() (ro, rw *ebpf.Map, pointers map[int]int) {
	t := j.t
	ro, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "printf_ro", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(j.format)), MaxEntries: 1,
		Flags: 0x80, // BPF_F_RDONLY_PROG
	})
	if err != nil {
		t.Skipf("no bpf(2) to judge by: %v", err)
	}
	t.Cleanup(func() { ro.Close() })
	if err := ro.Put(uint32(0), j.format); err != nil {
		t.Fatal(err)
	}
	if err := ro.Freeze(); err != nil {
		t.Fatal(err)
	}
	rw, err = ebpf.NewMap(&ebpf.MapSpec{Name: "printf_rw", Type: ebpf.Array, KeySize: 4, ValueSize: judgeSize, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rw.Close() })
	value := make([]byte, judgeSize)
	pointers = map[int]int{}
	next := judgeStrings
	for i, a := range j.args {
		v := a.value
		switch {
		case a.user:
			// strncpy_from_user_nofault reads this process: BPF_PROG_TEST_RUN runs in it.
			v = uint64(reflect.ValueOf(a.mem).Pointer())
		case a.mem != nil:
			pointers[i] = next
			copy(value[next:], a.mem)
			next += len(a.mem)
		}
		binary.LittleEndian.PutUint64(value[judgeArgs+8*i:], v)
	}
	if err := rw.Put(uint32(0), value); err != nil {
		t.Fatal(err)
	}
	return ro, rw, pointers
}

// run executes the program built around call and returns the helper's return
// value and the output area. ok is false when the verifier refuses it.
func (j *judge) run(call func(ro, rw *ebpf.Map) asm.Instructions) (ret int64, out []byte, err error) {
	ro, rw, pointers := j.maps()
	insns := asm.Instructions{asm.LoadMapValue(asm.R6, rw.FD(), 0)}
	for i, off := range pointers {
		insns = append(insns,
			asm.Mov.Reg(asm.R1, asm.R6), asm.Add.Imm(asm.R1, int32(off)),
			asm.StoreMem(asm.R6, int16(judgeArgs+8*i), asm.R1, asm.DWord))
	}
	insns = append(insns, call(ro, rw)...)
	insns = append(insns,
		asm.StoreMem(asm.R6, judgeRet, asm.R0, asm.DWord),
		asm.Mov.Imm(asm.R0, 0), asm.Return())
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: insns})
	if err != nil {
		return 0, nil, err
	}
	defer prog.Close()
	if _, err := prog.Run(&ebpf.RunOptions{Data: make([]byte, 14)}); err != nil {
		j.t.Fatal(err)
	}
	runtime.KeepAlive(j.args)
	value := make([]byte, judgeSize)
	if err := rw.Lookup(uint32(0), value); err != nil {
		j.t.Fatal(err)
	}
	return int64(binary.LittleEndian.Uint64(value)), value[judgeOut:], nil
}

func (j *judge) snprintf(size int) (int64, []byte, error) {
	return j.run(func(ro, _ *ebpf.Map) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R6), asm.Add.Imm(asm.R1, judgeOut),
			asm.Mov.Imm(asm.R2, int32(size)),
			asm.LoadMapValue(asm.R3, ro.FD(), 0),
			asm.Mov.Reg(asm.R4, asm.R6), asm.Add.Imm(asm.R4, judgeArgs),
			asm.Mov.Imm(asm.R5, int32(8*len(j.args))),
			asm.FnSnprintf.Call(),
		}
	})
}

func (j *judge) vprintk() (int64, error) {
	ret, _, err := j.run(func(ro, _ *ebpf.Map) asm.Instructions {
		return asm.Instructions{
			asm.LoadMapValue(asm.R1, ro.FD(), 0),
			asm.Mov.Imm(asm.R2, int32(len(j.format))),
			asm.Mov.Reg(asm.R3, asm.R6), asm.Add.Imm(asm.R3, judgeArgs),
			asm.Mov.Imm(asm.R4, int32(8*len(j.args))),
			asm.FnTraceVprintk.Call(),
		}
	})
	return ret, err
}

func (j *judge) printk() (int64, error) {
	ret, _, err := j.run(func(ro, _ *ebpf.Map) asm.Instructions {
		insns := asm.Instructions{
			asm.LoadMapValue(asm.R1, ro.FD(), 0),
			asm.Mov.Imm(asm.R2, int32(len(j.format))),
		}
		for i := range MaxTraceArgs {
			insns = append(insns, asm.LoadMem(asm.R3+asm.Register(i), asm.R6, int16(judgeArgs+8*i), asm.DWord))
		}
		return append(insns, asm.FnTracePrintk.Call())
	})
	return ret, err
}

// TestKernel asks the running kernel for every row of the table.
func TestKernel(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.carom != "" {
				t.Skip(c.carom)
			}
			j := &judge{t, []byte(c.format), c.args}
			ret, err := j.vprintk()
			if err != nil {
				t.Fatalf("vprintk: %+v", err)
			}
			if ret != c.vprintk() {
				t.Errorf("bpf_trace_vprintk(%q) = %d, the table says %d", c.format, ret, c.vprintk())
			}
			if len(c.args) <= MaxTraceArgs && c.errno == 0 {
				if ret, err = j.printk(); err != nil || ret != c.vprintk() {
					t.Errorf("bpf_trace_printk(%q) = %d, %v, the table says %d", c.format, ret, err, c.vprintk())
				}
			}
			size := c.outSize()
			ret, out, err := j.snprintf(size)
			if c.errno == EINVAL {
				if !errors.As(err, new(*ebpf.VerifierError)) {
					t.Errorf("the verifier accepts %q: %d", c.format, ret)
				}
				return
			}
			if err != nil {
				t.Fatalf("%+v", err)
			}
			if ret != c.snprintf() {
				t.Errorf("bpf_snprintf(%q) = %d, the table says %d", c.format, ret, c.snprintf())
			}
			if got := string(out[:len(c.want)]); got != c.want {
				t.Errorf("bpf_snprintf(%q) wrote %q, the table says %q", c.format, got, c.want)
			}
		})
	}
}
