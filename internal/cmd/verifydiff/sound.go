package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/gen"
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/userspace"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/carom-bpf/carom/world"
	"github.com/cilium/ebpf"
)

// runner runs accepted programs on the checking interpreter.
type runner struct {
	engine engine.Engine
	shared engine.Collection // its maps are used by all programs
	specs  []*ebpf.MapSpec
	maps   []engine.Map // nil where the engine does not have the type
	cut    int          // runs that were ended by the budget
}

// soundBudget bounds one run in instructions: what is accepted ends, but perhaps after many rounds.
const soundBudget = 1 << 15

func newRunner() (*runner, error) {
	host, err := userspace.NewHost()
	if err != nil {
		return nil, err
	}
	r := &runner{specs: gen.VerifyMaps()}
	r.engine = host.Engine(userspace.Options{
		World: &world.World{Seed: 1}, Budget: soundBudget, Verify: userspace.VerifySkip,
	})
	spec := &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{}, Programs: map[string]*ebpf.ProgramSpec{}}
	for _, s := range r.specs {
		one := &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{s.Name: s}}
		if c, err := r.engine.Load(one, &engine.Options{CPUs: 1}); err == nil {
			spec.Maps[s.Name] = s
			_ = c.Close()
		}
	}
	if r.shared, err = r.engine.Load(spec, &engine.Options{CPUs: 1}); err != nil {
		return nil, err
	}
	for _, s := range r.specs {
		r.maps = append(r.maps, r.shared.Map(s.Name))
	}
	for i, size := range map[string]int{"outer": 2, "outer_hash": 1} {
		inner, err := r.engine.Load(&ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{"inner": r.specs[r.index("outer")].InnerMap}}, &engine.Options{CPUs: 1})
		if err != nil || r.shared.Map(i) == nil {
			continue
		}
		for n := range size {
			if err := r.shared.Map(i).UpdateMap(binary.LittleEndian.AppendUint32(nil, uint32(n)), inner.Map("inner"), 0); err != nil {
				return nil, err
			}
		}
	}
	rodata := r.shared.Map(r.specs[gen.VerifyRodataMap].Name)
	return r, errors.Join(rodata.Update(make([]byte, 4), gen.VerifyRodata(), 0), rodata.Freeze())
}

func (r *runner) index(name string) int {
	for i, s := range r.specs {
		if s.Name == name {
			return i
		}
	}
	return 0
}

// errCannotRun says that the engine does not run this program at all.
var errCannotRun = errors.New("cannot be run")

// load gives a program to the engine. Its PROG_ARRAY holds a program that returns a number, and
// itself.
func (r *runner) load(p *gen.VerifyProg) (engine.Collection, error) {
	insns, err := asm.Parse(disassembleRaw(p))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCannotRun, err)
	}
	leaf, err := asm.Parse("r0 = -77\nexit")
	if err != nil {
		return nil, err
	}
	program := func(name string, insns []isa.Insn) *ebpf.ProgramSpec {
		return &ebpf.ProgramSpec{Name: name, Type: p.Type, AttachType: p.Attach, Flags: p.Flags, License: "GPL"}
	}
	spec := &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{}, Programs: map[string]*ebpf.ProgramSpec{
		"p": program("p", nil), "leaf": program("leaf", nil),
	}}
	spec.Programs["p"].Instructions, spec.Programs["leaf"].Instructions = insns, leaf
	maps := p.MapSpecs()
	opts := &engine.Options{CPUs: 1, MapReplacements: map[string]engine.Map{}}
	for i := 0; i < len(p.Insns); i++ {
		in := p.Insns[i]
		if !in.IsWide() {
			continue
		}
		i++
		if in.Src != isa.PseudoMapIdx && in.Src != isa.PseudoMapIdxValue {
			continue
		}
		s := maps[in.Imm]
		spec.Maps[s.Name] = s
		if s.InnerMap != nil && p.Maps != nil {
			s = s.Copy()
			s.Contents = nil
			spec.Maps[s.Name] = s
		} else if s.Type == ebpf.ProgramArray {
			s = s.Copy()
			s.Contents = []ebpf.MapKV{{Key: uint32(0), Value: "leaf"}}
			if s.MaxEntries > 2 {
				s.Contents = append(s.Contents, ebpf.MapKV{Key: uint32(2), Value: "p"})
			}
			spec.Maps[s.Name] = s
		} else if p.Maps == nil {
			if r.maps[in.Imm] == nil {
				return nil, fmt.Errorf("%w: maps of type %v", errCannotRun, s.Type)
			}
			opts.MapReplacements[s.Name] = r.maps[in.Imm]
		}
	}
	coll, err := r.engine.Load(spec, opts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCannotRun, err)
	}
	return coll, nil
}

// run gives a program several inputs. A fault is an error; a nil recording checks no registers.
func (r *runner) run(coll engine.Collection, p *gen.VerifyProg, rng *rand.Rand, runs int, watch *recording) (done int, err error) {
	prog := coll.Program("p")
	ctx := context.Background()
	if watch != nil {
		if !userspace.MakeStepped(prog) {
			return 0, errCannotRun
		}
		ctx = vm.WithStep(ctx, watch.step)
	}
	src := &source{Rand: rng, consts: constants(p)}
	for range runs {
		r.shake(src)
		var res engine.Result
		in := src.input(p)
		err := prog.Run(ctx, in, &res)
		var bad *userspace.InputError
		var fault *vm.Error
		switch {
		case errors.As(err, &bad):
			if strings.Contains(bad.Reason, "cannot be run on their own") || bad.Errno == linux.ENOTSUPP {
				return done, fmt.Errorf("%w: %w", errCannotRun, err)
			}
			continue
		case errors.As(err, &fault) && fault.Code == vm.ErrBudget:
			r.cut++
			err = nil
		case errors.As(err, &fault) && fault.Code == vm.ErrHelper:
			return done, fmt.Errorf("%w: %w", errCannotRun, err)
		case err != nil:
			return done, fmt.Errorf("a packet of %d bytes: %w", len(in.Data), err)
		}
		done++
		if watch != nil && watch.violation != "" {
			return done, errors.New(watch.violation)
		}
	}
	return done, nil
}

// disassembleRaw is the program as the assembler reads it.
func disassembleRaw(p *gen.VerifyProg) string {
	var b strings.Builder
	maps := p.MapSpecs()
	for i := 0; i < len(p.Insns); i++ {
		var next isa.Insn
		if i+1 < len(p.Insns) {
			next = p.Insns[i+1]
		}
		fmt.Fprintln(&b, isa.Disassemble(p.Insns[i], next, isa.Names{PC: i, Map: func(l isa.Insn) string {
			return maps[l.Imm].Name
		}}))
		if p.Insns[i].IsWide() {
			i++
		}
	}
	return b.String()
}
