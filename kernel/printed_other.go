//go:build !linux

package kernel

import (
	"time"

	"github.com/carom-bpf/carom"
)

// Printer reads what programs print with bpf_trace_printk; there is none on this system.
type Printer struct{}

// NewPrinter reports that the system has none.
func NewPrinter(*carom.Collection) (*Printer, error) { return nil, available() }

// Read returns nothing.
func (*Printer) Read(time.Duration) ([]Printed, error) { return nil, nil }

// Lost is 0.
func (*Printer) Lost() uint64 { return 0 }

// Close does nothing.
func (*Printer) Close() error { return nil }
