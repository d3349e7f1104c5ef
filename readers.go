package carom

import (
	"github.com/carom-bpf/carom/internal/engine"
)

// PerfRecord is one sample of a PERF_EVENT_ARRAY, or, with LostSamples set, a count of samples
// that found no room.
type PerfRecord = engine.PerfRecord

// PerfReader reads the samples that programs put into a PERF_EVENT_ARRAY, in order for each CPU.
// It has the methods of cilium/ebpf's perf.Reader.
type PerfReader = engine.PerfReader

// PerfReaderOptions are cilium/ebpf's perf.ReaderOptions.
type PerfReaderOptions = engine.PerfOptions

// RingbufRecord is one record of a RINGBUF.
type RingbufRecord = engine.RingbufRecord

// RingbufReader reads the records of a RINGBUF in the order in which programs reserved them. It
// has the methods of cilium/ebpf's ringbuf.Reader.
type RingbufReader = engine.RingbufReader

// NewPerfReader opens a PERF_EVENT_ARRAY for reading, with a buffer of so many bytes for each CPU.
// Until a reader is open, programs get -ENOENT from bpf_perf_event_output.
func NewPerfReader(m *Map, perCPUBuffer int) (PerfReader, error) {
	return NewPerfReaderWithOptions(m, perCPUBuffer, PerfReaderOptions{})
}

// NewPerfReaderWithOptions is NewPerfReader with options.
func NewPerfReaderWithOptions(m *Map, perCPUBuffer int, opts PerfReaderOptions) (PerfReader, error) {
	r, err := m.core.PerfReader(perCPUBuffer, opts)
	return r, m.fail("open perf reader", err)
}

// NewRingbufReader opens a RINGBUF for reading.
func NewRingbufReader(m *Map) (RingbufReader, error) {
	r, err := m.core.RingbufReader()
	return r, m.fail("open ring buffer reader", err)
}
