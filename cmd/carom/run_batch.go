package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/carom-bpf/carom"
	"github.com/cilium/ebpf"
)

// batchSize is how many packets are read and run at a time.
const batchSize = 256

// batch is packets on their way from the reader to a virtual CPU and back.
type batch struct {
	in    []carom.Input
	res   []carom.Result
	data  []byte // of all packets
	ends  []int  // of each packet in data
	first uint64 // number of the first input, from 1
}

// batches reports whether packets can be run in batches: nothing is printed or written for each of
// them but what programs print. Several virtual CPUs take packets in turn, in the order of the
// capture, unless --parallel says that the order does not matter.
func (s *session) batches() bool {
	f := s.flags
	return f.pcap != "" && !f.timings && s.clock == nil && s.writer == nil && len(s.records) == 0 && s.side == nil && s.judge == nil &&
		!f.trace && f.dataOut == "" && f.ctxOut == "" && (f.cpus == 1 || f.parallel)
}

// runBatches is runAll in batches: one goroutine reads, and each virtual CPU runs what it gets.
func (s *session) runBatches(parent context.Context, ctxIn []byte, cpus []*carom.CPU) error {
	ctx, stop := context.WithCancel(parent)
	defer stop()
	full, free := make(chan *batch, 2*len(cpus)), make(chan *batch, 2*len(cpus)+len(cpus)+1)
	for range cap(free) {
		free <- &batch{in: make([]carom.Input, 0, batchSize), res: make([]carom.Result, batchSize)}
	}
	var readErr error
	go func() {
		defer close(full)
		readErr = s.readBatches(ctx, ctxIn, full, free)
	}()
	workers := make([]batchWorker, len(cpus))
	var all sync.WaitGroup
	var mu sync.Mutex // guards s.sum; in parallel, s.out belongs to the sink
	for i := range workers {
		w := &workers[i]
		w.session, w.cpu, w.mu = s, cpus[i], &mu
		all.Go(func() {
			for b := range full {
				if w.err == nil {
					if w.err = w.run(ctx, b); w.err != nil {
						stop()
					}
				}
				free <- b
			}
		})
	}
	all.Wait()
	var errs []error
	for i := range workers {
		workers[i].finish()
		if err := workers[i].err; err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, err)
		}
	}
	switch {
	case len(errs) > 0:
		return errs[0]
	case parent.Err() != nil:
		return fmt.Errorf("interrupted after %d inputs: %w", s.sum.Inputs, parent.Err())
	}
	return readErr
}

// readBatches fills batches until there are no more packets.
func (s *session) readBatches(ctx context.Context, ctxIn []byte, full chan<- *batch, free <-chan *batch) error {
	for number := uint64(1); ctx.Err() == nil; {
		b := <-free
		b.first = number
		err := b.fill(s.source, carom.Input{Context: ctxIn, Repeat: s.flags.repeat, DiscardData: true})
		number += uint64(len(b.in))
		if len(b.in) > 0 {
			full <- b
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fill reads packets. Those before an error are in the batch.
func (b *batch) fill(from source, in carom.Input) (err error) {
	b.in, b.data, b.ends = b.in[:0], b.data[:0], b.ends[:0]
	for len(b.ends) < batchSize {
		if err = from.next(&in); err != nil {
			break
		}
		b.data = append(b.data, in.Data...)
		b.ends = append(b.ends, len(b.data))
	}
	start := 0
	for _, end := range b.ends { // now that data stays where it is
		in.Data = b.data[start:end:end]
		b.in, start = append(b.in, in), end
	}
	return err
}

// batchWorker runs batches on one virtual CPU.
type batchWorker struct {
	session *session
	cpu     *carom.CPU
	mu      *sync.Mutex
	plain   [8]uint64 // how often small values were returned, and nothing else happened
	err     error
}

// run runs a batch. Inputs that are refused are counted and left out.
func (w *batchWorker) run(ctx context.Context, b *batch) error {
	s := w.session
	for at := 0; at < len(b.in); {
		start := time.Now()
		n, err := w.cpu.RunBatch(ctx, s.entry, b.in[at:], b.res[at:len(b.in)])
		elapsed := time.Since(start)
		w.mu.Lock()
		s.sum.elapsed += elapsed
		s.sum.Inputs += uint64(n)
		w.count(b.in[at:at+n], b.res[at:at+n])
		at += n
		if err != nil {
			err = w.failed(b.first+uint64(at), err)
			at++
		}
		if err == nil && !s.flags.parallel && s.out.Buffered() > 0 {
			err = s.out.Flush()
		}
		s.progress.show(s.sum.Inputs)
		w.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// failed counts an input that was refused, or returns why the run went wrong.
func (w *batchWorker) failed(number uint64, err error) error {
	sum := w.session.sum
	sum.Inputs++
	if key, refused := refusal(err); refused {
		sum.refused[key]++
		return nil
	}
	sum.Runs++
	return runError(number, err)
}

// count adds results to the summary, the usual ones without names.
func (w *batchWorker) count(in []carom.Input, res []carom.Result) {
	sum := w.session.sum
	for i := range res {
		r := &res[i]
		if r.Redirect.Set || r.UnwoundBy != "" || r.Return >= uint64(len(w.plain)) || sum.names.typ == ebpf.SocketFilter {
			sum.count(&in[i], r)
			continue
		}
		w.plain[r.Return]++
		sum.Runs += uint64(max(in[i].Repeat, 1))
		sum.Insns += r.Instructions
	}
}

func (w *batchWorker) finish() {
	sum := w.session.sum
	for value, n := range w.plain {
		if n > 0 {
			sum.verdicts[verdictKey{sum.names.name(uint64(value), &carom.Redirect{}, 0), int32(value)}] += n
		}
	}
}
