package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carom-bpf/carom"
	"github.com/cilium/ebpf"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// verifyFlags are the flags of carom verify.
type verifyFlags struct {
	program   string
	kernels   []string
	helpers   []string
	log, json bool
}

const verifyLong = `Say for every program of the objects whether Linux would load it, without loading anything.

Of an accepted program it prints what Linux prints below its log: how many instructions were
processed, how many states were saved at once, and the bytes of stack. Of a rejected one it
prints the reason as Linux gives it, the source line, what is wrong in plain words, what to do,
and the path that led there.

With several versions, --kernel answers where the objects will load. Rules of versions that
could not be tried on such a kernel are marked "from source".

The exit code is 3 when a program is rejected, 4 when one needs rules that carom's verifier does
not have yet.`

const verifyExample = `  carom verify xdp_dispatch.o
  carom verify *.o --kernel 6.12,6.18
  carom verify u8_key.o --prog entry --log`

func newVerify() *cobra.Command {
	f := &verifyFlags{}
	cmd := &cobra.Command{
		Use:     "verify OBJ...",
		Short:   "Say whether Linux would load the programs, and explain why not",
		Long:    verifyLong,
		Example: verifyExample,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("no object file; give .o files that clang -target bpf -c wrote: %s OBJ...", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return verifyObjects(cmd.OutOrStdout(), args, f)
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "program" {
			name = "prog"
		}
		return pflag.NormalizedName(name)
	})
	fl.StringVar(&f.program, "prog", "", "verify only this `PROGRAM`")
	fl.StringSliceVar(&f.kernels, "kernel", []string{carom.DefaultKernel},
		"`VERSIONS` of Linux whose rules apply: "+strings.Join(carom.Kernels(), ", "))
	fl.StringSliceVar(&f.helpers, "helper", nil,
		"`NUMBER` of a helper that the host adds; NUMBER:unwind when 0 ends the run")
	fl.BoolVar(&f.log, "log", false, "print the trace that Linux prints at log level 2")
	fl.BoolVar(&f.json, "json", false, "print JSON lines, one for each program and kernel")
	return cmd
}

// Verdicts of carom verify.
const (
	verdictAccepted    = "accepted"
	verdictRejected    = "rejected"
	verdictUnsupported = "not judged" // needs rules that the verifier does not have
	verdictError       = "error"      // cannot be linked
)

// verified is what is known of one program on one kernel.
type verified struct {
	Object  string `json:"object"`
	Program string `json:"program"`
	Type    string `json:"type"`
	Kernel  string `json:"kernel"`
	Verdict string `json:"verdict"`

	Insns      int            `json:"insns,omitempty"`       // processed
	Peak       int            `json:"peak_states,omitempty"` // saved at once
	States     int            `json:"total_states,omitempty"`
	StackDepth int            `json:"stack_depth"` // bytes of the deepest chain of calls
	Functions  []verifiedFunc `json:"functions,omitempty"`
	Time       int64          `json:"time_ns"`

	Reason *verifiedReason `json:"reason,omitempty"`
	Log    string          `json:"log,omitempty"`

	err error // why not
}

type verifiedFunc struct {
	Name  string `json:"name"`
	Stack int    `json:"stack"` // bytes of its frame
}

// verifyObjects verifies all programs of all objects.
func verifyObjects(out io.Writer, paths []string, f *verifyFlags) error {
	for i, k := range f.kernels {
		f.kernels[i] = strings.TrimSpace(k)
		if !slices.Contains(carom.Kernels(), f.kernels[i]) {
			return usagef("--kernel %s: use %s", k, strings.Join(carom.Kernels(), ", "))
		}
	}
	f.kernels = slices.Compact(f.kernels)
	helpers, err := parseHelpers(f.helpers)
	if err != nil {
		return err
	}
	var all []verified
	found := false
	for _, path := range paths {
		spec, data, err := readObjectFile(path)
		if err != nil {
			return err
		}
		names := sortedKeys(spec.Programs)
		if f.program != "" {
			if spec.Programs[f.program] == nil {
				continue
			}
			names = []string{f.program}
		}
		found = true
		rows, err := verifyObject(spec, data, filepath.Base(path), names, helpers, f)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), loadError(err))
		}
		all = append(all, rows...)
		if f.program == "" {
			all = append(all, checkMaps(spec, filepath.Base(path), rows)...)
		}
	}
	if !found {
		return usagef("no object has a program %q; carom verify %s lists those there are", f.program, filepath.Base(paths[0]))
	}
	if err := writeVerified(out, all, f); err != nil {
		return err
	}
	return verifiedError(all)
}

// verifyObject verifies programs of one object on every kernel.
func verifyObject(spec *ebpf.CollectionSpec, data []byte, object string, names []string, helpers []carom.Helper, f *verifyFlags) ([]verified, error) {
	var rows []verified
	for _, kernel := range f.kernels {
		opts := &carom.VerifyOptions{Kernel: kernel, Object: bytes.NewReader(data), Helpers: helpers}
		var log bytes.Buffer
		if f.log {
			opts.Log = &log
		}
		v, err := carom.NewVerifier(spec, opts)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			p := spec.Programs[name]
			if p.Type == ebpf.UnspecifiedProgram {
				continue
			}
			row := verified{Object: object, Program: name, Type: p.Type.String(), Kernel: kernel}
			log.Reset()
			start := time.Now()
			verdict, err := v.Verify(name)
			row.Time = time.Since(start).Nanoseconds()
			row.fill(verdict, err)
			row.Log = log.String()
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// parseHelpers reads --helper. What such a helper takes is not known, so it takes anything.
func parseHelpers(list []string) ([]carom.Helper, error) {
	var out []carom.Helper
	for _, s := range list {
		number, unwind, found := strings.Cut(s, ":")
		id, err := strconv.ParseUint(number, 0, 31)
		if err != nil || id == 0 || found && unwind != "unwind" {
			return nil, usagef("--helper %s: use the number that programs call, or NUMBER:unwind", s)
		}
		h := carom.Helper{UnwindOnZero: found}
		h.ID, h.Name, h.Ret = uint32(id), "helper_"+number, carom.RetInteger
		out = append(out, h)
	}
	return out, nil
}

// checkMaps makes and fills the maps of an object whose programs are accepted, and returns a row when
// that fails.
func checkMaps(spec *ebpf.CollectionSpec, object string, rows []verified) []verified {
	for i := range rows {
		if v := rows[i].Verdict; v == verdictRejected || v == verdictError {
			return nil
		}
	}
	start := time.Now()
	coll, err := carom.NewCollection(spec, &carom.Options{CPUs: 1, Verify: carom.VerifySkip})
	if err == nil {
		_ = coll.Close()
		return nil
	}
	var link *carom.LinkError
	if errors.As(err, &link) {
		return nil // of helpers that user space does not have
	}
	row := verified{Object: object, Program: "(maps)", Type: "-", Kernel: carom.DefaultKernel, Time: time.Since(start).Nanoseconds()}
	row.fill(nil, loadError(err))
	return []verified{row}
}

// fill takes over what the verifier says.
func (r *verified) fill(verdict *carom.Verdict, err error) {
	if err != nil {
		r.err, r.Verdict = err, verdictError
		r.Reason = &verifiedReason{Message: oneLine(err.Error())}
		var rejected *carom.VerifierError
		if errors.As(err, &rejected) {
			r.Verdict, r.Reason = verdictRejected, newReason(rejected)
			if rejected.Reason.Code == carom.VerifierUnsupported {
				r.Verdict = verdictUnsupported
			}
		}
		return
	}
	s := &verdict.Stats
	r.Verdict = verdictAccepted
	r.Insns, r.Peak, r.States, r.StackDepth = s.Insns, s.PeakStates, s.TotalStates, s.StackDepth
	for i, sub := range s.Subprogs {
		name := sub.Name
		switch {
		case name == "" && i == 0:
			name = r.Program
		case name == "":
			name = fmt.Sprintf("func#%d", i)
		}
		r.Functions = append(r.Functions, verifiedFunc{name, sub.Stack})
	}
}

var errRejected = errors.New("rejected")

// verifiedError sums up what did not load.
func verifiedError(all []verified) error {
	count := map[string]int{}
	var first error
	for i := range all {
		count[all[i].Verdict]++
		if all[i].Verdict == verdictError && first == nil {
			first = all[i].err
		}
	}
	switch {
	case count[verdictRejected] > 0:
		return fmt.Errorf("%d of %d verdicts: %w", count[verdictRejected], len(all), errRejected)
	case first != nil:
		return first
	case count[verdictUnsupported] > 0:
		return fmt.Errorf("%d of %d programs cannot be judged: their rules are %w", count[verdictUnsupported], len(all), carom.ErrUnsupported)
	}
	return nil
}
