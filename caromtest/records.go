package caromtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

// records are what programs sent, by map.
type records map[string][][]byte

// recordReader takes records of one map until there are none.
type recordReader interface {
	SetDeadline(time.Time)
	Close() error
}

const perfBuffer = 64 << 10 // bytes for each CPU

// openReaders opens all maps that programs send records to.
func (b *bench) openReaders() error {
	b.readers = map[string]recordReader{}
	for name, m := range b.maps {
		if slices.Contains(b.c.Unread, name) {
			continue
		}
		var r recordReader
		var err error
		switch m.Type() {
		case ebpf.PerfEventArray:
			r, err = carom.NewPerfReader(m, perfBuffer)
		case ebpf.RingBuf:
			r, err = carom.NewRingbufReader(m)
		default:
			continue
		}
		if err != nil {
			return err
		}
		b.readers[name] = r
	}
	return nil
}

// closeReaders ends all reading.
func (b *bench) closeReaders() error {
	var errs []error
	for _, r := range b.readers {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// drain takes all records that are there, which must come from a CPU.
func (b *bench) drain(cpu int) (records, error) {
	out := records{}
	for name, r := range b.readers {
		r.SetDeadline(time.Unix(1, 0))
		for {
			raw, err := readRecord(r, cpu)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("map %s: %w", name, err)
			}
			out[name] = append(out[name], raw)
		}
	}
	return out, nil
}

func readRecord(r recordReader, cpu int) ([]byte, error) {
	if r, ok := r.(carom.PerfReader); ok {
		rec, err := r.Read()
		switch {
		case err != nil:
		case rec.LostSamples != 0:
			err = fmt.Errorf("%d samples lost", rec.LostSamples)
		case rec.CPU != cpu:
			err = fmt.Errorf("a sample of CPU %d, want CPU %d only", rec.CPU, cpu)
		}
		return bytes.Clone(rec.RawSample), err
	}
	rec, err := r.(carom.RingbufReader).Read()
	return bytes.Clone(rec.RawSample), err
}

// collect takes the records of a step and checks those that are expected.
func (b *bench) collect(name string, s *Step, pid uint32) records {
	got, err := b.drain(s.CPU)
	if err != nil {
		b.problem("%s: %v", name, err)
	}
	for m, list := range got {
		if s.Probe == nil {
			break
		}
		for i, r := range list {
			b.hidePID(fmt.Sprintf("%s: record %d of %s", name, i, m), s.Probe, r, pid)
		}
	}
	for m, want := range s.Want.Records {
		if !slices.EqualFunc(got[m], want, bytes.Equal) {
			b.problem("%s: records of %s are\n\t% x, want\n\t% x", name, m, got[m], want)
		}
	}
	return got
}

// hidePID replaces the number of the task, which differs between the engines, by 0.
func (b *bench) hidePID(where string, p *Probe, record []byte, pid uint32) {
	for _, off := range p.PIDAt {
		if off+4 > len(record) {
			b.problem("%s: %d bytes, want a process number at %d", where, len(record), off)
			continue
		}
		want, _ := encode(pid)
		if !bytes.Equal(record[off:off+4], want) {
			b.problem("%s: process number % x at %d, want % x", where, record[off:off+4], off, want)
		}
		clear(record[off : off+4])
	}
}

// equal compares records of two engines, map by map.
func (r records) equal(other records) bool {
	if len(r) != len(other) {
		return false
	}
	for m, list := range r {
		if !slices.EqualFunc(list, other[m], bytes.Equal) {
			return false
		}
	}
	return true
}
