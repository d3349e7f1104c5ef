package userspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"github.com/carom-bpf/carom/internal/mem"
	"runtime"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/helper"
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
)

// bench runs kernel-syntax text on the interpreter and on the running kernel.
type bench struct {
	machine *vm.Machine
	cpu     *vm.CPU
	helpers *helper.Set
}

func newBench(tb testing.TB) *bench {
	tb.Helper()
	space, err := mem.NewSpaceOf(1 << 30) // little, for emulators that pay for reserved pages
	if err != nil {
		tb.Fatal(err)
	}
	m, err := vm.NewMachineIn(space)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := m.NewCPU(0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close(); m.Close() })
	return &bench{m, c, helper.New(helper.Options{})}
}

// needKernel skips the test where programs cannot be loaded.
func needKernel(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs bpf(2)")
	}
	_ = rlimit.RemoveMemlock()
	p, err := loadKernel(kind{Type: ebpf.SocketFilter}, "r0 = 0\nexit")
	if err != nil {
		t.Skipf("cannot load programs: %v", err)
	}
	_ = p.Close()
}

type kind struct {
	Type   ebpf.ProgramType
	Attach ebpf.AttachType
	Flags  uint32
}

func (k kind) String() string { return fmt.Sprintf("%s/%s", k.Type, k.Attach) }

func loadKernel(k kind, text string) (*ebpf.Program, error) {
	insns, err := asm.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("test text: %w", err)
	}
	return ebpf.NewProgramWithOptions(&ebpf.ProgramSpec{
		Type: k.Type, AttachType: k.Attach, Flags: k.Flags, License: "GPL", Instructions: insns,
	}, ebpf.ProgramOptions{LogDisabled: true})
}

// outcome is what a run gave, on either side.
type outcome struct {
	rejected bool // Linux's verifier, or the interpreter's access check
	errno    linux.Errno
	ret      uint32
	data     []byte
	ctx      []byte
}

func (o outcome) String() string {
	if o.rejected {
		return "rejected"
	}
	if o.errno != 0 {
		return o.errno.Name()
	}
	return fmt.Sprintf("ret %#x\ndata %x\nctx %x", o.ret, o.data, o.ctx)
}

func (o outcome) equal(p outcome) bool {
	return o.rejected == p.rejected && o.errno == p.errno && o.ret == p.ret &&
		bytes.Equal(o.data, p.data) && bytes.Equal(o.ctx, p.ctx)
}

func ctxSize(t ebpf.ProgramType) int {
	if t == ebpf.XDP {
		return linux.XDPMDSize
	}
	return linux.SKBSize
}

func onKernel(t *testing.T, k kind, text string, in *engine.Input) outcome {
	t.Helper()
	p, err := loadKernel(k, text)
	if err != nil {
		if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EINVAL) {
			return outcome{rejected: true}
		}
		t.Fatalf("%s: %v\n%s", k, err, text)
	}
	defer p.Close()
	opts := &ebpf.RunOptions{Data: in.Data, Repeat: uint32(in.Repeat)}
	if len(in.Data) > 0 {
		opts.DataOut = make([]byte, len(in.Data)+1<<14)
	}
	if len(in.Context) > 0 {
		opts.Context = in.Context
	}
	if in.ContextOut {
		opts.ContextOut = make([]byte, ctxSize(k.Type))
	}
	ret, err := p.Run(opts)
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return outcome{errno: linux.Errno(errno)}
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", k, err, text)
	}
	o := outcome{ret: ret, data: opts.DataOut}
	if in.ContextOut {
		o.ctx = opts.ContextOut.([]byte)
	}
	return o
}

func (b *bench) program(tb testing.TB, k kind, text string) *vm.Program {
	tb.Helper()
	insns, err := asm.Assemble(text)
	if err != nil {
		tb.Fatal(err)
	}
	code := &vm.Code{
		Name: "test", Type: k.Type, AttachType: k.Attach, Insns: insns,
		Funcs: []vm.Func{{Name: "test", End: len(insns)}}, Helpers: map[int]*vm.Helper{}, ExceptionCallback: -1,
		Context: b.machine.Contexts.Of(k.Type, k.Attach),
	}
	for i, insn := range insns {
		if insn.Op == isa.ClassJMP|isa.CALL && insn.Src == isa.CallHelper {
			if code.Helpers[i] = b.helpers.ByID(uint32(insn.Imm)); code.Helpers[i] == nil {
				tb.Fatalf("no helper %d", insn.Imm)
			}
		}
	}
	p, err := b.machine.NewProgram(code)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func (b *bench) run(tb testing.TB, p *vm.Program, in *engine.Input, res *engine.Result) error {
	if err := b.cpu.Begin(context.Background()); err != nil {
		return err
	}
	defer b.cpu.End()
	r1, err := prepare(b.cpu, p, in)
	if err != nil {
		return err
	}
	var out vm.Result
	for range max(in.Repeat, 1) {
		if err := b.cpu.Run(p, r1, 0, vm.Limits{}, &out); err != nil {
			return err
		}
	}
	res.Return = out.R0
	collect(b.cpu, p, in, res)
	return nil
}

func (b *bench) onVM(t *testing.T, k kind, text string, in *engine.Input) outcome {
	t.Helper()
	p := b.program(t, k, text)
	defer p.Release()
	var res engine.Result
	err := b.run(t, p, in, &res)
	var fault *vm.Error
	var bad *InputError
	switch {
	case errors.As(err, &fault):
		if fault.Code != vm.ErrContextAccess && fault.Code != vm.ErrAccess {
			t.Fatalf("%s: %v\n%s", k, err, text)
		}
		return outcome{rejected: true}
	case errors.As(err, &bad):
		return outcome{errno: bad.Errno}
	case err != nil:
		t.Fatalf("%s: %v\n%s", k, err, text)
	}
	return outcome{ret: uint32(res.Return), data: res.Data, ctx: res.Context}
}

// same checks that both sides give the same outcome.
func (b *bench) same(t *testing.T, k kind, text string, in *engine.Input) outcome {
	t.Helper()
	want := onKernel(t, k, text, in)
	if got := b.onVM(t, k, text, in); !got.equal(want) {
		t.Errorf("%s\n%s\ncarom: %s\nLinux: %s", k, text, got, want)
	}
	return want
}

// ran is same for programs that Linux accepts.
func (b *bench) ran(t *testing.T, k kind, text string, in *engine.Input) {
	t.Helper()
	if o := b.same(t, k, text, in); o.rejected {
		t.Errorf("%s: Linux does not load the test program\n%s", k, text)
	}
}

// ipv4 is a UDP packet of n bytes with a link header.
func ipv4(n int) []byte {
	p := make([]byte, n)
	copy(p, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, byte(n - 14), 0x12, 0x34, 0, 0, 64, 17, 0xaa, 0x55,
		10, 1, 2, 3, 192, 168, 7, 9, 0x30, 0x39, 0, 53})
	for i := 38; i < n; i++ {
		p[i] = byte(i*7 + 1)
	}
	return p
}

// ipv6 is a packet of n bytes with a link header.
func ipv6(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*3 + 2)
	}
	p[12], p[13], p[14] = 0x86, 0xdd, 0x60
	return p
}
