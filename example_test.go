package carom_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/trace"
	"github.com/carom-bpf/carom/world"
)

// Load an object and run one of its programs on a packet. The chain of static slots comes with
// the object.
func Example() {
	spec, err := ebpf.LoadCollectionSpec("examples/static-call/static_call.o")
	if err != nil {
		log.Fatal(err)
	}
	coll, err := carom.NewCollection(spec, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer coll.Close()

	var res carom.Result
	in := carom.Input{Data: make([]byte, 64)}
	if err := coll.Programs["start"].RunInput(context.Background(), &in, &res); err != nil {
		log.Fatal(err)
	}
	var counted uint64
	if err := coll.Variables["counted"].Get(&counted); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("returned %d after %d tail calls, %d attempts were not taken\n", res.Return, res.TailCalls, res.Misses)
	fmt.Println("the last program ran", counted, "times")
	// Output:
	// returned 0 after 33 tail calls, 2 attempts were not taken
	// the last program ran 31 times
}

// An object without static slots: user space decides which program serves which slot.
func ExampleMap_Put() {
	coll := mustLoad("examples/xdp-dispatch/xdp_dispatch.o", nil)
	defer coll.Close()
	ssh := tcpPacket(22)

	verdict, _, err := coll.Programs["xdp_dispatch"].Test(ssh)
	fmt.Println("empty slot:", verdict, err)

	slots := coll.Maps["prog_array"]
	if err := slots.Put(uint32(1), coll.Programs["port22_prog"]); err != nil {
		log.Fatal(err)
	}
	verdict, _, err = coll.Programs["xdp_dispatch"].Test(ssh)
	fmt.Println("port22_prog:", verdict, err)
	// Output:
	// empty slot: 2 <nil>
	// port22_prog: 1 <nil>
}

// Slots that the object fills by .values are there after loading; empty ones are skipped.
func ExampleMap_Iterate() {
	coll := mustLoad("examples/readline/readline.o", nil)
	defer coll.Close()

	names := map[uint32]string{}
	for name, p := range coll.Programs {
		names[uint32(p.ID())] = name
	}
	var slot, id uint32
	it := coll.Maps["handlers"].Iterate()
	for it.Next(&slot, &id) {
		fmt.Println(slot, names[id])
	}
	fmt.Println(it.Err())
	// Output:
	// 135 odd_length
	// 146 even_length
	// <nil>
}

// A chain hands state over in a per-CPU array: a run stays on its virtual CPU.
func ExampleCollection_CPU() {
	coll := mustLoad("examples/tail-context/tail_context.o", &carom.Options{CPUs: 2})
	defer coll.Close()
	ctx := context.Background()

	cpu, err := coll.CPU(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	defer cpu.Release()
	var res carom.Result
	if err := cpu.Run(ctx, coll.Programs["first_prog"], &carom.Input{Data: tcpPacket(80)}, &res); err != nil {
		log.Fatal(err)
	}
	var perCPU []struct{ First, Second uint32 }
	if err := coll.Maps["context"].Lookup(uint32(0), &perCPU); err != nil {
		log.Fatal(err)
	}
	for n, v := range perCPU {
		fmt.Printf("CPU %d: first=%d second=%d\n", n, v.First, v.Second)
	}
	// Output:
	// CPU 0: first=0 second=0
	// CPU 1: first=11 second=22
}

// Stream what probes send. Registers, memory and the current task come with the input.
func ExampleNewPerfReader() {
	coll := mustLoad("examples/readline/readline.o", nil)
	defer coll.Close()
	events, err := carom.NewPerfReader(coll.Maps["events"], 4096)
	if err != nil {
		log.Fatal(err)
	}
	defer events.Close()

	in := carom.Input{
		Registers: []carom.Register{{Name: "ax", Ref: "line"}},
		Memory:    []carom.Memory{{Name: "line", Data: []byte("ll\x00")}},
		World:     &world.World{Task: world.Task{PID: 4211, TGID: 4211, Comm: "bash"}},
	}
	var res carom.Result
	if err := coll.Programs["readline_return"].RunInput(context.Background(), &in, &res); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		rec, err := events.Read()
		if err != nil {
			log.Fatal(err)
		}
		kind := binary.LittleEndian.Uint32(rec.RawSample)
		pid := binary.LittleEndian.Uint32(rec.RawSample[4:])
		line, _, _ := bytes.Cut(rec.RawSample[12:], []byte{0})
		fmt.Printf("event %d from %d: %s\n", kind, pid, line)
	}
	// Output:
	// event 1 from 4211: ll
	// event 3 from 4211: ll
}

// Replace the program in a slot while packets flow. Each run sees the old program or the new one,
// never an empty slot.
func ExampleMap_Update() {
	coll := mustLoad("examples/xdp-dispatch/xdp_dispatch.o", nil)
	defer coll.Close()
	slots := coll.Maps["prog_array"]
	if err := slots.Put(uint32(1), coll.Programs["port22_prog"]); err != nil {
		log.Fatal(err)
	}

	stop, missed := make(chan struct{}), make(chan int)
	go func() {
		in := carom.Input{Data: tcpPacket(22)}
		var res carom.Result
		n := 0
		for {
			select {
			case <-stop:
				missed <- n
				return
			default:
			}
			if err := coll.Programs["xdp_dispatch"].RunInput(context.Background(), &in, &res); err != nil {
				log.Fatal(err)
			}
			n += res.Misses
		}
	}()
	for i := range 1000 {
		next := coll.Programs[[]string{"port8080_prog", "port22_prog"}[i%2]]
		if err := slots.Update(uint32(1), next, ebpf.UpdateAny); err != nil {
			log.Fatal(err)
		}
	}
	close(stop)
	fmt.Println("misses:", <-missed)
	// Output: misses: 0
}

// A helper of the embedder's own. When it returns 0 the run ends at once, and the host goes on
// with the stage that the program asked for.
func ExampleHelper() {
	stages := map[uint64]string{1: "classify", 2: "small", 3: "large"}
	var next string
	coll := mustLoad("examples/unwind/unwind.o", &carom.Options{Helpers: []carom.Helper{{
		Proto: carom.Proto{
			ID: 0x10001, Name: "host_try",
			Args: [5]carom.ArgType{carom.ArgCtx, carom.ArgAnything}, Ret: carom.RetInteger,
		},
		UnwindOnZero: true,
		Func: func(c *carom.Call) uint64 {
			next = stages[c.Args[1]]
			if next == "" {
				return 1 // refused; the program goes on
			}
			return 0
		},
	}}})
	defer coll.Close()

	var res carom.Result
	for stage := "receive"; ; stage = next {
		if err := coll.Programs[stage].RunInput(context.Background(), &carom.Input{Data: make([]byte, 242)}, &res); err != nil {
			log.Fatal(err)
		}
		if res.UnwoundBy == "" {
			fmt.Println(stage, "returned", res.Return)
			return
		}
		fmt.Printf("%s: %s wants %s\n", stage, res.UnwoundBy, next)
	}
	// Output:
	// receive: host_try wants classify
	// classify: host_try wants large
	// large returned 0
}

// A built-in helper replaced by one of the embedder's: bpf_get_current_pid_tgid, number 14.
func ExampleOptions_helpers() {
	coll := mustLoad("examples/readline/readline.o", &carom.Options{Helpers: []carom.Helper{{
		Proto: carom.Proto{ID: 14, Name: "bpf_get_current_pid_tgid"},
		Func:  func(*carom.Call) uint64 { return 77<<32 | 77 },
	}}})
	defer coll.Close()
	events, err := carom.NewPerfReader(coll.Maps["events"], 4096)
	if err != nil {
		log.Fatal(err)
	}
	defer events.Close()
	in := carom.Input{
		Registers: []carom.Register{{Name: "ax", Ref: "line"}},
		Memory:    []carom.Memory{{Name: "line", Data: []byte("ls\x00")}},
	}
	if err := coll.Programs["readline_return"].RunInput(context.Background(), &in, new(carom.Result)); err != nil {
		log.Fatal(err)
	}
	rec, err := events.Read()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("pid", binary.LittleEndian.Uint32(rec.RawSample[4:]))
	// Output: pid 77
}

// Every hop, every hop that was not taken, and every printed line, as it happens.
func ExampleCollection_SetSink() {
	coll := mustLoad("examples/tail-context/tail_context.o", nil)
	defer coll.Close()
	err := coll.SetSink(trace.SinkFunc(func(e *trace.Event) {
		switch e.Kind {
		case trace.Hop:
			fmt.Printf("%s -> %s[%d] -> %s\n", e.From, e.Map, e.Index, e.To)
		case trace.Miss:
			fmt.Printf("%s -> %s[%d]: %s\n", e.From, e.Map, e.Index, e.Reason)
		case trace.Printk:
			fmt.Printf("%s: %s\n", e.From, e.Text)
		}
	}))
	if err != nil {
		log.Fatal(err)
	}
	if _, _, err := coll.Programs["first_prog"].Test(tcpPacket(80)); err != nil {
		log.Fatal(err)
	}
	if err := coll.Maps["chain"].Delete(uint32(1)); err != nil {
		log.Fatal(err)
	}
	if _, _, err := coll.Programs["first_prog"].Test(tcpPacket(80)); err != nil {
		log.Fatal(err)
	}
	// Output:
	// first_prog -> chain[0] -> second_prog
	// second_prog -> chain[1] -> third_prog
	// third_prog: first=11 second=22
	// first_prog -> chain[0] -> second_prog
	// second_prog -> chain[1]: empty slot
}

// Counters for each tail-call site, cheap enough to be on all the time.
func ExampleCollection_Edges() {
	coll := mustLoad("examples/static-call/static_call.o", &carom.Options{CountEdges: carom.CountOn})
	defer coll.Close()
	if _, _, err := coll.Programs["start"].Test(make([]byte, 64)); err != nil {
		log.Fatal(err)
	}
	edges, err := coll.Edges()
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range edges {
		fmt.Println(e.From, e.Index, e.Reason, e.To, e.Count)
	}
	// Output:
	// classify 4 taken set_mark 1
	// count_up 9 taken count_up 30
	// count_up 9 limit of 33 reached  1
	// set_mark 9 taken count_up 1
	// start 6 empty slot  1
	// start 1 taken classify 1
}

// loadTailContext is what bpf2go generates for the caller.
func loadTailContext() (*ebpf.CollectionSpec, error) {
	return ebpf.LoadCollectionSpec("examples/tail-context/tail_context.o")
}

// Structs as bpf2go generates them: only the types of the handles differ. A PROG_ARRAY keeps its
// slots until the last of the handles is closed, also when no field asks for it.
func ExampleLoadAndAssign() {
	type programs struct {
		First *carom.Program `ebpf:"first_prog"`
	}
	type maps struct {
		Context *carom.Map `ebpf:"context"`
	}
	var objs struct {
		programs
		maps
	}

	spec, err := loadTailContext()
	if err != nil {
		log.Fatal(err)
	}
	if err := carom.LoadAndAssign(spec, &objs, &carom.Options{CPUs: 1}); err != nil {
		log.Fatal(err)
	}
	defer objs.First.Close()
	defer objs.Context.Close()

	if _, err := objs.First.Run(&ebpf.RunOptions{Data: tcpPacket(80)}); err != nil {
		log.Fatal(err)
	}
	var state []struct{ First, Second uint32 }
	if err := objs.Context.Lookup(uint32(0), &state); err != nil {
		log.Fatal(err)
	}
	fmt.Println(state)
	// Output: [{11 22}]
}

// What went wrong in a run, as data.
func ExampleRuntimeError() {
	coll := mustLoad("examples/static-call/static_call.o", &carom.Options{Budget: 40})
	defer coll.Close()
	_, _, err := coll.Programs["start"].Test(make([]byte, 64))
	re := new(carom.RuntimeError)
	if errors.As(err, &re) {
		fmt.Println(re.Program+":", re.Code)
	}
	// Output: count_up: instruction budget exhausted
}

func mustLoad(object string, opts *carom.Options) *carom.Collection {
	spec, err := ebpf.LoadCollectionSpec(object)
	if err != nil {
		log.Fatal(err)
	}
	coll, err := carom.NewCollection(spec, opts)
	if err != nil {
		log.Fatal(err)
	}
	return coll
}

// tcpPacket is a SYN to a port, over IPv4 and Ethernet, 60 bytes long.
func tcpPacket(port uint16) []byte {
	p := make([]byte, 60)
	p[12], p[13] = 0x08, 0x00         // IPv4
	p[14], p[17], p[23] = 0x45, 40, 6 // header of 20 bytes, 40 in all, TCP
	binary.BigEndian.PutUint16(p[36:], port)
	p[46], p[47] = 0x50, 0x02 // header of 20 bytes, SYN
	return p
}
