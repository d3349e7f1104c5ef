package gen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

// Budget is how many instructions a program may execute in user space before it is left out.
const Budget = 1_000_000

// Verdict is what became of a case.
type Verdict uint8

const (
	Same     Verdict = iota
	Endless          // used up the budget in user space; the judge did not see it
	Refused          // by the judge
	Differs          // see Report.Text
	Unusable         // cannot be assembled
	Grown            // a packet grew by more than Growth; the judge did not see it
)

// Growth is by how many bytes a packet may grow. Linux allocates a buffer of twice the size almost
// each time that it has to make room for 64 bytes, and stops at the allocator's limit of 4 MiB.
const Growth = 700

// Report is the outcome of Compare.
type Report struct {
	Verdict Verdict
	Text    string // why
	Kind    string // of the difference, such as "return value"
	Progs   int    // programs of the case that the judge accepted
	Runs    int    // runs that were compared
}

// Engines are the one that is tested and the one that is right.
type Engines struct {
	Tested carom.Engine
	Judge  carom.Engine
	CPUs   int // of the judge
}

// Compare runs a case on both engines. The judge runs nothing that did not end on the other engine.
func (e *Engines) Compare(c *Case) Report {
	spec, err := c.Spec()
	if err != nil {
		return Report{Verdict: Unusable, Text: err.Error()}
	}
	tested, testedErr := observe(e.Tested, e.CPUs, spec, c)
	var fault *carom.RuntimeError
	if errors.As(testedErr, &fault) && (fault.Code == carom.CodeBudget || fault.Code == carom.CodeCanceled) {
		return Report{Verdict: Endless, Text: testedErr.Error()}
	}
	if testedErr != nil {
		return e.onlyLoad(spec, c, testedErr)
	}
	for i, s := range tested {
		if len(s.data) > len(c.Runs[i].Data)+Growth {
			return Report{Verdict: Grown}
		}
	}
	judged, err := observe(e.Judge, 0, spec, c)
	var load *loadError
	if errors.As(err, &load) {
		return Report{Verdict: Refused, Text: reason(err)}
	}
	if err != nil {
		return Report{Verdict: Differs, Kind: "outcome", Text: fmt.Sprintf("%s: no error, %s: %v", e.Tested.Name(), e.Judge.Name(), err)}
	}
	r := Report{Progs: len(c.Progs), Runs: len(c.Runs)}
	r.Kind, r.Text = differences(tested, judged)
	if r.Kind != "" {
		r.Verdict = Differs
	}
	return r
}

// onlyLoad asks the judge whether it accepts what the tested engine cannot load or run.
func (e *Engines) onlyLoad(spec *ebpf.CollectionSpec, c *Case, testedErr error) Report {
	coll, err := carom.NewCollection(spec, &carom.Options{Engine: e.Judge})
	if err != nil {
		return Report{Verdict: Refused, Text: reason(err)}
	}
	_ = coll.Close()
	return Report{
		Verdict: Differs, Kind: "fault", Progs: len(c.Progs),
		Text: fmt.Sprintf("%s: %v\n%s: accepted", e.Tested.Name(), testedErr, e.Judge.Name()),
	}
}

// loadError says that a collection could not be loaded.
type loadError struct{ error }

func (e *loadError) Unwrap() error { return e.error }

// state is what there is after a run.
type state struct {
	err  string
	ret  uint32
	data []byte
	ctx  []byte
	maps map[string]map[string]string
}

func observe(e carom.Engine, cpus int, spec *ebpf.CollectionSpec, c *Case) ([]state, error) {
	coll, err := carom.NewCollection(spec, &carom.Options{Engine: e, CPUs: cpus})
	if err != nil {
		return nil, &loadError{err}
	}
	defer coll.Close()
	cpu, err := coll.CPU(context.Background(), 0)
	if err != nil {
		return nil, err
	}
	defer cpu.Release()
	var out []state
	for _, r := range c.Runs {
		if err := setSlots(coll, r.Set); err != nil {
			return nil, err
		}
		var res carom.Result
		in := &carom.Input{Data: r.Data, Context: r.Context, ContextOut: true, Budget: Budget}
		if c.Type == ebpf.RawTracepoint {
			in.ContextOut = false
		}
		err := cpu.Run(context.Background(), coll.Programs[r.Prog], in, &res)
		now := state{ret: uint32(res.Return), data: res.Data, ctx: res.Context}
		if err != nil {
			var errno carom.Errno
			if !errors.As(err, &errno) {
				return nil, err
			}
			now = state{err: errno.Name()}
		}
		if now.maps, err = contents(coll); err != nil {
			return nil, err
		}
		out = append(out, now)
	}
	return out, nil
}

// setSlots changes PROG_ARRAYs. An empty slot may be emptied again.
func setSlots(coll *carom.Collection, slots []Slot) error {
	for _, s := range slots {
		m := coll.Maps[s.Map]
		if s.Prog != "" {
			if err := m.Put(s.Index, coll.Programs[s.Prog]); err != nil {
				return fmt.Errorf("slot %s[%d] = %s: %w", s.Map, s.Index, s.Prog, err)
			}
		} else if err := m.Delete(s.Index); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("slot %s[%d] emptied: %w", s.Map, s.Index, err)
		}
	}
	return nil
}

func contents(coll *carom.Collection) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	for name, m := range coll.Maps {
		if m.Type() == ebpf.ProgramArray || m.Type() == ebpf.ArrayOfMaps || m.Type() == ebpf.RingBuf || name == ".rodata.str" {
			continue
		}
		elems := map[string]string{}
		it := m.Iterate()
		var key, value []byte
		for it.Next(&key, &value) {
			elems[string(key)] = string(value)
		}
		if err := it.Err(); err != nil {
			return nil, fmt.Errorf("map %s: %w", name, err)
		}
		out[name] = elems
	}
	return out, nil
}

// differences lists what two engines see differently, and the kind of the first.
func differences(a, b []state) (kind, text string) {
	var out bytes.Buffer
	differ := func(run int, what string, x, y any) {
		if kind == "" {
			kind = what
		}
		fmt.Fprintf(&out, "run %d: %s\n\ttested %v\n\tjudge  %v\n", run, what, x, y)
	}
	for i := range min(len(a), len(b)) {
		x, y := &a[i], &b[i]
		if x.err != y.err {
			differ(i, "error", x.err, y.err)
		}
		if x.ret != y.ret {
			differ(i, "return value", fmt.Sprintf("%#x", x.ret), fmt.Sprintf("%#x", y.ret))
		}
		if !bytes.Equal(x.data, y.data) {
			differ(i, "packet", fmt.Sprintf("%d: % x", len(x.data), x.data), fmt.Sprintf("%d: % x", len(y.data), y.data))
		}
		if !bytes.Equal(x.ctx, y.ctx) {
			differ(i, "context", fmt.Sprintf("% x", x.ctx), fmt.Sprintf("% x", y.ctx))
		}
		for _, name := range slices.Sorted(maps.Keys(y.maps)) {
			diffMap(x.maps[name], y.maps[name], func(key string, u, v any) {
				differ(i, "map "+name, fmt.Sprintf("key % x: %v", key, u), v)
			})
		}
		if kind != "" {
			break // what follows is a consequence
		}
	}
	return kind, out.String()
}

func diffMap(a, b map[string]string, differ func(key string, x, y any)) {
	keys := maps.Clone(a)
	if keys == nil {
		keys = map[string]string{}
	}
	maps.Copy(keys, b)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		x, inA := a[k]
		y, inB := b[k]
		if inA != inB || x != y {
			differ(k, fmt.Sprintf("%v % x", inA, x), fmt.Sprintf("%v % x", inB, y))
		}
	}
}

// reason is the line of the verifier's log that says why.
func reason(err error) string {
	var v *ebpf.VerifierError
	if !errors.As(err, &v) || len(v.Log) == 0 {
		return err.Error()
	}
	for i := len(v.Log) - 1; i >= 0; i-- {
		if l := v.Log[i]; !statistics(l) {
			return l
		}
	}
	return err.Error()
}

func statistics(l string) bool {
	for _, prefix := range []string{"processed ", "verification time", "stack depth", "mark_precise", "max_states", "peak_states", "Caller passes", "Func#"} {
		if len(l) >= len(prefix) && l[:len(prefix)] == prefix {
			return true
		}
	}
	return l == ""
}
