package caromtest

import (
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
	"github.com/carom-bpf/carom/kernel/tracefs"
	"github.com/carom-bpf/carom/trace"
)

// printed collects what programs print.
type printed interface {
	sink() trace.Sink // nil when the engine takes none
	reset()
	lines() ([]string, error)
	close() error
}

func capture(e carom.Engine) (printed, error) {
	if e.Name() != kernel.Name {
		return &sinkLines{}, nil
	}
	instance, err := tracefs.Open()
	if err != nil {
		return nil, err
	}
	// Lines of other programs on the machine are told apart by the thread.
	runtime.LockOSThread()
	return &kernelLines{instance: instance, tid: threadID()}, nil
}

// sinkLines collects from an engine in user space.
type sinkLines struct {
	mu   sync.Mutex
	text []string
}

func (s *sinkLines) sink() trace.Sink { return s }

func (s *sinkLines) Event(e *trace.Event) {
	if e.Kind != trace.Printk {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, strings.TrimSuffix(string(e.Text), "\n"))
}

func (s *sinkLines) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = nil
}

func (s *sinkLines) lines() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.text), nil
}

func (s *sinkLines) close() error { return nil }

// kernelLines collects from a trace instance.
type kernelLines struct {
	instance *tracefs.Instance
	tid      int
}

func (k *kernelLines) sink() trace.Sink { return nil }

func (k *kernelLines) reset() { _, _ = k.instance.Lines() }

func (k *kernelLines) lines() ([]string, error) {
	all, err := k.instance.Lines()
	var text []string
	for _, l := range all {
		if l.TID == k.tid {
			text = append(text, l.Text)
		}
	}
	return text, err
}

func (k *kernelLines) close() error {
	runtime.UnlockOSThread()
	return k.instance.Close()
}
