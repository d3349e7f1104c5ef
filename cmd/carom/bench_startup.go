package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// startup is what carom bench --startup found out. Times are nanoseconds.
type startup struct {
	Object  string        `json:"object"`
	Starts  int           `json:"starts"`
	Phases  []startupTime `json:"phases"`
	samples map[string][]float64
}

type startupTime struct {
	Phase string `json:"phase"`
	Ns    spread `json:"ns"`
}

// startupPhases are in the order in which they happen, then their sum.
func startupPhases() []string {
	return []string{"start", "read", "load", "verify", "compile", "run", "all"}
}

// benchStartup starts carom run again and again.
func benchStartup(ctx context.Context, object string, f *benchFlags, out io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("the path of carom itself: %w", err)
	}
	args, cleanUp, err := startupArgs(object, f)
	if err != nil {
		return err
	}
	defer cleanUp()
	s := &startup{Object: filepath.Base(object), Starts: f.repeatStart, samples: map[string][]float64{}}
	for range f.repeatStart {
		if err := s.once(ctx, self, args); err != nil {
			return err
		}
	}
	for _, phase := range startupPhases() {
		s.Phases = append(s.Phases, startupTime{phase, spreadOf(s.samples[phase])})
	}
	if f.json {
		return writeJSON(out, s)
	}
	return s.write(out)
}

// startupArgs is the command line of a run with one verdict.
func startupArgs(object string, f *benchFlags) (args []string, cleanUp func(), err error) {
	spec, err := readObject(object)
	if err != nil {
		return nil, nil, err
	}
	slots, err := parseSlots(f.slots, spec)
	if err != nil {
		return nil, nil, err
	}
	program := ""
	if len(f.programs) > 0 {
		program = f.programs[0]
	}
	entry, err := chooseEntry(spec, program, slots)
	if err != nil {
		return nil, nil, err
	}
	args = []string{"run", object, "--prog", entry, "--timings", "--json"}
	if len(f.engines) > 0 {
		args = append(args, "--engine", f.engines[0])
	}
	for _, s := range f.slots {
		args = append(args, "--slot", s)
	}
	for _, s := range f.sets {
		args = append(args, "--set", s)
	}
	for flag, path := range map[string]string{"--ctx-in": f.ctxIn, "--pcap": f.pcap, "--data-in": f.dataIn} {
		if path == "-" {
			return nil, nil, usagef("--startup reads its input again and again; give %s a file", flag)
		}
		if path != "" {
			args = append(args, flag, path)
		}
	}
	if f.pcap != "" || f.dataIn != "" || !takesPackets(spec.Programs[entry].Type) {
		return args, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "carom-bench")
	if err != nil {
		return nil, nil, err
	}
	packet := filepath.Join(dir, "packet")
	if err := os.WriteFile(packet, benchPacket(f.size), 0o600); err != nil {
		_ = os.RemoveAll(dir)
		return nil, nil, err
	}
	return append(args, "--data-in", packet), func() { _ = os.RemoveAll(dir) }, nil
}

// once starts one process. What its own clock does not see is the start: that of the process, of
// the Go runtime and of the command.
func (s *startup) once(ctx context.Context, self string, args []string) error {
	cmd := exec.CommandContext(ctx, self, args...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	began := time.Now().UnixNano()
	out, err := cmd.Output()
	if err != nil {
		return errors.Join(fmt.Errorf("carom %s: %w", strings.Join(args, " "), err), errors.New(strings.TrimSpace(errOut.String())))
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var last summary
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
		return fmt.Errorf("carom %s: its summary: %w", strings.Join(args, " "), err)
	}
	t := last.Timings
	if t == nil || t.Verdict == 0 {
		return fmt.Errorf("carom %s: it ran nothing; give an input", strings.Join(args, " "))
	}
	all := time.Duration(t.Verdict - began)
	parts := []time.Duration{0, t.Read, t.Load, t.Verify, t.Compile, t.Run, all}
	parts[0] = all
	for _, d := range parts[1 : len(parts)-1] {
		parts[0] -= d
	}
	for i, phase := range startupPhases() {
		s.samples[phase] = append(s.samples[phase], float64(parts[i]))
	}
	return nil
}

func (s *startup) write(w io.Writer) error {
	t := &table{head: []string{"ms to the first verdict", ">least", ">middle", ">largest"}}
	what := map[string]string{
		"start": "start of process and command", "read": "read the object", "load": "load: maps, virtual CPUs, linking",
		"verify": "verify", "compile": "compile", "run": "first run", "all": "all of it",
	}
	for _, p := range s.Phases {
		ms := func(ns float64) string { return fmt.Sprintf("%.3f", ns/1e6) }
		t.add(what[p.Phase], ms(p.Ns.Min), ms(p.Ns.Median), ms(p.Ns.Max))
	}
	return t.write(w)
}
