//go:build linux

package helper

import (
	"fmt"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/perf"
)

func TestPerfOutputAgreesWithLinux(t *testing.T) {
	needKernel(t)
	for _, c := range perfCases() {
		s := c.scenario()
		var reader *perf.Reader
		out := s.linux(t, nil, func(name string, m *ebpf.Map) {
			if name != "p" {
				return
			}
			var err error
			if reader, err = perf.NewReader(m, 4096); err != nil {
				t.Fatal(err)
			}
		})
		s.check(t, fmt.Sprint("Linux ", c), out)
		reader.SetDeadline(time.Unix(1, 0))
		rec, err := reader.Read()
		if err != nil {
			rec.RawSample = nil
		}
		c.compare(t, "Linux", rec.RawSample)
		reader.Close()
	}
}
