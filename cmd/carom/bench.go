package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/kernel"
	"github.com/cilium/ebpf"
	"github.com/spf13/cobra"
)

// benchFlags are the flags of carom bench.
type benchFlags struct {
	programs, engines, slots, sets []string
	pcap, dataIn, ctxIn, native    string
	size, repeatStart              int
	time                           time.Duration
	countEdges, startup, json      bool
}

const benchLong = `Measure the programs of an eBPF object on every engine that is there: the interpreter, the JIT and
the kernel, which runs them through BPF_PROG_TEST_RUN.

Each program runs on the same packet again and again, the engines in turn in many short rounds, so
that what else the machine does meets all of them. Times are the least of all rounds, in
nanoseconds for one run. A ratio to the kernel is that of the least times; behind it stand the
least, the middle and the largest ratio of the rounds.

Packets come from --pcap (the first 64) or --data-in; without them, the packet is a TCP segment to
port 8080 of --size bytes. Setting up packet and context is not part of the times.

--native takes a C file with the same functions, like examples/bench/native/native.c, builds it
with clang -O2 (or what CC says) and measures it beside them.

--startup measures something else: the time from the start of a process to the first verdict, and
how it splits into loading, verifying, compiling and running.`

const benchExample = `  carom bench examples/bench/bench.o
  carom bench examples/bench/bench.o --native examples/bench/native/native.c
  carom bench xdp_dispatch.o --pcap traffic.pcap --slot prog_array[0]=port8080_prog --json
  carom bench xdp_dispatch.o --prog xdp_dispatch --startup`

// maxBenchPackets is how many packets of a capture are measured.
const maxBenchPackets = 64

func newBench() *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use:     "bench OBJ",
		Short:   "Measure programs on every engine, beside the kernel",
		Long:    benchLong,
		Example: benchExample,
		Args:    oneObject,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if f.startup {
				return benchStartup(cmd.Context(), args[0], f, cmd.OutOrStdout())
			}
			return benchObject(cmd.Context(), args[0], f, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringArrayVar(&f.programs, "prog", nil, "measure only this `PROGRAM`; may be repeated")
	fl.StringSliceVar(&f.engines, "engine", nil, "`ENGINES`: interp, jit, kernel (default: all that are there)")
	fl.StringVar(&f.pcap, "pcap", "", "packets from a pcap or pcapng `FILE`, - for standard input")
	fl.StringVar(&f.dataIn, "data-in", "", "one packet, raw bytes from a `FILE`, - for standard input")
	fl.IntVar(&f.size, "size", 1500, "`BYTES` of the packet that is made up without --pcap and --data-in")
	fl.StringVar(&f.ctxIn, "ctx-in", "", "context of each run, raw bytes from a `FILE`")
	fl.StringArrayVar(&f.slots, "slot", nil, "fill a `SLOT`, MAP[INDEX]=PROGRAM; may be repeated")
	fl.StringArrayVar(&f.sets, "set", nil, "set an `ELEMENT`, MAP[KEY]=VALUE, or VARIABLE=VALUE; may be repeated")
	fl.StringVar(&f.native, "native", "", "C `FILE` with the same functions for this machine")
	fl.DurationVar(&f.time, "time", 200*time.Millisecond, "`TIME` for each program on each engine")
	fl.BoolVar(&f.countEdges, "count-edges", false, "count tail calls in user space, as carom run does")
	fl.BoolVar(&f.startup, "startup", false, "measure from process start to the first verdict")
	fl.IntVar(&f.repeatStart, "starts", 20, "number `N` of processes that --startup starts")
	fl.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f *benchFlags) check() error {
	for _, e := range f.engines {
		if !slices.Contains(benchEngines(), e) {
			return usagef("--engine %s: use %s", e, strings.Join(benchEngines(), ", "))
		}
	}
	switch {
	case f.pcap != "" && f.dataIn != "":
		return usagef("--pcap and --data-in are different inputs; give one of them")
	case f.size < minBenchPacket || f.size > 1<<16:
		return usagef("--size %d: use %d to 65536 bytes", f.size, minBenchPacket)
	case f.time <= 0:
		return usagef("--time %s: use a time above 0, for example 200ms", f.time)
	case f.repeatStart < 1:
		return usagef("--starts %d: use 1 or more", f.repeatStart)
	case f.startup && len(f.programs) > 1:
		return usagef("--startup measures one program; give one --prog")
	}
	return nil
}

func benchEngines() []string { return []string{engineInterp, engineJIT, engineKernel} }

// bench is one carom bench.
type bench struct {
	flags    *benchFlags
	spec     *ebpf.CollectionSpec
	slots    []slot
	settings []setting
	packets  [][]byte
	context  []byte
	columns  []*benchColumn
	report   benchReport
}

// benchColumn is one way to run programs.
type benchColumn struct {
	name   string
	coll   *carom.Collection
	cpu    *carom.CPU
	native *nativeProcess
	why    error // it cannot be measured at all
}

func benchObject(ctx context.Context, object string, f *benchFlags, in io.Reader, out, errOut io.Writer) error {
	spec, err := readObject(object)
	if err != nil {
		return err
	}
	b := &bench{flags: f, spec: spec}
	defer b.close()
	if err := b.prepare(in); err != nil {
		return err
	}
	unpin := pinThread()
	defer unpin()
	if err := b.open(ctx); err != nil {
		return err
	}
	b.report.Object, b.report.TimeNs = filepath.Base(object), f.time.Nanoseconds()
	list := f.programs
	if len(list) == 0 {
		list = sortedKeys(spec.Programs)
	}
	progress := newProgress(errOut)
	for i, name := range list {
		if err := b.program(ctx, name); err != nil {
			return err
		}
		progress.show(uint64(i + 1))
	}
	progress.clear()
	b.report.summarise()
	if f.json {
		return writeJSON(out, &b.report)
	}
	if err := b.report.write(out); err != nil {
		return err
	}
	return b.report.failure()
}

// prepare reads the inputs.
func (b *bench) prepare(in io.Reader) (err error) {
	f := b.flags
	for _, name := range f.programs {
		if _, err := findProgram(b.spec, name); err != nil {
			return err
		}
	}
	if b.slots, err = parseSlots(f.slots, b.spec); err != nil {
		return err
	}
	if b.settings, err = parseSettings(f.sets, b.spec); err != nil {
		return err
	}
	if f.ctxIn != "" {
		if b.context, err = readInput(f.ctxIn, in, "--ctx-in"); err != nil {
			return err
		}
	}
	switch {
	case f.dataIn != "":
		data, err := readInput(f.dataIn, in, "--data-in")
		b.packets = [][]byte{data}
		return err
	case f.pcap != "":
		b.packets, err = readPackets(f.pcap, in, maxBenchPackets)
		return err
	}
	b.packets = [][]byte{benchPacket(f.size)}
	return nil
}

// readPackets reads the first packets of a capture.
func readPackets(path string, stdin io.Reader, limit int) ([][]byte, error) {
	r, err := openInput(path, stdin, "--pcap")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	source, err := newPcapSource(path, r, nil)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for len(all) < limit {
		var in carom.Input
		err := source.next(&in)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		all = append(all, slices.Clone(in.Data))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: it has no packets; give a capture that has some", path)
	}
	return all, nil
}

// minBenchPacket has Ethernet, IPv4 and TCP headers.
const minBenchPacket = 14 + 20 + 20

// benchPacket is a TCP segment to port 8080.
func benchPacket(size int) []byte {
	p := make([]byte, size)
	n := size - 14
	copy(p, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0})
	copy(p[14:], []byte{0x45, 0, byte(n >> 8), byte(n), 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1})
	copy(p[34:], []byte{0xc0, 0, 8080 >> 8, 8080 & 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, 2, 0xff, 0xff})
	for i := minBenchPacket; i < size; i++ {
		p[i] = byte(i)
	}
	return p
}

func (b *bench) wants(engine string) bool {
	return len(b.flags.engines) == 0 || slices.Contains(b.flags.engines, engine)
}

// open loads the object on every engine. That one of them is not there is not an error unless it
// was asked for.
func (b *bench) open(ctx context.Context) error {
	for _, name := range benchEngines() {
		if !b.wants(name) {
			continue
		}
		c := &benchColumn{name: name}
		b.columns = append(b.columns, c)
		err := b.load(ctx, c)
		switch {
		case err == nil:
		case name == engineInterp, !errors.Is(err, carom.ErrUnsupported) && name == engineJIT, len(b.flags.engines) > 0:
			return err
		default:
			c.why = err
		}
	}
	if b.flags.native != "" {
		c := &benchColumn{name: nativeName}
		c.native, c.why = startNative(ctx, b.flags.native)
		b.columns = append(b.columns, c)
	}
	for _, c := range b.columns {
		b.report.Engines = append(b.report.Engines, benchPresence{Engine: c.name, Present: c.why == nil, Why: reason(c.why)})
	}
	return nil
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return oneLine(err.Error())
}

func (b *bench) load(ctx context.Context, c *benchColumn) error {
	opts := &carom.Options{CPUs: 1}
	if b.flags.countEdges {
		opts.CountEdges = carom.CountOn
	}
	switch c.name {
	case engineInterp:
		opts.Engine = carom.Interpreter
	case engineJIT:
		opts.Engine = carom.JIT
	case engineKernel:
		if err := kernel.Available(); err != nil {
			return &unavailable{err}
		}
		if err := kernel.Check(b.spec); err != nil {
			return err
		}
		opts = &carom.Options{Engine: kernel.Engine(kernel.Options{})}
	}
	coll, err := carom.NewCollection(b.spec, opts)
	if err != nil {
		return loadError(err)
	}
	c.coll = coll
	if err := applySlots(coll, b.slots); err != nil {
		return loadError(err)
	}
	if err := applySettings(coll, b.settings); err != nil {
		return err
	}
	if c.name != engineKernel { // whose runs stay where the thread is
		c.cpu, err = coll.CPU(ctx, 0)
	}
	return err
}

func (b *bench) close() {
	for _, c := range b.columns {
		if c.cpu != nil {
			c.cpu.Release()
		}
		if c.coll != nil {
			_ = c.coll.Close()
		}
		c.native.close()
	}
}

// program measures one program.
func (b *bench) program(ctx context.Context, name string) error {
	p := benchProgram{Program: name, Type: b.spec.Programs[name].Type.String()}
	var runners []*benchRunner
	for _, c := range b.columns {
		if c.why != nil {
			p.Engines = append(p.Engines, benchTimes{Engine: c.name, Why: reason(c.why)})
			continue
		}
		r := &benchRunner{column: c, inputs: b.inputs(name), program: name}
		if err := r.start(ctx); err != nil {
			if ctx.Err() != nil {
				return err
			}
			p.Engines = append(p.Engines, benchTimes{Engine: c.name, Why: reason(err), failed: !excused(c.name, err)})
			r.close()
			continue
		}
		runners = append(runners, r)
	}
	defer func() {
		for _, r := range runners {
			r.close()
		}
	}()
	if err := measureRounds(ctx, runners, b.flags.time); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, r := range runners {
		p.add(r)
	}
	p.finish()
	b.report.Programs = append(b.report.Programs, p)
	return nil
}

// excused says that a program cannot be measured on an engine, which is not a failure: the kernel
// runs few types of programs on request, and nothing runs some; the compiler and the native file need not know all.
func excused(engine string, err error) bool {
	_, refused := refusal(err)
	return engine == engineKernel || refused || errors.Is(err, carom.ErrUnsupported) || errors.Is(err, linux.ENOTSUPP) ||
		errors.Is(err, errNoMachineCode) || errors.Is(err, errNoNative)
}

// inputs are those of one program.
func (b *bench) inputs(name string) []carom.Input {
	if !takesPackets(b.spec.Programs[name].Type) {
		return []carom.Input{{Context: b.context}}
	}
	var all []carom.Input
	for _, data := range b.packets {
		all = append(all, carom.Input{Data: data, Context: b.context})
	}
	return all
}
