package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/userspace"
	"github.com/carom-bpf/carom/internal/verifier"
	"github.com/cilium/ebpf"
)

// answer is what one side says of a program.
type answer struct {
	accepted    bool
	errno       linux.Errno
	reason      string // the last line of the log before its statistics
	insns       int    // instructions processed
	took        time.Duration
	unsupported bool // carom only: the rules of part two are needed
	err         error
	log         string // Linux only
}

func (a answer) String() string {
	if a.accepted {
		return fmt.Sprintf("accepted, %d insns", a.insns)
	}
	return fmt.Sprintf("%s %q", a.errno.Name(), a.reason)
}

// agrees says that the verdicts are the same; sameReason that the reasons are, too.
func (a answer) agrees(b answer) bool { return a.accepted == b.accepted }

func (a answer) sameReason(b answer) bool {
	return a.accepted && b.accepted || a.accepted == b.accepted && a.reason == b.reason && a.errno == b.errno
}

// askCarom verifies a program of a spec.
func askCarom(v *userspace.Verifier, name string) answer {
	p, err := v.Program(name)
	if err != nil {
		return answer{err: err, reason: err.Error()}
	}
	return askProgram(p, nil)
}

// askProgram verifies a program.
func askProgram(p *verifier.Program, o *verifier.Options) answer {
	start := time.Now()
	verdict, err := verifier.Verify(p, o)
	a := answer{took: time.Since(start)}
	if err == nil {
		a.accepted, a.insns = true, verdict.Stats.Insns
		return a
	}
	var e *verifier.Error
	if errors.As(err, &e) {
		a.errno, a.reason = e.Reason.Errno, e.Reason.Message
		a.unsupported = e.Reason.Code == verifier.CodeUnsupported
	}
	a.err = err
	return a
}

// logLevel is what the kernel is asked for: a log, and its numbers.
const logLevel = ebpf.LogLevelBranch | ebpf.LogLevelStats

// answerOf reads the kernel's answer.
func answerOf(p *ebpf.Program, err error, took time.Duration) answer {
	if err == nil {
		a := answer{accepted: true, took: took}
		a.insns = processed(p.VerifierLog)
		p.Close()
		return a
	}
	a := answer{took: took, err: err}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		a.errno = linux.Errno(errno)
	}
	var ve *ebpf.VerifierError
	if errors.As(err, &ve) {
		a.reason = lastReason(ve.Log)
		a.insns = processed(strings.Join(ve.Log, "\n"))
	}
	return a
}

// processed reads how many instructions were processed.
func processed(log string) int {
	i := strings.LastIndex(log, "processed ")
	if i < 0 {
		return 0
	}
	n := 0
	_, _ = fmt.Sscanf(log[i:], "processed %d insns", &n)
	return n
}

// lastReason finds the last line of the log that is neither statistics nor the trace.
func lastReason(log []string) string {
	for i := len(log) - 1; i >= 0; i-- {
		line, _, _ := strings.Cut(log[i], "verification time ") // some messages do not end their line
		switch {
		case line == "", strings.HasPrefix(line, "processed "),
			strings.HasPrefix(line, "stack depth "), strings.HasPrefix(line, "insns_cnt "),
			strings.HasPrefix(line, "cur state:"), strings.HasPrefix(line, "old state:"):
			continue
		}
		if strings.HasSuffix(line, " is global and assumed valid.") || strings.HasSuffix(line, " is safe for any args that match its prototype") ||
			strings.HasPrefix(line, "Validating ") {
			return "" // progress
		}
		if isTrace(line) {
			return ""
		}
		return strings.TrimRight(line, "\n")
	}
	return ""
}

// isTrace says that a line shows an instruction, a source line or a state.
func isTrace(line string) bool {
	if strings.HasPrefix(line, "; ") || strings.HasPrefix(line, "from ") {
		return true
	}
	digits := 0
	for digits < len(line) && line[digits] >= '0' && line[digits] <= '9' {
		digits++
	}
	return digits > 0 && strings.HasPrefix(line[digits:], ":")
}
