package kernel

import (
	"errors"

	"github.com/cilium/ebpf/perf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/maps"
)

// flushed gives the end of a flush the error that it has on all engines.
func flushed(err error) error {
	if errors.Is(err, perf.ErrFlushed) || errors.Is(err, ringbuf.ErrFlushed) {
		return maps.ErrFlushed
	}
	return err
}

// perfReader is cilium/ebpf's reader with the records of package engine.
type perfReader struct {
	*perf.Reader
}

func (m *kmap) PerfReader(perCPUBuffer int, opts engine.PerfOptions) (engine.PerfReader, error) {
	r, err := perf.NewReaderWithOptions(m.m, perCPUBuffer, perf.ReaderOptions{
		Watermark: opts.Watermark, Overwritable: opts.Overwritable,
	})
	if err != nil {
		return nil, wrap(err)
	}
	return perfReader{r}, nil
}

func (r perfReader) Read() (engine.PerfRecord, error) {
	var rec engine.PerfRecord
	err := r.ReadInto(&rec)
	return rec, err
}

func (r perfReader) ReadInto(rec *engine.PerfRecord) error {
	from := perf.Record{RawSample: rec.RawSample}
	if err := r.Reader.ReadInto(&from); err != nil {
		return flushed(err)
	}
	*rec = engine.PerfRecord{
		CPU: from.CPU, RawSample: from.RawSample, LostSamples: from.LostSamples, Remaining: from.Remaining,
	}
	return nil
}

// ringbufReader is cilium/ebpf's reader with the records of package engine.
type ringbufReader struct {
	*ringbuf.Reader
}

func (m *kmap) RingbufReader() (engine.RingbufReader, error) {
	r, err := ringbuf.NewReader(m.m)
	if err != nil {
		return nil, wrap(err)
	}
	return ringbufReader{r}, nil
}

func (r ringbufReader) Read() (engine.RingbufRecord, error) {
	var rec engine.RingbufRecord
	err := r.ReadInto(&rec)
	return rec, err
}

func (r ringbufReader) ReadInto(rec *engine.RingbufRecord) error {
	from := ringbuf.Record{RawSample: rec.RawSample}
	if err := r.Reader.ReadInto(&from); err != nil {
		return flushed(err)
	}
	*rec = engine.RingbufRecord{RawSample: from.RawSample, Remaining: from.Remaining}
	return nil
}
