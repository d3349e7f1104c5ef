package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"time"

	"github.com/carom-bpf/carom"
)

// timings is how long the steps to the first verdict took.
type timings struct {
	Read    time.Duration `json:"read_ns"`    // and parse the object
	Load    time.Duration `json:"load_ns"`    // make maps and virtual CPUs, link programs
	Verify  time.Duration `json:"verify_ns"`  // all programs
	Compile time.Duration `json:"compile_ns"` // all programs, to machine code
	Run     time.Duration `json:"run_ns"`     // the first input
	// Verdict is when the first run had ended, in nanoseconds since 1970.
	Verdict int64 `json:"verdict_unix_ns"`
}

func (t *timings) loaded(coll *carom.Collection, all time.Duration) {
	if t == nil {
		return
	}
	parts := coll.LoadTimes()
	t.Verify, t.Compile = parts.Verify, parts.Compile
	t.Load = all - parts.Verify - parts.Compile
}

// ran notes the first run; others change nothing.
func (t *timings) ran(elapsed time.Duration) {
	if t != nil && t.Verdict == 0 {
		t.Run, t.Verdict = elapsed, time.Now().UnixNano()
	}
}

func (t *timings) write(w io.Writer) error {
	if t == nil {
		return nil
	}
	_, err := fmt.Fprintf(w, "read %s, load %s, verify %s, compile %s, first run %s\n",
		rounded(t.Read), rounded(t.Load), rounded(t.Verify), rounded(t.Compile), rounded(t.Run))
	return err
}

// profiled calls run and, when that was asked for, writes where its time went.
func (f *runFlags) profiled(run func() error) error {
	if f.cpuProfile == "" {
		return run()
	}
	file, err := os.Create(f.cpuProfile)
	if err != nil {
		return fileError(f.cpuProfile, err, "check the file that --cpuprofile names")
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return errors.Join(err, file.Close())
	}
	err = run()
	pprof.StopCPUProfile()
	return errors.Join(err, file.Close())
}
