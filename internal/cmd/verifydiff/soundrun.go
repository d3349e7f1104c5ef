package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/carom-bpf/carom/internal/gen"
	"github.com/carom-bpf/carom/internal/verifier"
	"github.com/cilium/ebpf"
)

// sound runs accepted programs.
type sound struct {
	*random
	runner               *runner
	contain              bool
	runs                 int
	accepted, ran        int // programs
	executed             int // runs
	checked, facts, full int
	cannot               map[string]int
	violations           int
	verifyTime           time.Duration
}

// soundRun is -sound.
func (r *random) soundRun(stderr io.Writer) int {
	run, err := newRunner()
	if err != nil {
		fmt.Fprintln(stderr, "verifydiff:", err)
		return 2
	}
	s := &sound{random: r, runner: run, contain: r.contain, runs: r.runs, cannot: map[string]int{}}
	r.convert = newConverter()
	r.begin = time.Now()
	next := r.begin.Add(30 * time.Second)
	for n := r.start; r.count == 0 || s.ran < int(r.count); n++ {
		if r.duration > 0 && time.Since(r.begin) > r.duration || s.violations >= 50 {
			break
		}
		s.one(n)
		if time.Now().After(next) {
			next = next.Add(30 * time.Second)
			s.report(stderr, n)
		}
	}
	s.report(r.stdout, 0)
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range s.cannot {
			if !yield(k) {
				return
			}
		}
	}) {
		fmt.Fprintf(r.stdout, "%7d  %s\n", s.cannot[k], k)
	}
	if s.violations > 0 {
		return 1
	}
	return 0
}

func (s *sound) report(out io.Writer, at uint64) {
	fmt.Fprintf(out, "seed %d number %d, %v: %d generated, %d accepted, %d of them run (%d runs), %d states of registers and %d facts checked at instructions, %d with too many states, %d runs cut short, %d violations\n",
		s.seed, at, time.Since(s.begin).Round(time.Second), s.seen, s.accepted, s.ran, s.executed, s.checked, s.facts, s.full, s.runner.cut, s.violations)
}

func (s *sound) one(n uint64) {
	p := s.program(n)
	s.seen++
	if !runnable(p.Type) {
		return
	}
	if err := s.try(p, n); err != nil {
		s.violations++
		s.saveViolation(n, p, err)
	}
}

// program makes the program of a number.
func (s *sound) program(n uint64) *gen.VerifyProg {
	if s.cases {
		return gen.GenerateVerifyCase(s.seed, n)
	}
	return gen.GenerateVerify(s.seed, n)
}

// runnable says that the interpreter runs programs of a type on their own. The writable buffer of
// BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE comes from the tracepoint, so these are left out.
func runnable(t ebpf.ProgramType) bool {
	switch t {
	case ebpf.XDP, ebpf.SchedCLS, ebpf.SchedACT, ebpf.SocketFilter, ebpf.CGroupSKB, ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit,
		ebpf.RawTracepoint, ebpf.TracePoint, ebpf.Syscall, ebpf.Kprobe, ebpf.PerfEvent:
		return true
	}
	return false
}

// try verifies and runs a program; the error is a violation.
func (s *sound) try(p *gen.VerifyProg, n uint64) (err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case tooManyStates:
			s.full++
		default:
			err = fmt.Errorf("panic: %v", e)
		}
	}()
	o := verifier.Options{}
	watch := newRecording()
	if s.contain {
		o.Contain = watch
	}
	verdict, verr := verifier.Verify(s.convert.program(p), &o)
	if verr != nil {
		return nil
	}
	s.accepted++
	watch.ranges = s.contain
	if verdict.Facts != nil {
		watch.fact = &factCheck{facts: verdict.Facts, jump: -1}
	}
	coll, err := s.runner.load(p)
	if errors.Is(err, errCannotRun) {
		s.cannot[kindOf(err)]++
		return nil
	}
	if err != nil {
		return err
	}
	defer coll.Close()
	done, err := s.runner.run(coll, p, rand.New(rand.NewPCG(s.seed, n)), s.runs, watch)
	s.executed += done
	s.checked += watch.checked
	if watch.fact != nil {
		s.facts += watch.fact.checked
	}
	if errors.Is(err, errCannotRun) {
		s.cannot[kindOf(err)]++
		return nil
	}
	if err == nil && done > 0 {
		s.ran++
	}
	return err
}

// kindOf is an error without numbers and names.
func kindOf(err error) string { return answer{reason: err.Error()}.kind() }

// saveViolation minimises the program and writes it.
func (s *sound) saveViolation(n uint64, p *gen.VerifyProg, err error) {
	kind := kindOf(err)
	tries := 0
	for progress := true; progress && tries < attempts; {
		progress = false
		for at := len(p.Insns) - 1; at >= 0 && tries < attempts; at-- {
			if at >= len(p.Insns) {
				continue
			}
			tries++
			if q, ok := p.Without(at); ok {
				if e := s.try(q, n); e != nil && kindOf(e)[:min(20, len(kindOf(e)))] == kind[:min(20, len(kind))] {
					p, progress, err = q, true, e
				}
			}
		}
	}
	text := fmt.Sprintf("// seed %d number %d\n// type %v, attach type %d, flags %#x, func_info %v\n// %v\n%s", s.seed, n, p.Type, p.Attach, p.Flags, p.Funcs, err, disassemble(p))
	fmt.Fprintln(s.stdout, text)
	if s.dir == "" {
		return
	}
	if e := errors.Join(os.MkdirAll(s.dir, 0o755), os.WriteFile(filepath.Join(s.dir, fmt.Sprintf("unsound-%d-%d.txt", s.seed, n)), []byte(text), 0o644)); e != nil {
		fmt.Fprintln(s.stdout, e)
	}
}
