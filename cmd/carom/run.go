package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/load"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/kernel"
	"github.com/carom-bpf/carom/trace"
	"github.com/carom-bpf/carom/world"
	"github.com/cilium/ebpf"
	"github.com/spf13/cobra"
)

// runFlags are the flags of carom run.
type runFlags struct {
	program                         string
	pcap, event, dataIn, ctxIn      string
	dataOut, ctxOut, write          string
	repeat, cpus                    int
	slots, sets, dumps, eventStruct []string
	clock                           string
	seed                            uint64
	budget                          int64
	engine, cpuProfile              string
	trace, json, countEdges         bool
	noVerify, parallel, timings     bool
}

const runLong = `Run the programs of an eBPF object in user space, or in the kernel with --engine kernel. In user
space, verified programs run as machine code where the system allows it, the others in the
interpreter; --engine interp interprets everything.

The input is packets (--pcap, or one with --data-in), calls of a probe (--event), or context
bytes (--ctx-in). trace_printk output and records of perf event arrays and ring buffers are
printed as they come, then what ran, which tail calls were taken, which not and why, and the
verdicts.

--engine kernel runs the same inputs through BPF_PROG_TEST_RUN. --engine both runs every input
in user space and in the kernel, prints where verdict, packet, printed lines, records or maps
differ, and exits with 1 if they do.

With --cpus, inputs are dealt to the virtual CPUs in turn, one after the other; with --parallel,
all virtual CPUs run packets at once.`

const runExample = `  carom run xdp_dispatch.o --pcap traffic.pcap --slot prog_array[0]=port8080_prog
  carom run xdp_dispatch.o --data-in packet.bin --data-out - --repeat 1000
  carom run readline.o --event events.jsonl --trace
  carom run tail_context.o --pcap traffic.pcap --dump context --json
  carom run static_call.o --pcap traffic.pcap --engine both`

func newRun() *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:     "run OBJ",
		Short:   "Run a tail-call chain on packets or probe events",
		Long:    runLong,
		Example: runExample,
		Args:    oneObject,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runObject(cmd.Context(), args[0], f, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.program, "prog", "", "first `PROGRAM` (default: the one nobody tail-calls)")
	fl.StringVar(&f.pcap, "pcap", "", "packets from a pcap or pcapng `FILE`, - for standard input")
	fl.StringVar(&f.event, "event", "", "probe calls from a JSON lines `FILE`, - for standard input")
	fl.StringVar(&f.dataIn, "data-in", "", "one packet, raw bytes from a `FILE`, - for standard input")
	fl.StringVar(&f.ctxIn, "ctx-in", "", "context of each run, raw bytes from a `FILE`, - for standard input")
	fl.StringVar(&f.dataOut, "data-out", "", "packet after the run to a `FILE`, - to print it in hex")
	fl.StringVar(&f.ctxOut, "ctx-out", "", "context after the run to a `FILE`, - to print it in hex")
	fl.IntVar(&f.repeat, "repeat", 0, "run `N` times on each input")
	fl.StringVar(&f.write, "write", "", "write every packet as it is after its run to a pcap `FILE`")
	fl.StringArrayVar(&f.slots, "slot", nil, "fill a `SLOT`, MAP[INDEX]=PROGRAM; may be repeated")
	fl.StringArrayVar(&f.sets, "set", nil, "set an `ELEMENT`, MAP[KEY]=VALUE, or VARIABLE=VALUE; may be repeated")
	fl.StringArrayVar(&f.dumps, "dump", nil, "print a `MAP` after the runs; may be repeated")
	fl.StringArrayVar(&f.eventStruct, "events", nil, "`TYPE` of records, MAP:STRUCT (default: named like the map, or event)")
	fl.StringVar(&f.engine, "engine", engineAuto, "`ENGINE`: interp, jit, kernel, both or auto (the best)")
	fl.BoolVar(&f.countEdges, "count-edges", false, "count tail calls in the kernel, by an instrumented copy")
	fl.IntVar(&f.cpus, "cpus", 1, "number `N` of virtual CPUs, 1 to 256")
	fl.BoolVar(&f.parallel, "parallel", false, "run packets on all virtual CPUs at once, in no order")
	fl.StringVar(&f.clock, "clock", "real", "`CLOCK` that programs see: real, pcap or fixed")
	fl.Uint64Var(&f.seed, "seed", 0, "`SEED` of random numbers (default: a random one)")
	fl.Int64Var(&f.budget, "budget", 0, "end a run after `N` instructions (default 2^32)")
	fl.BoolVar(&f.noVerify, "no-verify", false, "run programs that the verifier rejects, in the interpreter")
	fl.BoolVar(&f.noVerify, "skip-verify", false, "the same as --no-verify")
	_ = fl.MarkHidden("skip-verify")
	fl.BoolVar(&f.trace, "trace", false, "print one line for each tail call, taken or not")
	fl.StringVar(&f.cpuProfile, "cpuprofile", "", "write where time went to a `FILE` for go tool pprof")
	fl.BoolVar(&f.timings, "timings", false, "print how long each step to the first verdict took")
	fl.BoolVar(&f.json, "json", false, "print JSON lines, the last one is the summary")
	return cmd
}

// check finds contradictions between flags.
func (f *runFlags) check() error {
	given := 0
	for _, s := range []string{f.pcap, f.event, f.dataIn} {
		if s != "" {
			given++
		}
	}
	stdin := 0
	for _, s := range []string{f.pcap, f.event, f.dataIn, f.ctxIn} {
		if s == "-" {
			stdin++
		}
	}
	switch {
	case given > 1:
		return usagef("--pcap, --event and --data-in are different inputs; give one of them")
	case stdin > 1:
		return usagef("standard input can be read once; give one of the inputs as a file")
	case f.event != "" && f.ctxIn != "":
		return usagef("--event says what the context is; leave out --ctx-in")
	case f.dataOut != "" && f.dataIn == "":
		return usagef("--data-out goes with --data-in; use --write for the packets of --pcap")
	case f.ctxOut != "" && (f.pcap != "" || f.event != ""):
		return usagef("--ctx-out is for one run; give --data-in or --ctx-in instead of a list of inputs")
	case f.write != "" && f.pcap == "" && f.dataIn == "":
		return usagef("--write needs packets; give --pcap or --data-in")
	case f.repeat < 0 || f.repeat > 1<<31-1:
		return usagef("--repeat %d: use 1 to 2147483647", f.repeat)
	case f.cpus < 1 || f.cpus > 256:
		return usagef("--cpus %d: use 1 to 256", f.cpus)
	case f.budget < 0:
		return usagef("--budget %d: use 1 or more instructions", f.budget)
	case f.clock != "real" && f.clock != "pcap" && f.clock != "fixed":
		return usagef("--clock %s: use real, pcap or fixed", f.clock)
	case f.parallel && (f.pcap == "" || f.trace || f.write != "" || f.clock == "pcap" || f.usesKernel()):
		return usagef("--parallel goes with --pcap, without --trace, --write, --clock pcap and the kernel: all these need an order")
	case f.clock == "pcap" && f.pcap == "":
		return usagef("--clock pcap takes the time from packets; give --pcap")
	}
	return f.checkEngine()
}

// session is one carom run.
type session struct {
	flags   *runFlags
	errOut  io.Writer
	coll    *carom.Collection
	entry   *carom.Program
	source  source
	close   []func() error
	clock   *packetClock
	records []*recordMap
	sum     *summary
	out     *bufio.Writer
	printed *counter // below out
	progress
	times  *timings // nil when nobody asks
	writer *packetWriter
	side   *kernelSide // nil: the kernel runs nothing
	judge  *judge      // nil: one engine
}

func runObject(ctx context.Context, object string, f *runFlags, in io.Reader, out, errOut io.Writer) error {
	if err := f.check(); err != nil {
		return err
	}
	start := time.Now()
	spec, err := readObject(object)
	if err != nil {
		return err
	}
	read := time.Since(start)
	if f.usesKernel() {
		if err := kernel.Check(spec); err != nil {
			return fmt.Errorf("%s: %w; use --engine interp with the helpers added in Go", filepath.Base(object), err)
		}
	}
	slots, err := parseSlots(f.slots, spec)
	if err != nil {
		return err
	}
	settings, err := parseSettings(f.sets, spec)
	if err != nil {
		return err
	}
	if err := checkDumps(spec, f.dumps); err != nil {
		return err
	}
	entry, err := chooseEntry(spec, f.program, slots)
	if err != nil {
		return err
	}
	if f.noVerify {
		fmt.Fprintln(errOut, "carom: programs are not verified: the interpreter runs them and checks every access")
	}
	s := &session{flags: f, errOut: errOut, printed: &counter{w: out}, progress: newProgress(errOut)}
	s.out = bufio.NewWriterSize(s.printed, 64<<10)
	defer s.cleanUp()
	if f.timings {
		s.times = &timings{Read: read}
	}
	var context []byte
	if f.ctxIn != "" {
		if context, err = readInput(f.ctxIn, in, "--ctx-in"); err != nil {
			return err
		}
	}
	if err := s.openSource(spec.Programs[entry], in); err != nil {
		return err
	}
	if f.usesKernel() {
		if s.side, err = openKernel(spec, spec.Programs[entry]); err != nil {
			return err
		}
	}
	if err := s.load(spec, entry, slots, settings); err != nil {
		return err
	}
	s.sum = newSummary(filepath.Base(object), s.entry)
	err = f.profiled(func() error { return s.runAll(ctx, context) })
	if err := errors.Join(err, s.finish()); err != nil {
		return err
	}
	return errors.Join(s.judge.verdict(), s.sum.refusal())
}

// openSource finds out where inputs come from.
func (s *session) openSource(entry *ebpf.ProgramSpec, stdin io.Reader) error {
	f := s.flags
	if f.clock == "pcap" {
		s.clock = &packetClock{}
	}
	packets := takesPackets(entry.Type)
	switch {
	case packets && f.event != "":
		return usagef("--event is for probes, %s is a %s program; give --pcap or --data-in", entry.Name, entry.Type)
	case !packets && (f.pcap != "" || f.dataIn != ""):
		return usagef("%s is a %s program and takes no packets; give --event or --ctx-in", entry.Name, entry.Type)
	case packets && f.pcap == "" && f.dataIn == "":
		return usagef("%s is a %s program and needs packets; give --pcap FILE or --data-in FILE", entry.Name, entry.Type)
	case f.dataIn != "":
		data, err := readInput(f.dataIn, stdin, "--data-in")
		s.source = &onceSource{data: data}
		return err
	case f.pcap != "":
		r, err := openInput(f.pcap, stdin, "--pcap")
		if err != nil {
			return err
		}
		s.close = append(s.close, r.Close)
		s.source, err = newPcapSource(f.pcap, r, s.clock)
		return err
	case f.event != "":
		r, err := openInput(f.event, stdin, "--event")
		if err != nil {
			return err
		}
		s.close = append(s.close, r.Close)
		s.source = newEventSource(f.event, r)
		return nil
	}
	s.source = &onceSource{}
	return nil
}

// load makes the collection and sets it up.
func (s *session) load(spec *ebpf.CollectionSpec, entry string, slots []slot, settings []setting) error {
	f := s.flags
	opts := &carom.Options{
		CPUs: f.cpus, Budget: f.budget, World: s.world(), Sink: s.sink(), CountEdges: carom.CountOn,
	}
	if f.noVerify {
		opts.Verify = carom.VerifySkip
	}
	switch f.engine {
	case engineInterp:
		opts.Engine = carom.Interpreter
	case engineJIT:
		opts.Engine = carom.JIT
	case engineKernel:
		opts = f.kernelOptions()
	}
	start := time.Now()
	coll, err := carom.NewCollection(spec, opts)
	if err != nil {
		return loadError(err)
	}
	s.times.loaded(coll, time.Since(start))
	s.coll, s.entry = coll, coll.Programs[entry]
	tellUnverified(s.errOut, coll)
	if err := applySlots(coll, slots); err != nil {
		return loadError(err)
	}
	if err := applySettings(coll, settings); err != nil {
		return err
	}
	if s.records, err = openRecords(coll, spec, f.eventStruct); err != nil {
		return err
	}
	if f.engine == engineBoth {
		if err := s.newJudge(spec, entry, slots, settings); err != nil {
			return err
		}
		if err := coll.SetSink(trace.Tee(s.sink(), trace.SinkFunc(s.judge.listen))); err != nil {
			return err
		}
	}
	if f.write != "" {
		s.writer, err = newPacketWriter(f.write, s.entry.Type())
	}
	return err
}

// loadError says once which program is meant.
func loadError(err error) error {
	var link *load.Error
	var owner *maps.OwnerError
	var bad *maps.Error
	var rejected *carom.VerifierError
	switch {
	case errors.As(err, &rejected):
		return rejectedError{rejected}
	case errors.As(err, &link):
		return link
	case errors.As(err, &owner):
		return fmt.Errorf("%w; put programs of one kind into a program array", err)
	case errors.As(err, &bad) && bad.Op == "create" && !strings.Contains(bad.Reason, "; "):
		return fmt.Errorf("%w; correct the definition of map %s and compile the object again", err, bad.Map)
	}
	return err
}

// world is the environment of runs. The task is carom itself, with a made-up number where the
// output has to be the same each time.
func (s *session) world() *world.World {
	w := &world.World{Seed: s.flags.seed, Task: world.Task{PID: 1, TGID: 1, Comm: "carom"}}
	switch s.flags.clock {
	case "pcap":
		w.Clock = s.clock
	case "fixed":
		w.Clock = fixedTime
	default:
		w.Clock = world.RealClock()
		w.Task.PID, w.Task.TGID = uint32(os.Getpid()), uint32(os.Getpid())
	}
	if s.side != nil { // what the kernel sees
		w.Task.PID, w.Task.TGID, w.Task.Comm = uint32(s.side.tid), uint32(os.Getpid()), comm()
	}
	return w
}

// sink prints what happens during runs.
func (s *session) sink() trace.Sink {
	if s.flags.json {
		all := trace.NewJSON(s.out)
		if s.flags.trace {
			return all
		}
		return trace.Only(trace.Printk, all)
	}
	if s.flags.trace {
		return trace.Tee(trace.NewHops(s.out), trace.NewPipe(s.out))
	}
	return trace.NewPipe(s.out)
}

// runAll runs the entry on every input.
func (s *session) runAll(ctx context.Context, context []byte) error {
	in := carom.Input{Context: context, Repeat: s.flags.repeat}
	in.ContextOut = s.flags.ctxOut != "" || s.writer.needsContext()
	cpus, err := s.pin(ctx)
	if err != nil {
		return err
	}
	defer func() {
		for _, c := range cpus {
			c.Release()
		}
	}()
	if s.batches() {
		return s.runBatches(ctx, context, cpus)
	}
	var res carom.Result
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted after %d inputs: %w", n, err)
		}
		err := s.source.next(&in)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if in.ContextOut && len(context) == 0 {
			in.Context = contextFor(s.entry.Type(), in.Data)
		}
		if err := s.runOne(ctx, cpus[n%len(cpus)], &in, &res); err != nil {
			return err
		}
		s.progress.show(s.sum.Inputs)
	}
}

// pin reserves all virtual CPUs.
func (s *session) pin(ctx context.Context) ([]*carom.CPU, error) {
	var all []*carom.CPU
	for n := range s.flags.cpus {
		c, err := s.coll.CPU(ctx, n)
		if err != nil {
			return all, err
		}
		all = append(all, c)
	}
	return all, nil
}

// runOne runs the entry on one input. An input that BPF_PROG_TEST_RUN would refuse is counted.
func (s *session) runOne(ctx context.Context, cpu *carom.CPU, in *carom.Input, res *carom.Result) error {
	s.sum.Inputs++
	start := time.Now()
	err := cpu.Run(ctx, s.entry, in, res)
	elapsed := time.Since(start)
	s.sum.elapsed += elapsed
	s.times.ran(elapsed)
	if s.flags.engine == engineKernel {
		if err := s.side.show(s.sink()); err != nil {
			return err
		}
	}
	key, refused := refusal(err)
	switch {
	case refused:
		s.sum.refused[key]++
	case err != nil:
		s.sum.Runs++
		return runError(s.sum.Inputs, err)
	default:
		s.sum.count(in, res)
	}
	for _, r := range s.records {
		if err := r.drain(s.out, s.flags.json); err != nil {
			return err
		}
	}
	if s.judge != nil {
		if err := s.judge.run(ctx, s, cpu.Number(), in, res, err); err != nil {
			return err
		}
	}
	if s.out.Buffered() > 0 {
		if err := s.out.Flush(); err != nil {
			return err
		}
	}
	if refused {
		return nil
	}
	return s.emit(in, res)
}

// emit writes packet and context after a run where they are wanted.
func (s *session) emit(in *carom.Input, res *carom.Result) error {
	if err := s.writer.write(res, s.source); err != nil {
		return err
	}
	if err := writeBytes(s.out, s.flags.dataOut, "data_out", res.Data, s.flags.json); err != nil {
		return err
	}
	return writeBytes(s.out, s.flags.ctxOut, "ctx_out", res.Context, s.flags.json)
}

// finish prints records that are left, dumps and the summary.
func (s *session) finish() error {
	s.progress.clear()
	for _, r := range s.records {
		if err := r.drain(s.out, s.flags.json); err != nil {
			return err
		}
	}
	for _, name := range s.flags.dumps {
		if err := dumpMap(s.out, s.coll, name, s.flags.json); err != nil {
			return err
		}
	}
	if err := s.sum.finish(s.coll, s.records, s.flags); err != nil {
		return err
	}
	s.sum.Timings = s.times
	write := s.sum.write
	if s.judge != nil {
		write = func(w io.Writer) error { return errors.Join(s.sum.write(w), s.judge.finish(s.coll, s.sum.Inputs)) }
	}
	if s.flags.json {
		write = s.sum.writeJSON
		if s.judge != nil {
			write = func(w io.Writer) error { return errors.Join(s.judge.finish(s.coll, s.sum.Inputs), s.sum.writeJSON(w)) }
		}
	} else if s.printed.n > 0 || s.out.Buffered() > 0 {
		fmt.Fprintln(s.out)
	}
	if err := errors.Join(write(s.out), s.out.Flush(), s.writer.close()); err != nil {
		return err
	}
	return nil
}

func (s *session) cleanUp() {
	_ = s.out.Flush()
	closeRecords(s.records)
	s.judge.close()
	if s.side != nil {
		_ = s.side.close()
	}
	if s.coll != nil {
		_ = s.coll.Close()
	}
	for _, c := range s.close {
		_ = c()
	}
}
