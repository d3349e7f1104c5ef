package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
	"github.com/cilium/ebpf"
	"github.com/spf13/cobra"
)

// attachFlags are the flags of carom attach.
type attachFlags struct {
	program             string
	places              map[string]*[]string // what each flag that names a place was given
	xdpMode             string
	pid                 int
	slots, sets, events []string
	duration            time.Duration
	pin                 string // directory
	countEdges, json    bool
}

const attachLong = `Load an object into the Linux kernel, attach it and print what its programs report.

Without a flag that names a place, programs are attached where their sections say, for example
SEC("uretprobe//bin/bash:readline"). Lines of trace_printk come from a trace instance of its own,
so other readers of trace_pipe lose nothing; only lines of this object's programs are printed.
Records of perf event arrays and ring buffers are decoded through the object's BTF.

With --count-edges an instrumented copy of each program runs, which counts the tail calls that were
taken, and those that were not with the reason. The counts come at the end. A program that others put
into a slot meanwhile is named by what the slot holds then; the calls that it makes are not seen.

Ctrl-C detaches. While carom runs it holds the program arrays; they are emptied when it ends. With
--pin DIR, maps, programs and attachments get files on bpffs, and all goes on after carom has ended.
Everything is pinned or nothing is attached. To take it off again: rm -r DIR/links DIR

It needs root, or CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN (for tracefs).`

const attachExample = `  carom attach xdp_dispatch.o --xdp veth0 --slot prog_array[1]=port22_prog
  carom attach tail_context.o --cgroup /sys/fs/cgroup/test
  carom attach readline.o --events events:event
  carom attach readline.o --uretprobe /bin/bash:readline --pid 4211 --json
  carom attach filter.o --tc veth0 ingress --duration 10s --count-edges
  carom attach xdp_dispatch.o --xdp veth0 --pin /sys/fs/bpf/dispatch --duration 1s`

func newAttach() *cobra.Command {
	f := &attachFlags{places: map[string]*[]string{}}
	cmd := &cobra.Command{
		Use:     "attach OBJ",
		Short:   "Attach a tail-call chain in the Linux kernel and print what it reports",
		Long:    attachLong,
		Example: attachExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			args, direction := cutDirection(args, len(*f.places["tc"]) > 0)
			if err := oneObject(cmd, args); err != nil {
				return err
			}
			return attachObject(cmd.Context(), args[0], f, direction, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	for _, k := range placeKinds() {
		given := []string{}
		f.places[k.flag] = &given
		fl.StringArrayVar(f.places[k.flag], k.flag, nil, k.usage)
		if k.flag == "xdp" {
			fl.StringVar(&f.xdpMode, "xdp-mode", "", "`MODE` of --xdp: generic or native (default: native if the driver can)")
		}
	}
	fl.IntVar(&f.pid, "pid", 0, "user-space probes only in the `PROCESS` of that id")
	fl.StringVar(&f.program, "prog", "", "`PROGRAM` to attach (default: the one nobody tail-calls)")
	fl.StringArrayVar(&f.slots, "slot", nil, "fill a `SLOT`, MAP[INDEX]=PROGRAM; may be repeated")
	fl.StringArrayVar(&f.sets, "set", nil, "set an `ELEMENT`, MAP[KEY]=VALUE, or VARIABLE=VALUE; may be repeated")
	fl.StringArrayVar(&f.events, "events", nil, "print records of this `MAP` only, MAP[:STRUCT]; may be repeated")
	fl.DurationVar(&f.duration, "duration", 0, "detach after this `TIME`, for example 10s")
	fl.StringVar(&f.pin, "pin", "", "pin all in a `DIR`ECTORY on bpffs, so that it stays when carom ends")
	fl.BoolVar(&f.countEdges, "count-edges", false, "count tail calls; an instrumented copy of the programs runs")
	fl.BoolVar(&f.json, "json", false, "print JSON lines")
	return cmd
}

// cutDirection takes ingress or egress, which belong to --tc, out of the arguments.
func cutDirection(args []string, tc bool) (rest []string, direction string) {
	for _, a := range args {
		if tc && direction == "" && (a == "ingress" || a == "egress") {
			direction = a
			continue
		}
		rest = append(rest, a)
	}
	return rest, direction
}

// attachment is one program and the place that it goes to.
type attachment struct {
	program string
	place   place
}

// attachSession is one carom attach.
type attachSession struct {
	flags    *attachFlags
	coll     *carom.Collection
	attached []*kernel.Attachment
	links    []string // their pins
	records  []*recordMap
	printer  *kernel.Printer
	stream   *stream
}

func attachObject(ctx context.Context, object string, f *attachFlags, direction string, out, errOut io.Writer) error {
	switch {
	case f.duration < 0:
		return usagef("--duration %s: use a positive time", f.duration)
	case f.pin != "" && f.countEdges:
		return usagef("--pin leaves the programs behind and --count-edges instruments them; leave one of the two away")
	}
	spec, err := readObject(object)
	if err != nil {
		return err
	}
	slots, err := parseSlots(f.slots, spec)
	if err != nil {
		return err
	}
	settings, err := parseSettings(f.sets, spec)
	if err != nil {
		return err
	}
	places, err := f.parsePlaces(direction)
	if err != nil {
		return err
	}
	todo, err := assignPrograms(spec, f, places, slots)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	s := &attachSession{flags: f, stream: &stream{out: bufio.NewWriterSize(out, 64<<10), json: f.json}}
	if err := s.load(spec, slots, settings); err != nil {
		return errors.Join(err, s.close())
	}
	err = s.attach(todo)
	if err == nil {
		err = s.warn(errOut)
	}
	if err == nil {
		err = s.follow(ctx)
	}
	if err := errors.Join(err, s.close()); err != nil && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	return nil
}

// untilSignal ends the context when the process is asked to end. A reader of the output that went
// away must not kill it either, because the trace instance has to be removed.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	signals := []os.Signal{syscall.SIGTERM, syscall.SIGPIPE}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signal.NotifyContext(ctx, signals...)
}

// load makes the collection and sets up everything that has to be there before programs run.
func (s *attachSession) load(spec *ebpf.CollectionSpec, slots []slot, settings []setting) error {
	coll, err := carom.NewCollection(spec, s.flags.kernelOptions())
	if err != nil {
		return loadError(err)
	}
	s.coll = coll
	if err := applySlots(coll, slots); err != nil {
		return err
	}
	if err := applySettings(coll, settings); err != nil {
		return err
	}
	if s.records, err = openStreams(coll, spec, s.flags.events); err != nil {
		return err
	}
	if prints(spec) {
		s.printer, err = kernel.NewPrinter(coll)
	}
	return err
}

// attach attaches all programs, or none.
func (s *attachSession) attach(todo []attachment) error {
	if err := s.pinChain(); err != nil {
		return err
	}
	for _, t := range todo {
		a, err := t.place.attach(s.coll.Programs[t.program])
		if err != nil {
			return errors.Join(err, s.unpin())
		}
		s.attached = append(s.attached, a)
	}
	if err := s.pinLinks(); err != nil {
		return errors.Join(err, s.unpin())
	}
	for _, a := range s.attached {
		if err := s.stream.attached(s.coll.Programs[a.Program()], a.Target(), s.flags.countEdges); err != nil {
			return err
		}
	}
	if s.flags.countEdges {
		if err := s.stream.counting(); err != nil {
			return err
		}
	}
	return errors.Join(s.stream.slots(s.coll), s.stream.pinned(s.flags.pin, s.links))
}

// follow prints what comes until the context or the time ends, and what is left after detaching.
func (s *attachSession) follow(ctx context.Context) error {
	if s.flags.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.flags.duration)
		defer cancel()
	}
	if err := s.stream.started(s.flags.duration); err != nil {
		return err
	}
	start := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error)
	readers := 0
	begin := func(read func() error) {
		readers++
		go func() {
			err := read()
			if err != nil {
				cancel() // one reader that fails ends all
			}
			done <- err
		}()
	}
	detached := make(chan struct{})
	for _, r := range s.records {
		begin(func() error { return s.stream.followRecords(r) })
	}
	if s.printer != nil {
		begin(func() error { return s.stream.followPrinter(s.printer, detached) })
	}
	<-ctx.Done()
	errs := []error{s.detach()}
	close(detached)
	for _, r := range s.records {
		errs = append(errs, r.flush())
	}
	for range readers {
		errs = append(errs, <-done)
	}
	took := time.Since(start)
	edges, err := s.edges()
	errs = append(errs, err, s.stream.edges(edges), s.stream.summary(took, s.records, s.printer, edges))
	return errors.Join(errs...)
}

// detach takes the programs off in reverse order.
func (s *attachSession) detach() error {
	var errs []error
	for _, a := range slices.Backward(s.attached) {
		errs = append(errs, a.Close())
	}
	s.attached = nil
	return errors.Join(errs...)
}

func (s *attachSession) close() error {
	errs := []error{s.detach()}
	closeRecords(s.records)
	if s.printer != nil {
		errs = append(errs, s.printer.Close())
	}
	return errors.Join(append(errs, s.coll.Close())...)
}
