package caromtest

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
	"github.com/carom-bpf/carom/trace"
)

// counting is a program that counts its runs in a map, prints and returns 5.
func counting() Case {
	return Case{
		Name: "counting", Prog: "entry", Data: make([]byte, 64),
		Asm: map[string]string{"entry": `
			r1 = map[runs][0]+0 ll
			r2 = *(u64 *)(r1 +0)
			r2 += 1
			*(u64 *)(r1 +0) = r2
			*(u64 *)(r10 -8) = 0x646c25   // "%ld"
			r1 = r10
			r1 += -8
			r2 = 8
			r3 = -3
			call bpf_trace_printk
			r0 = 5
			exit`},
		Maps: map[string]*ebpf.MapSpec{
			"runs":  {Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1},
			"table": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2},
		},
	}
}

func TestRunOnAllEngines(t *testing.T) {
	c := counting()
	c.Steps = []Step{
		{Want: &Want{
			Return: 5, Data: make([]byte, 64), Trace: []string{"-3"},
			Entries: []Entry{{Map: "runs", Key: uint32(0), Value: uint64(1)}},
		}},
		{
			Repeat: 3, Do: []Op{PutProg("table", 1, "entry"), Put("runs", uint32(0), uint64(10))},
			Want: &Want{Return: 5, Entries: []Entry{{Map: "runs", Key: uint32(0), Value: uint64(13)}}},
		},
		{Do: []Op{
			Lookup("runs", uint32(0), uint64(13)), Lookup("runs", uint32(1), nil).Fails(ENOENT),
			Delete("table", uint32(0)).Fails(ENOENT), Delete("table", uint32(1)),
			Put("runs", uint32(0), uint64(1)).Flags(ebpf.UpdateNoExist).Fails(EEXIST),
		}},
	}
	Run(t, c)
}

// Each case is wrong in one way, which must show on every engine.
func TestProblemsAreFound(t *testing.T) {
	for _, tt := range []struct {
		name, problem string
		change        func(*Case)
	}{
		{"return", "returned 5 (0x5), want 6 (0x6)", func(c *Case) { c.Steps = []Step{{Want: &Want{Return: 6}}} }},
		{"packet", "packet is 64 bytes", func(c *Case) {
			c.Steps = []Step{{Want: &Want{Return: 5, Data: make([]byte, 63)}}}
		}},
		{"entry", "map runs, key 0", func(c *Case) {
			c.Steps = []Step{{Want: &Want{Return: 5, Entries: []Entry{{"runs", uint32(0), uint64(2)}}}}}
		}},
		{"absent entry", "want none", func(c *Case) {
			c.Steps = []Step{{Want: &Want{Return: 5, Entries: []Entry{{"runs", uint32(0), nil}}}}}
		}},
		{"trace", `printed ["-3"], want ["-4"]`, func(c *Case) {
			c.Steps = []Step{{Want: &Want{Return: 5, Trace: []string{"-4"}}}}
		}},
		{"errno of a run", "want EINVAL", func(c *Case) { c.Steps = []Step{{Want: &Want{Errno: EINVAL}}} }},
		{"failed run", "run:", func(c *Case) { c.Steps = []Step{{Data: make([]byte, 1), Want: &Want{Return: 5}}} }},
		{"errno of an operation", "want EEXIST", func(c *Case) {
			c.Steps = []Step{{Do: []Op{Delete("table", uint32(0)).Fails(EEXIST)}}}
		}},
		{"failed operation", "delete table[0]: map table: delete:", func(c *Case) { c.Steps = []Step{{Do: []Op{Delete("table", uint32(0))}}} }},
		{"looked up", "want 01 00 00 00 00 00 00 00", func(c *Case) {
			c.Steps = []Step{{Do: []Op{Lookup("runs", uint32(0), uint64(1))}}}
		}},
		{"no such map", "there is no map other", func(c *Case) { c.Steps = []Step{{Do: []Op{Delete("other", 1)}}} }},
		{"no such program", `there is no program "x"`, func(c *Case) { c.Steps = []Step{{Prog: "x", Want: &Want{}}} }},
		{"no such variable", "there is no variable v", func(c *Case) { c.Steps = []Step{{Set: map[string]any{"v": 1}}} }},
		{"not refused", "want it refused with EACCES", func(c *Case) { c.Refused = &Refusal{Errno: EACCES} }},
		{"refused", "MaxEntries", func(c *Case) { c.Maps["runs"].MaxEntries = 0 }},
		{"neither object nor text", "no Object, Asm or Spec", func(c *Case) { c.Asm = nil }},
	} {
		for _, e := range Engines() {
			t.Run(tt.name+"/"+e.Name(), func(t *testing.T) {
				if err := kernel.Available(); e.Name() == kernel.Name && err != nil {
					t.Skip(err)
				}
				c := counting()
				tt.change(&c)
				var ended leftovers
				got := observe(t, &c, subject{engine: e}, &ended).problems
				ended.close(t)
				if tt.name == "refused" && len(got) == 1 {
					return // the text is each engine's own
				}
				if len(got) != 1 || !strings.Contains(got[0], tt.problem) {
					t.Errorf("problems %q, want one with %q", got, tt.problem)
				}
			})
		}
	}
}

func TestDisagreements(t *testing.T) {
	same := func() observed {
		return observed{engine: "a", steps: []state{{
			name: "s", ret: 1, data: []byte{1}, context: []byte{2}, trace: []string{"x"}, edges: edges{},
			maps: map[string]contents{"m": {"k": "value"}, "cpus": {"k": "00000000"}},
		}}}
	}
	for _, tt := range []struct {
		about  string
		change func(*state)
	}{
		{"the return value", func(s *state) { s.ret = 2 }},
		{"the packet", func(s *state) { s.data = []byte{1, 0} }},
		{"the context", func(s *state) { s.context = nil }},
		{"what was printed", func(s *state) { s.trace = nil }},
		{"the records", func(s *state) { s.records = records{"ring": {{1}}} }},
		{"the tail calls", func(s *state) { s.edges = edges{{from: "entry", reason: trace.Empty}: 1} }},
		{"the outcome", func(s *state) { s.failure = "EINVAL" }},
		{"map m, key 6b", func(s *state) { s.maps["m"]["k"] = "valux" }},
		{"map m, key 6b", func(s *state) { delete(s.maps["m"], "k") }},
		{"map m, key 6c", func(s *state) { s.maps["m"]["l"] = "" }},
		{"", func(s *state) { s.maps["cpus"]["k"] = "0000000000000000" }}, // more CPUs
		{"", func(s *state) { s.maps["ignored"] = contents{"k": "v"} }},
	} {
		a, b := same(), same()
		b.engine = "b"
		tt.change(&b.steps[0])
		got := disagreements(&Case{Ignore: []string{"ignored"}}, &a, &b)
		if tt.about == "" {
			if len(got) != 0 {
				t.Errorf("got %q, want none", got)
			}
			continue
		}
		if len(got) != 1 || !strings.Contains(got[0], "disagree about "+tt.about) {
			t.Errorf("got %q, want one about %s", got, tt.about)
		}
	}
}

func TestCasesAreNotChanged(t *testing.T) {
	c := counting()
	c.Steps = []Step{{Want: &Want{Return: 5}}}
	RunOn(t, []carom.Engine{carom.Interpreter}, c, c)
	if m := c.Maps["runs"]; m.Name != "" || len(m.Contents) != 0 {
		t.Errorf("the map's spec was changed: %v", m)
	}
}

// hopping calls itself by way of slot 1 until the limit, and sends a record each time.
func hopping() Case {
	c := counting()
	c.Asm = map[string]string{"entry": `
		r6 = r1
		*(u64 *)(r10 -8) = 7
		r1 = map[ring] ll
		r2 = r10
		r2 += -8
		r3 = 8
		r4 = 0
		call bpf_ringbuf_output
		r1 = r6
		r2 = map[table] ll
		r3 = 1
		call bpf_tail_call
		r0 = 5
		exit`}
	c.Maps["ring"] = &ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: 4096}
	seven := []byte{7, 0, 0, 0, 0, 0, 0, 0}
	c.Steps = []Step{
		{Want: &Want{Return: 5, TailCalls: new(0), Misses: new(1), Records: map[string][][]byte{"ring": {seven}}}},
		{Do: []Op{PutProg("table", 1, "entry")}, Want: &Want{Return: 5, TailCalls: new(33), Misses: new(1)}},
	}
	return c
}

func TestTailCallsAndRecords(t *testing.T) {
	sum := Run(t, hopping())
	if n := sum.By["interpreter"].Ran; n != 1 {
		t.Errorf("%d cases ran on the interpreter, want 1", n)
	}
	ran, counted := sum.By[kernel.Name].Ran, sum.By[EdgeCounts].Ran
	if ran != counted || kernel.Available() == nil && ran != 1 {
		t.Errorf("%d ran on the kernel, %d were counted; want as many: %v", ran, counted, sum)
	}
}

// Wrong counts and records show on the kernel with counters too.
func TestWrongTailCallsAndRecords(t *testing.T) {
	c := hopping()
	c.Steps[0].Want.Records["ring"] = nil
	c.Steps[1].Want.TailCalls, c.Steps[1].Want.Misses = new(32), new(2)
	for _, s := range []subject{{engine: carom.Interpreter, count: carom.CountOn}, withCounters()} {
		t.Run(s.name(), func(t *testing.T) {
			if err := kernel.Available(); s.isKernel() && err != nil {
				t.Skip(err)
			}
			var ended leftovers
			got := strings.Join(observe(t, &c, s, &ended).problems, "\n")
			ended.close(t)
			for _, want := range []string{"records of ring", "33 tail calls taken, want 32", "1 tail calls not taken, want 2"} {
				if !strings.Contains(got, want) {
					t.Errorf("problems %q, want one with %q", got, want)
				}
			}
		})
	}
}

func TestDeclared(t *testing.T) {
	plain, skipped, unsafe := counting(), hopping(), hopping()
	plain.Steps = []Step{{Want: &Want{Return: 5}}}
	skipped.Skip = map[string]string{EdgeCounts: "a reason"}
	unsafe.Unsafe = "another"
	got := Declared([]string{"interpreter", kernel.Name, EdgeCounts}, plain, skipped, unsafe)
	got.Add(Declared([]string{kernel.Name}, plain))
	want := "4 cases; edges: 0 ran, 1 skipped (1 × a reason); interpreter: 3 ran; kernel: 3 ran, 1 skipped (1 × another)"
	if got.String() != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
