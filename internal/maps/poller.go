package maps

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFlushed is what a reader returns after Flush, once it has returned what was in the buffer.
var ErrFlushed = errors.New("data was flushed")

// poller is what a reader of a buffer blocks on.
type poller struct {
	wake    chan struct{} // the producer has data
	flush   chan struct{}
	retime  chan struct{} // the deadline changed
	closed  chan struct{}
	once    sync.Once
	timeout atomic.Pointer[time.Time] // nil for none
}

func newPoller() *poller {
	return &poller{
		wake: make(chan struct{}, 1), flush: make(chan struct{}, 1),
		retime: make(chan struct{}, 1), closed: make(chan struct{}),
	}
}

// poke sets a signal that stays set until it is seen. It never waits.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// seen clears a signal and reports whether it was set.
func seen(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (p *poller) setDeadline(t time.Time) {
	if t.IsZero() {
		p.timeout.Store(nil)
	} else {
		p.timeout.Store(&t)
	}
	poke(p.retime)
}

func (p *poller) close() { p.once.Do(func() { close(p.closed) }) }

func (p *poller) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

// wait returns nil when there may be data, otherwise ErrFlushed or an error that wraps
// os.ErrDeadlineExceeded or os.ErrClosed.
func (p *poller) wait() error {
	for {
		switch {
		case p.isClosed():
			return fmt.Errorf("reader: %w", os.ErrClosed)
		case seen(p.flush):
			return ErrFlushed
		case seen(p.wake):
			return nil
		}
		var expired <-chan time.Time
		if t := p.timeout.Load(); t != nil {
			d := time.Until(*t)
			if d <= 0 {
				return fmt.Errorf("reader: %w", os.ErrDeadlineExceeded)
			}
			expired = time.After(d)
		}
		select {
		case <-p.closed:
		case <-p.flush:
			return ErrFlushed
		case <-p.wake:
			return nil
		case <-p.retime:
		case <-expired:
		}
	}
}
