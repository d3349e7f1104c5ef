package scalar

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
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

// needKernel skips a test where bpf(2) does not work, or is not of the version that is followed.
func needKernel(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("bpf(2) is of Linux")
	}
	if _, err := verifierLog([]isa.Insn{{Op: isa.ClassALU64 | isa.MOV}, {Op: isa.ClassJMP | isa.EXIT}}); err != nil {
		t.Skipf("bpf(2) does not work here: %v", err)
	}
}

var (
	insnLine  = regexp.MustCompile(`^(\d+): \([0-9a-f]{2}\) [^;]*(?:; (.*))?$`)
	stateLine = regexp.MustCompile(`^(\d+): (R\d.*)$`)
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

// compareLog holds the states of the kernel's log against those of m, and returns how many
// states were compared.
func compareLog(log string, m *machine) (int, error) {
	states := 0
	seen := map[int]bool{}
	edges := map[[2]int]bool{}
	var bugs []string
	for _, line := range strings.Split(log, "\n") {
		if at := strings.Index(line, "REG INVARIANTS"); at >= 0 {
			bugs = append(bugs, line[at:])
		}
		if e := edgeLine.FindStringSubmatch(line); e != nil {
			from, _ := strconv.Atoi(e[1])
			to, _ := strconv.Atoi(e[2])
			regs, ok := m.edges[[2]int{from, to}]
			if !ok {
				return states, fmt.Errorf("the kernel goes from %d to %d, which is not possible here", from, to)
			}
			edges[[2]int{from, to}] = true
			states++
			if err := compareState(e[3], regs); err != nil {
				return states, fmt.Errorf("from %d to %d: %w", from, to, err)
			}
			continue
		}
		l := insnLine.FindStringSubmatch(line)
		if l == nil {
			l = stateLine.FindStringSubmatch(line)
			if l == nil {
				continue
			}
			// A state that is not on the line of its instruction is that before the next one.
			pc, _ := strconv.Atoi(l[1])
			regs, ok := m.after[pc-1]
			if c := m.code[pc].Class(); c == isa.ClassJMP || c == isa.ClassJMP32 {
				regs, ok = m.after[pc]
			}
			if !ok {
				continue
			}
			states++
			if err := compareState(l[2], regs); err != nil {
				return states, fmt.Errorf("before %d: %w", pc, err)
			}
			continue
		}
		pc, _ := strconv.Atoi(l[1])
		seen[pc] = true
		if !m.visit[pc] {
			return states, fmt.Errorf("the kernel visits %d, which cannot be reached here", pc)
		}
		regs, ok := m.after[pc]
		if !ok || l[2] == "" {
			continue
		}
		states++
		if err := compareState(l[2], regs); err != nil {
			return states, fmt.Errorf("after %d: %w", pc, err)
		}
	}
	for e := range m.edges {
		if !edges[e] {
			return states, fmt.Errorf("the way from %d to %d is possible here, not for the kernel", e[0], e[1])
		}
	}
	for pc := range m.visit {
		if !seen[pc] {
			return states, fmt.Errorf("%d is reached here, not by the kernel", pc)
		}
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
	states, edges, failed, bugs := 0, 0, 0, 0
	for n := range *kernelPrograms {
		seed := *kernelSeed + uint64(n)
		code := randomProgram(rand.New(rand.NewPCG(seed, 0)), 14)
		m := run(code)
		log, err := verifierLog(code)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, listing(code))
		}
		count, err := compareLog(log, m)
		states += count
		edges += len(m.edges)
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
	t.Logf("%d programs, %d states, %d undecided jumps, %d contradictions", *kernelPrograms, states, edges, bugs)
}
