package helper

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/cilium/ebpf"
)

// refused are programs that Linux does not load; here the run ends with an error.
func refused() []scenario {
	lock := []maps.Spec{{Name: "m", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}}
	ring := []maps.Spec{{Name: "r", Type: ebpf.RingBuf, MaxEntries: 4096}}
	reserve := `
		r1 = map[r] ll
		r2 = 8
		r3 = 0
		call bpf_ringbuf_reserve
		r7 = r0
	`
	submit := `
		r1 = r7
		r2 = 0
		call bpf_ringbuf_submit
	`
	return []scenario{
		{name: "lock taken twice", maps: lock, local: "taken again by its holder", text: program(`
			r1 = map[m][0]+0 ll
			call bpf_spin_lock
			r1 = map[m][0]+0 ll
			call bpf_spin_lock`)},
		{name: "lock not held", maps: lock, local: "is not held by this program", text: program(`
			r1 = map[m][0]+0 ll
			call bpf_spin_unlock`)},
		{name: "lock not aligned", maps: lock, local: "not aligned as struct bpf_spin_lock", text: program(`
			r1 = map[m][0]+2 ll
			call bpf_spin_lock`)},
		{name: "record submitted twice", maps: ring, local: "is not a reserved ring buffer record; submit each record once", text: program(reserve + submit + submit)},
		{name: "submit of other memory", maps: ring, local: "is not a reserved ring buffer record", text: program("r7 = r10\n" + submit)},
		{name: "record kept", maps: ring, local: "held; release each on every path", text: program(reserve)},
		{name: "store past a record", maps: ring, local: "past the end of ring buffer record", text: program(reserve + "*(u8 *)(r7 +8) = 1\n")},
		{name: "store into a submitted record", maps: ring, local: "write of 1 bytes", text: program(reserve + submit + "*(u8 *)(r7 +0) = 1\n")},
		{name: "no map", local: "R1 = 0x5 is not a map", text: program("r1 = 5\nr2 = r10\ncall bpf_map_lookup_elem")},
		{name: "key beyond the stack", local: "read of 4 bytes", text: program("r1 = map[out] ll\nr2 = r10\nr2 += -2\ncall bpf_map_lookup_elem")},
		{name: "probe into NULL", local: "write of 4 bytes at 0x0: NULL pointer", text: program("r1 = 0\nr2 = 4\nr3 = r10\ncall bpf_probe_read_kernel")},
		{name: "no callback", local: "is not a callback of this program", text: program("r1 = 1\nr2 = r10\nr3 = 0\nr4 = 0\ncall bpf_loop")},
		{name: "fault in a callback", local: "NULL pointer", text: program("r1 = 1\nr2 = func[bad] ll\nr3 = 0\nr4 = 0\ncall bpf_loop") + `
			func bad(u32 index, void *ctx) long
				r0 = *(u64 *)(r2 +0)
				exit`},
		{name: "format without end", local: "NULL pointer", text: program("r1 = 0\nr2 = 0\nr3 = 0\nr4 = 0\nr5 = 0\ncall bpf_snprintf")},
		{name: "walk of a map without elements", maps: ring, local: "callback function not allowed for map", text: program("r1 = map[r] ll\nr2 = 0\nr3 = 0\nr4 = 0\ncall bpf_for_each_map_elem")},
	}
}

func TestRefusedCallsEndTheRun(t *testing.T) {
	for _, s := range refused() {
		t.Run(s.name, func(t *testing.T) {
			b := newBench(t, &s)
			var res vm.Result
			err := b.run(b.link(s.text), &res)
			if err == nil || !strings.Contains(err.Error(), s.local) {
				t.Errorf("error %v, want one with %q", err, s.local)
			}
		})
	}
}

// TestFailedRunGivesBack: neither locks nor records survive a run that failed.
func TestFailedRunGivesBack(t *testing.T) {
	s := &scenario{maps: []maps.Spec{
		{Name: "m", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		{Name: "r", Type: ebpf.RingBuf, MaxEntries: 4096},
	}}
	b := newBench(t, s)
	bad := b.link(program(`
		r1 = map[r] ll
		r2 = 8
		r3 = 0
		call bpf_ringbuf_reserve
		r1 = map[m][0]+0 ll
		call bpf_spin_lock
		r0 = 0
		r0 = *(u64 *)(r0 +0)`))
	var res vm.Result
	if err := b.run(bad, &res); err == nil {
		t.Fatal("the program did not fail")
	}
	if word := mem.Load32(mem.Load64(b.maps["m"].Info().Desc + mem.MapData)); word != 0 {
		t.Errorf("lock word is %d after the run", word)
	}
	ring := b.maps["r"].(*maps.Ringbuf)
	reader, err := ring.OpenRingbuf()
	if err != nil {
		t.Fatal(err)
	}
	if errno := ring.Output([]byte("x"), 0); errno != linux.OK {
		t.Fatal(errno)
	}
	if rec, err := reader.Read(); err != nil || string(rec.RawSample) != "x" {
		t.Errorf("read %q, %v; the abandoned record must not be seen", rec.RawSample, err)
	}
	good := b.link(program("r1 = map[m][0]+0 ll\ncall bpf_spin_lock\nr1 = map[m][0]+0 ll\ncall bpf_spin_unlock\n"))
	if err := b.run(good, &res); err != nil {
		t.Error(err)
	}
}

func TestThrowLeavesTheProgram(t *testing.T) {
	b := newBench(t, &scenario{})
	p := b.link(`
		call sub
		r0 = 1
		exit
	func sub() int
		r1 = 1
		r2 = func[cb] ll
		r3 = 0
		r4 = 0
		call bpf_loop
		r0 = 2
		exit
	func cb(u32 index, void *ctx) long
		r1 = 77
		call kfunc:bpf_throw
		r0 = 3
		exit`)
	var res vm.Result
	if err := b.run(p, &res); err != nil || res.R0 != 77 {
		t.Errorf("R0 = %d, %v; want the cookie 77", res.R0, err)
	}
}

// TestNestedWalks: the key of the outer walk stays while the inner one runs, however often.
func TestNestedWalks(t *testing.T) {
	b := newBench(t, &scenario{maps: []maps.Spec{{Name: "m", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 300}}})
	p := b.link(program(`
		*(u64 *)(r10 -8) = 0
		r1 = map[m] ll
		r2 = func[outer] ll
		r3 = r10
		r3 += -8
		r4 = 0
		call bpf_for_each_map_elem
		*(u64 *)(r6 +0) = r0
		r0 = *(u64 *)(r10 -8)
		*(u64 *)(r6 +8) = r0`) + `
	func outer(void *map, void *key, void *value, void *ctx) long
		r6 = r2
		r7 = r4
		r2 = func[inner] ll
		r3 = r7
		r4 = 0
		call bpf_for_each_map_elem
		r1 = *(u32 *)(r6 +0)
		r2 = *(u64 *)(r7 +0)
		r2 += r1
		*(u64 *)(r7 +0) = r2
		r0 = 0
		exit
	func inner(void *map, void *key, void *value, void *ctx) long
		r1 = *(u32 *)(r2 +0)
		r2 = *(u64 *)(r4 +0)
		r2 += r1
		*(u64 *)(r4 +0) = r2
		r0 = 0
		exit`)
	var res vm.Result
	if err := b.run(p, &res); err != nil {
		t.Fatal(err)
	}
	const sum = 300 * 299 / 2
	(&scenario{want: []uint64{300, sum*300 + sum}}).check(t, "carom", b.out())
}

func TestPrintedLines(t *testing.T) {
	var got lines
	s := &scenario{ro: []byte("n=%d s=%s\x00world\x00")}
	b := newBench(t, s)
	b.cpu.SetSink(&got)
	p := b.link(program(`
		r1 = map[ro][0]+0 ll
		r2 = 10
		r3 = 5
		r4 = map[ro][0]+10 ll
		r5 = 0
		call bpf_trace_printk
		*(u64 *)(r6 +0) = r0
		*(u64 *)(r10 -16) = 6
		r4 = map[ro][0]+10 ll
		*(u64 *)(r10 -8) = r4
		r1 = map[ro][0]+0 ll
		r2 = 10
		r3 = r10
		r3 += -16
		r4 = 16
		call bpf_trace_vprintk
		*(u64 *)(r6 +8) = r0
		r1 = map[ro][0]+0 ll
		r2 = 10
		r3 = r10
		r3 += -16
		r4 = 8
		call bpf_trace_vprintk
		*(u64 *)(r6 +16) = r0
		r1 = map[ro][0]+0 ll
		r2 = 5
		r3 = 0
		call bpf_trace_printk
		*(u64 *)(r6 +24) = r0`))
	var res vm.Result
	if err := b.run(p, &res); err != nil {
		t.Fatal(err)
	}
	s.want = []uint64{11, 11, errno(linux.EINVAL), errno(linux.EINVAL)}
	s.check(t, "carom", b.out())
	if want := []string{"n=5 s=world", "n=6 s=world"}; !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q", []string(got), want)
	}
}

// TestRandomIsRepeatable: one seed, one sequence.
func TestRandomIsRepeatable(t *testing.T) {
	var runs [2][]byte
	for i := range runs {
		b := newBench(t, &scenario{})
		b.cpu.SetSeed(42)
		p := b.link(program("call bpf_get_prandom_u32" + store(0) + "call bpf_get_prandom_u32" + store(1)))
		if err := b.cpu.Begin(context.Background()); err != nil {
			t.Fatal(err)
		}
		var res vm.Result
		if err := b.exec(p, &res); err != nil {
			t.Fatal(err)
		}
		b.cpu.End()
		runs[i] = b.out()
	}
	if !slices.Equal(runs[0], runs[1]) || le64(runs[0]) == le64(runs[0][8:]) || le64(runs[0])>>32 != 0 {
		t.Errorf("numbers % x and % x", runs[0][:16], runs[1][:16])
	}
}

// TestLockExcludes: two virtual CPUs add to two words under one lock.
func TestLockExcludes(t *testing.T) {
	const rounds = 2000
	b := newBench(t, &scenario{maps: []maps.Spec{{Name: "m", Type: ebpf.Array, KeySize: 4, ValueSize: 24, MaxEntries: 1}}})
	p := b.link(program(`
		r7 = 2000
	again:
		r1 = map[m][0]+0 ll
		call bpf_spin_lock
		r1 = map[m][0]+0 ll
		r2 = *(u64 *)(r1 +8)
		r2 += 1
		*(u64 *)(r1 +8) = r2
		r2 = *(u64 *)(r1 +16)
		r2 += 1
		*(u64 *)(r1 +16) = r2
		call bpf_spin_unlock
		r7 -= 1
		if r7 != 0 goto again`))
	second, err := b.machine.NewCPU(1)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	var wg sync.WaitGroup
	for _, c := range []*vm.CPU{b.cpu, second} {
		wg.Go(func() {
			if err := c.Begin(context.Background()); err != nil {
				t.Error(err)
				return
			}
			defer c.End()
			var res vm.Result
			c.UseContext(p, 0)
			if err := c.Run(p, 0, 0, vm.Limits{}, &res); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	value := make([]byte, 24)
	b.maps["m"].SysLookup(make([]byte, 4), value, 0)
	if got := [3]uint64{le64(value), le64(value[8:]), le64(value[16:])}; got != [3]uint64{0, 2 * rounds, 2 * rounds} {
		t.Errorf("lock and counters %v, want 0 and %d twice", got, 2*rounds)
	}
}
