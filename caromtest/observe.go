package caromtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

// bench is a case on one engine.
type bench struct {
	c *Case
	subject
	colls   []*carom.Collection
	maps    map[string]*carom.Map
	vars    map[string]*carom.Variable
	progs   map[string]*carom.Program
	printed printed // nil when no program prints
	readers map[string]recordReader
	counted edges // after the last step
	ended   *leftovers
	out     observed
}

// observe runs a case. What it loads is gone when it returns and ended is closed.
func observe(t *testing.T, c *Case, s subject, ended *leftovers) observed {
	t.Helper()
	b := &bench{
		c: c, subject: s, ended: ended, out: observed{engine: s.name()},
		maps: map[string]*carom.Map{}, vars: map[string]*carom.Variable{}, progs: map[string]*carom.Program{},
	}
	needs := c.traits()
	if b.out.missing = b.missing(needs); b.out.missing != "" {
		return b.out
	}
	defer b.close(t)
	if needs.prints {
		p, err := capture(s.engine)
		if err != nil {
			b.out.missing = fmt.Sprintf("cannot see what programs print: %v", err)
			return b.out
		}
		b.printed = p
	}
	if !b.load(c.Load, c.Refused, "load") || c.Refused != nil {
		return b.out
	}
	if needs.records {
		if err := b.openReaders(); err != nil {
			b.problem("open the readers: %v", err)
			return b.out
		}
	}
	for i := range c.Steps {
		s := &c.Steps[i]
		name := s.Name
		if name == "" {
			name = "step " + strconv.Itoa(i)
		}
		b.step(name, s)
	}
	return b.out
}

// missing says what this system lacks for a case.
func (b *bench) missing(needs traits) string {
	if !b.isKernel() {
		return ""
	}
	if err := probesMissing(); needs.probes && err != nil {
		return err.Error()
	}
	if n, err := ebpf.PossibleCPU(); err == nil && n < needs.cpus {
		return fmt.Sprintf("the machine has %d CPUs, the case needs %d", n, needs.cpus)
	}
	return ""
}

// close gives up all that the case opened.
func (b *bench) close(t *testing.T) {
	t.Helper()
	err := b.closeReaders()
	if b.printed != nil {
		err = errors.Join(err, b.printed.close())
	}
	for _, coll := range slices.Backward(b.colls) {
		err = errors.Join(err, coll.Close())
	}
	if err != nil {
		t.Error(err)
	}
}

func (b *bench) problem(format string, args ...any) {
	b.out.problems = append(b.out.problems, fmt.Sprintf(format, args...))
}

// load loads programs, all when none is named, and reports whether that went as expected.
func (b *bench) load(names []string, refused *Refusal, step string) bool {
	spec, err := b.c.spec()
	if err == nil && len(names) > 0 {
		err = only(spec, names)
	}
	if err != nil {
		b.problem("%s: %v", step, err)
		return false
	}
	opts := &carom.Options{Engine: b.engine, CPUs: b.c.CPUs, CountEdges: b.count, Verify: b.c.Verify}
	if len(b.maps) > 0 {
		opts.MapReplacements = b.maps
	}
	if b.printed != nil {
		opts.Sink = b.printed.sink()
	}
	coll, err := carom.NewCollection(spec, opts)
	if err == nil {
		b.colls = append(b.colls, coll)
	}
	if refused != nil {
		return b.refusal(step, refused, err)
	}
	if err != nil {
		b.problem("%s: %v", step, detail(err))
		return false
	}
	b.checkVerified(step, coll)
	maps.Copy(b.progs, coll.Programs)
	if len(b.maps) == 0 {
		b.maps, b.vars = coll.Maps, coll.Variables
	}
	return true
}

// checkVerified checks that a verifier has accepted the programs, unless the case says why it cannot.
func (b *bench) checkVerified(step string, coll *carom.Collection) {
	if b.isKernel() || b.c.Verify == carom.VerifySkip {
		return
	}
	var why error
	for _, name := range coll.Names() {
		if err := coll.Programs[name].Unverified(); err != nil {
			why = err
		}
	}
	if why != nil && b.c.Skip[Verifier] == "" {
		b.problem("%s: loaded unverified: %v", step, why)
	}
	if why == nil && b.c.Skip[Verifier] != "" {
		b.problem("%s: the verifier accepts the programs: take it out of Skip", step)
	}
}

func (b *bench) refusal(step string, want *Refusal, err error) bool {
	switch {
	case err == nil:
		b.problem("%s: loaded, want it refused with %v %s", step, want.Errno.Name(), want.Text)
	case errnoOf(err) != want.Errno:
		b.problem("%s: %v; want %s", step, detail(err), want.Errno.Name())
	case (b.isKernel() || verified(err)) && !strings.Contains(detail(err), want.Text):
		b.problem("%s: %v; want %q in it", step, detail(err), want.Text)
	default:
		return true
	}
	return false
}

// verified says that carom's verifier refuses, which does it in the words of Linux.
func verified(err error) bool {
	var v *carom.VerifierError
	return errors.As(err, &v)
}

// detail is the text of an error with the end of the verifier's log.
func detail(err error) string {
	var own *carom.VerifierError
	if errors.As(err, &own) {
		return strings.Join(append([]string{err.Error()}, own.Reason.Before...), "\n\t")
	}
	var v *ebpf.VerifierError
	if errors.As(err, &v) {
		log := v.Log[max(0, len(v.Log)-20):]
		return err.Error() + "\n\t" + strings.Join(log, "\n\t")
	}
	return err.Error()
}

func errnoOf(err error) Errno {
	var e Errno
	errors.As(err, &e)
	return e
}

func (b *bench) step(name string, s *Step) {
	if s.Load != nil {
		b.load(s.Load.Programs, s.Load.Refused, name)
	}
	for _, v := range slices.Sorted(maps.Keys(s.Set)) {
		if b.vars[v] == nil {
			b.problem("%s: there is no variable %s", name, v)
		} else if err := b.vars[v].Set(s.Set[v]); err != nil {
			b.problem("%s: %v", name, err)
		}
	}
	for _, op := range s.Do {
		b.do(name, op)
	}
	if s.Want != nil {
		b.run(name, s)
	}
}

func (b *bench) do(step string, op Op) {
	m := b.maps[op.m]
	if m == nil {
		b.problem("%s: there is no map %s", step, op.m)
		return
	}
	var err error
	var got []byte
	switch op.kind {
	case opPut:
		err = m.Update(op.key, op.value, op.flags)
	case opPutProg:
		p := b.progs[op.value.(string)]
		if p == nil {
			b.problem("%s: %v: no such program is loaded", step, op)
			return
		}
		err = m.Update(op.key, p, op.flags)
	case opPutMap:
		inner := b.maps[op.value.(string)]
		if inner == nil {
			b.problem("%s: %v: there is no such map", step, op)
			return
		}
		err = m.Update(op.key, inner, op.flags)
	case opDelete:
		err = m.Delete(op.key)
	case opLookup:
		err = m.LookupWithFlags(op.key, &got, ebpf.MapLookupFlags(op.flags))
	}
	switch {
	case op.errno != 0 && errnoOf(err) != op.errno:
		b.problem("%s: %v: %v; want %s", step, op, err, op.errno.Name())
	case op.errno == 0 && err != nil:
		b.problem("%s: %v: %v", step, op, err)
	case op.errno == 0 && op.kind == opLookup && op.value != nil:
		if want, err := encode(op.value); err != nil {
			b.problem("%s: %v: %v", step, op, err)
		} else if !bytes.Equal(got, want) {
			b.problem("%s: %v: got % x, want % x", step, op, got, want)
		}
	}
}

func (b *bench) run(name string, s *Step) {
	prog := s.Prog
	if prog == "" {
		prog = b.c.Prog
	}
	p := b.progs[prog]
	if p == nil {
		b.problem("%s: there is no program %q", name, prog)
		return
	}
	if b.printed != nil {
		b.printed.reset()
	}
	var res carom.Result
	pid, err := b.execute(p, s, &res)
	now := state{name: name, ret: uint32(res.Return), data: res.Data, context: res.Context}
	now.records = b.collect(name, s, pid)
	if s.Probe != nil {
		now.ret = 0
	}
	if err != nil {
		now.failure = failureName(err)
	}
	if b.printed != nil {
		lines, err := b.printed.lines()
		if err != nil {
			b.problem("%s: %v", name, err)
		}
		now.trace = lines
	}
	snap, snapErr := snapshot(b.maps)
	if snapErr != nil {
		b.problem("%s: %v", name, snapErr)
	}
	now.maps = snap
	if b.count == carom.CountOn {
		b.countTailCalls(name, s, &now, &res)
	}
	b.out.steps = append(b.out.steps, now)
	if b.wantedFailure(name, s.Want, err) {
		return
	}
	b.compare(name, s.Want, &now, &res)
}

// execute runs a program, in a probed task if the step has one, and returns that task's number.
func (b *bench) execute(p *carom.Program, s *Step, res *carom.Result) (uint32, error) {
	if s.Probe != nil {
		return b.probe(p, s, res)
	}
	return 0, b.runOn(p, s, res)
}

func (b *bench) runOn(p *carom.Program, s *Step, res *carom.Result) error {
	coll := b.colls[0]
	cpu, err := coll.CPU(context.Background(), s.CPU)
	if err != nil {
		return err
	}
	defer cpu.Release()
	return cpu.Run(context.Background(), p, b.c.input(s), res)
}

// failureName is what engines have to agree on about a failed run.
func failureName(err error) string {
	if e := errnoOf(err); e != 0 {
		return e.Name()
	}
	return err.Error()
}

// wantedFailure checks how the run ended and reports whether there is no result to check.
func (b *bench) wantedFailure(name string, w *Want, err error) bool {
	switch {
	case w.Errno != 0:
		if errnoOf(err) != w.Errno {
			b.problem("%s: run: %v; want %s", name, err, w.Errno.Name())
		}
	case w.Fault != "":
		if err == nil || !strings.Contains(err.Error(), w.Fault) {
			b.problem("%s: run: %v; want an error with %q", name, err, w.Fault)
		}
	case err != nil:
		b.problem("%s: run: %v", name, err)
	default:
		return false
	}
	return true
}

func (b *bench) compare(name string, w *Want, now *state, res *carom.Result) {
	if !w.AnyReturn && now.ret != w.Return {
		b.problem("%s: returned %s, want %s", name, describe(now.ret), describe(w.Return))
	}
	if w.Data != nil && !bytes.Equal(now.data, w.Data) {
		b.problem("%s: packet is %s\n\twant %s", name, dump(now.data), dump(w.Data))
	}
	if w.Context != nil && !bytes.Equal(now.context, w.Context) {
		b.problem("%s: context is %s\n\twant %s", name, dump(now.context), dump(w.Context))
	}
	if w.Trace != nil && !slices.Equal(now.trace, w.Trace) {
		b.problem("%s: printed %q, want %q", name, now.trace, w.Trace)
	}
	for _, v := range slices.Sorted(maps.Keys(w.Vars)) {
		b.checkVar(name, v, w.Vars[v])
	}
	for _, e := range w.Entries {
		b.checkEntry(name, e)
	}
	if b.isKernel() && (b.count == carom.CountOff || res.TailCalls < 0) {
		return
	}
	if w.TailCalls != nil && res.TailCalls != *w.TailCalls {
		b.problem("%s: %d tail calls taken, want %d", name, res.TailCalls, *w.TailCalls)
	}
	if w.Misses != nil && res.Misses != *w.Misses {
		b.problem("%s: %d tail calls not taken, want %d", name, res.Misses, *w.Misses)
	}
}

// countTailCalls reads the counters behind a step, and fills in what only they know.
func (b *bench) countTailCalls(name string, s *Step, now *state, res *carom.Result) {
	counted, err := b.edges()
	if err != nil {
		b.problem("%s: %v", name, err)
		return
	}
	now.edges = counted
	if b.isKernel() {
		res.TailCalls, res.Misses = counted.since(b.counted)
		if s.Repeat > 1 {
			res.TailCalls = -1 // of all repetitions
		}
	}
	b.counted = counted
}

func (b *bench) checkVar(name, v string, want any) {
	if b.vars[v] == nil {
		b.problem("%s: there is no variable %s", name, v)
		return
	}
	got := reflect.New(reflect.TypeOf(want))
	if err := b.vars[v].Get(got.Interface()); err != nil {
		b.problem("%s: %v", name, err)
		return
	}
	if !reflect.DeepEqual(got.Elem().Interface(), want) {
		b.problem("%s: variable %s is %v, want %v", name, v, got.Elem(), want)
	}
}

func (b *bench) checkEntry(name string, e Entry) {
	m := b.maps[e.Map]
	if m == nil {
		b.problem("%s: there is no map %s", name, e.Map)
		return
	}
	got, err := m.LookupBytes(e.Key)
	switch {
	case err != nil:
		b.problem("%s: %v", name, err)
		return
	case e.Value == nil:
		if got != nil {
			b.problem("%s: map %s has key %v: % x; want none", name, e.Map, e.Key, got)
		}
		return
	case got == nil:
		b.problem("%s: map %s has no key %v", name, e.Map, e.Key)
		return
	}
	want, err := encode(e.Value)
	if err != nil {
		b.problem("%s: map %s: %v", name, e.Map, err)
		return
	}
	if n := len(want); m.Copies() > 1 && n < len(got) {
		got = got[:n] // the first CPUs of a per-CPU map
	}
	if !bytes.Equal(got, want) {
		b.problem("%s: map %s, key %v: got  %s, want %s", name, e.Map, e.Key,
			show(string(got), string(want), true), show(string(want), string(got), true))
	}
}

// encode gives the bytes of an expected value.
func encode(v any) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		return v, nil
	case string:
		return []byte(v), nil
	}
	return binary.Append(nil, binary.LittleEndian, v)
}
