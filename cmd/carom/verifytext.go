package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/linux"
)

// verifiedReason is why a program is not accepted, for --json.
type verifiedReason struct {
	Code        string         `json:"code,omitempty"`
	Errno       string         `json:"errno,omitempty"`
	Message     string         `json:"message"`          // the last line of Linux's log
	Before      []string       `json:"before,omitempty"` // lines above it
	Insn        *int           `json:"insn,omitempty"`
	Register    string         `json:"register,omitempty"`
	File        string         `json:"file,omitempty"`
	Line        int            `json:"line,omitempty"`
	Source      string         `json:"source,omitempty"`
	Found       string         `json:"found,omitempty"`
	Needed      string         `json:"needed,omitempty"`
	Explanation string         `json:"explanation,omitempty"`
	Suggestion  string         `json:"suggestion,omitempty"`
	Path        []verifiedStep `json:"path,omitempty"`
}

type verifiedStep struct {
	Insn   int    `json:"insn"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Source string `json:"source,omitempty"`
	Why    string `json:"why,omitempty"`
}

func newReason(e *carom.VerifierError) *verifiedReason {
	r := &verifiedReason{
		Code: string(e.Reason.Code), Errno: e.Reason.Errno.Name(), Message: e.Reason.Message, Before: e.Reason.Before,
		File: e.File, Line: e.Line, Source: e.Source, Found: e.Reason.Found, Needed: e.Reason.Needed,
		Explanation: e.Explanation, Suggestion: e.Suggestion,
	}
	if e.Reason.Insn >= 0 {
		r.Insn = &e.Reason.Insn
	}
	if e.Reason.Reg >= 0 {
		r.Register = fmt.Sprintf("R%d", e.Reason.Reg)
	}
	for _, s := range e.Path {
		r.Path = append(r.Path, verifiedStep{s.Insn, s.File, s.Line, s.Text, s.Why})
	}
	return r
}

// writeVerified prints the verdicts.
func writeVerified(out io.Writer, all []verified, f *verifyFlags) error {
	if f.json {
		for i := range all {
			if err := writeJSON(out, &all[i]); err != nil {
				return err
			}
		}
		return nil
	}
	var b strings.Builder
	if f.log {
		for i := range all {
			fmt.Fprintf(&b, "%s: %s, Linux %s\n%s\n", all[i].Object, all[i].Program, all[i].Kernel, all[i].Log)
		}
	}
	if len(f.kernels) > 1 {
		writeKernels(&b, all, f.kernels)
	} else {
		writeStats(&b, all)
	}
	writeReasons(&b, all, len(f.kernels) > 1)
	writeEvidence(&b, f.kernels)
	_, err := io.WriteString(out, b.String())
	return err
}

// writeStats prints the numbers of each program.
func writeStats(b *strings.Builder, all []verified) {
	t := table{head: []string{"object", "program", "type", "verdict", ">insns", ">peak states", ">stack", ">time"}}
	var frames strings.Builder
	for i := range all {
		r := &all[i]
		took := time.Duration(r.Time).Round(time.Microsecond).String()
		if r.Verdict != verdictAccepted {
			t.add(r.Object, r.Program, r.Type, r.Verdict, "", "", "", took)
			continue
		}
		t.add(r.Object, r.Program, r.Type, r.Verdict, fmt.Sprint(r.Insns), fmt.Sprint(r.Peak), fmt.Sprint(r.StackDepth), took)
		if len(r.Functions) > 1 {
			parts := []string{}
			for _, f := range r.Functions {
				parts = append(parts, fmt.Sprintf("%s %d", f.Name, f.Stack))
			}
			wrap(&frames, "stack of "+r.Program+": ", strings.Join(parts, ", "))
		}
	}
	_ = t.write(b) // to memory
	if frames.Len() > 0 {
		b.WriteString(frames.String() + "\n")
	}
}

// writeKernels prints which kernels accept which program.
func writeKernels(b *strings.Builder, all []verified, kernels []string) {
	t := table{head: append([]string{"object", "program", "type"}, kernels...)}
	type key struct{ object, program string }
	rows := map[key][]string{}
	var order []key
	for i := range all {
		r := &all[i]
		k := key{r.Object, r.Program}
		if rows[k] == nil {
			rows[k] = append([]string{r.Object, r.Program, r.Type}, make([]string, len(kernels))...)
			order = append(order, k)
		}
		cell := map[string]string{verdictAccepted: "loads", verdictRejected: "rejected", verdictUnsupported: "not judged", verdictError: "error"}[r.Verdict]
		if at := slices.Index(kernels, r.Kernel); at >= 0 {
			rows[k][3+at] = cell
		}
	}
	for _, k := range order {
		t.add(rows[k]...)
	}
	_ = t.write(b) // to memory
}

// writeReasons explains why programs are not accepted, once where several kernels give the same
// reason.
func writeReasons(b *strings.Builder, all []verified, withKernel bool) {
	type key struct{ object, program, message, verdict string }
	kernels := map[key][]string{}
	keyOf := func(r *verified) key { return key{r.Object, r.Program, r.Reason.Message, r.Verdict} }
	for i := range all {
		if r := &all[i]; r.Reason != nil {
			kernels[keyOf(r)] = append(kernels[keyOf(r)], r.Kernel)
		}
	}
	for i := range all {
		r := &all[i]
		if r.Reason == nil || len(kernels[keyOf(r)]) == 0 {
			continue
		}
		where := ""
		if withKernel {
			where = " on Linux " + strings.Join(kernels[keyOf(r)], ", ")
		}
		delete(kernels, keyOf(r))
		r.writeReason(b, where)
	}
}

// writeReason explains why a program is not accepted. where names kernels, if there are several.
func (r *verified) writeReason(b *strings.Builder, where string) {
	title := r.Object + ": " + r.Program + where
	why := r.Reason
	title += ": " + r.Verdict
	if why.Errno != "" {
		title += " (" + why.Errno + ")"
	}
	wrap(b, "", title)
	for _, line := range why.Before {
		wrap(b, "  ", line)
	}
	if why.Message != "" {
		wrap(b, "  ", why.Message)
	}
	if why.Insn != nil {
		at := fmt.Sprintf("insn %d", *why.Insn)
		if why.File != "" {
			at = fmt.Sprintf("%s:%d, %s", why.File, why.Line, at)
		}
		wrap(b, "  at      ", at)
		if why.Source != "" {
			b.WriteString("            " + cut(why.Source, maxColumns-12) + "\n")
		}
	}
	for _, p := range []struct{ name, text string }{
		{"found", why.Found}, {"needed", why.Needed}, {"means", why.Explanation}, {"do", why.Suggestion},
	} {
		if p.text != "" {
			wrap(b, fmt.Sprintf("  %-8s", p.name), p.text)
		}
	}
	for i, s := range why.Path {
		name := ""
		if i == 0 {
			name = "path"
		}
		at := fmt.Sprintf("insn %d", s.Insn)
		if s.File != "" {
			at = fmt.Sprintf("%s:%d, %s", s.File, s.Line, at)
		}
		if s.Why != "" {
			at += ": " + s.Why
		}
		wrap(b, fmt.Sprintf("  %-8s", name), at)
		if s.Source != "" {
			b.WriteString("            " + cut(s.Source, maxColumns-12) + "\n")
		}
	}
	b.WriteString("\n")
}

// wrap writes text of several words in lines of maxColumns behind a first prefix.
func wrap(b *strings.Builder, prefix, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(prefix))
	line, empty := prefix, true
	for _, w := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(w) > maxColumns {
			b.WriteString(line + "\n")
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+w, false
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// writeEvidence lists how kernels differ from the reference, and how that is known.
func writeEvidence(b *strings.Builder, kernels []string) {
	reference := linux.Linux618().Rules()
	for _, k := range kernels {
		p, ok := linux.ProfileOf(k)
		if !ok || k == carom.DefaultKernel {
			continue
		}
		t := table{head: []string{"rule", k, carom.DefaultKernel, "known", "where"}}
		for i, rule := range p.Rules() {
			if rule.Holds == reference[i].Holds {
				continue
			}
			t.add(rule.Name, yesNo(rule.Holds), yesNo(reference[i].Holds), rule.Evidence.String(), rule.Source)
		}
		t.add("helpers, map and program types", "of "+k, "of "+carom.DefaultKernel, linux.FromSource.String(), "include/uapi/linux/bpf.h")
		_ = t.write(b) // to memory
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// rejectedError is the reason of a rejection in one line.
type rejectedError struct{ err *carom.VerifierError }

func (e rejectedError) Error() string {
	s := e.err.Error()
	if e.err.Source != "" {
		s += "; source: " + strings.TrimSuffix(e.err.Source, ";")
	}
	return s + "; carom verify explains it, --no-verify runs it all the same"
}

func (e rejectedError) Unwrap() error { return e.err }

// tellUnverified says which programs were loaded unverified because they need rules that the
// verifier does not have.
func tellUnverified(w io.Writer, coll *carom.Collection) {
	for _, name := range coll.Names() {
		var why *carom.VerifierError
		if errors.As(coll.Programs[name].Unverified(), &why) {
			fmt.Fprintf(w, "carom: %s is not verified: %s; the interpreter checks every access\n", name, why.Reason.Message)
		}
	}
}
