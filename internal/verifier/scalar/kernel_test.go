package scalar

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/carom-bpf/carom/internal/isa"
)

var (
	kernelPrograms = flag.Int("scalar.programs", 400, "how many random programs to compare with the kernel")
	kernelSeed     = flag.Uint64("scalar.seed", 1, "the first seed of the random programs")
)

// verifierLog loads a program and returns what the kernel's verifier says at log level 2.
func verifierLog(code []isa.Insn) (string, error) {
	insns, err := asm.AppendInstructions(nil, bytes.NewReader(isa.Encode(code)), binary.LittleEndian, "linux")
	if err != nil {
		return "", err
	}
	prog, err := ebpf.NewProgramWithOptions(
		&ebpf.ProgramSpec{Name: "scalar", Type: ebpf.SocketFilter, License: "GPL", Instructions: insns},
		ebpf.ProgramOptions{LogLevel: ebpf.LogLevelInstruction, LogSizeStart: 1 << 18})
	if err != nil {
		return "", err
	}
	defer prog.Close()
	return prog.VerifierLog, nil
}

// needKernel skips a test where bpf(2) does not work, or the kernel is not of the series that is
// followed: other series know fewer rules or more, and stable updates brought some to 6.18.
func needKernel(t *testing.T) {
	t.Helper()
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Skipf("not on Linux: %v", err)
	}
	patch := 0
	if _, err := fmt.Sscanf(string(release), "6.18.%d", &patch); err != nil || patch < 44 {
		t.Skipf("the domain is that of Linux 6.18.44, this is %s", strings.TrimSpace(string(release)))
	}
	if _, err := verifierLog([]isa.Insn{{Op: isa.ClassALU64 | isa.MOV}, {Op: isa.ClassJMP | isa.EXIT}}); err != nil {
		t.Skipf("bpf(2) does not work here: %v", err)
	}
}

var (
	insnLine  = regexp.MustCompile(`^(\d+): \([0-9a-f]{2}\) ([^;]*?) *(?:; (.*))?$`)
	stateLine = regexp.MustCompile(`^(\d+): (R\d.*|safe)$`)
	edgeLine  = regexp.MustCompile(`^from (\d+) to (\d+): (.*)$`)
	scalarReg = regexp.MustCompile(`R([0678])=P?(scalar\((?:[^()]|\([^()]*\))*\)|-?\w+)`)
	identity  = regexp.MustCompile(`id=\d+([+-]\d+)?,?`)
)

// compareState compares every scalar register that the kernel prints.
func compareState(text string, regs [9]Scalar) error {
	for _, m := range scalarReg.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		if want, got := identity.ReplaceAllString(m[2], ""), regs[n].String(); got != want {
			return fmt.Errorf("R%d: kernel %s, here %s", n, want, got)
		}
	}
	return nil
}

// compareLog lets m follow the kernel's log, line by line, and compares every state on the way.
// It returns how many states those were. What the kernel printed also goes to rec.
func compareLog(log string, m *machine, rec *recorder) (states int, err error) {
	var bugs []string
	for _, line := range strings.Split(log, "\n") {
		var state string
		if at := strings.Index(line, "REG INVARIANTS"); at >= 0 {
			bugs = append(bugs, line[at:])
		} else if e := edgeLine.FindStringSubmatch(line); e != nil {
			if !m.done || !m.pop() || e[1] != strconv.Itoa(m.from) || e[2] != strconv.Itoa(m.pc) {
				return states, fmt.Errorf("here the way is from %d to %d: %s", m.from, m.pc, line)
			}
			state = e[3]
			m.done = state == "safe"
			rec.landing(m, state)
		} else if l := stateLine.FindStringSubmatch(line); l != nil {
			// What did not fit on the line of its instruction.
			state = l[2]
			m.done = m.done || state == "safe"
		} else if l := insnLine.FindStringSubmatch(line); l != nil {
			if m.done || l[1] != strconv.Itoa(m.pc) {
				return states, fmt.Errorf("here the next instruction is %d: %s", m.pc, line)
			}
			before, ways := m.path, len(m.pending)
			m.step()
			state = l[3]
			rec.instruction(before, ways, m, l[2], state)
		}
		if err := compareState(state, m.regs); err != nil {
			return states, fmt.Errorf("%w, in %q", err, line)
		}
		if state != "" {
			states++
		}
	}
	if !m.done || len(m.pending) > 0 {
		return states, fmt.Errorf("at the end of the log, %d ways are left here", len(m.pending))
	}
	if got, want := strings.Join(m.bugs, "\n"), strings.Join(bugs, "\n"); got != want {
		return states, fmt.Errorf("contradictions: kernel %q, here %q", want, got)
	}
	return states, nil
}

// TestKernel compares, for random programs, every register state that the kernel prints with the
// one computed here.
func TestKernel(t *testing.T) {
	needKernel(t)
	states, jumps, failed, bugs := 0, 0, 0, 0
	for n := range *kernelPrograms {
		seed := *kernelSeed + uint64(n)
		r := rand.New(rand.NewPCG(seed, 0))
		code := randomProgram(r, 4+r.IntN(40))
		m := &machine{code: code}
		log, err := verifierLog(code)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, listing(code))
		}
		count, err := compareLog(log, m, nil)
		states += count
		jumps += m.jumps
		bugs += len(m.bugs)
		if err != nil {
			failed++
			if failed <= 3 {
				t.Errorf("seed %d: %v\n%s", seed, err, log)
			}
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d programs differ", failed, *kernelPrograms)
	}
	t.Logf("%d programs, %d states, %d undecided jumps, %d contradictions", *kernelPrograms, states, jumps, bugs)
}
