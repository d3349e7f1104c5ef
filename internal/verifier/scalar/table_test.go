package scalar

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
)

// testdata/kernel-6.18.44.tsv holds what Linux 6.18.44 computed: one line is one instruction, the
// states before it and the states after it, as the verifier log of the kernel printed them. It is
// written by
//
//	go test -run TestRecord -scalar.record
//
// which loads random programs at log level 2, keeps lines of the log where TestKernel finds no
// difference, and of those a few for each operation, width and form.
//
// Columns: the encoded instruction; its text; R(dst), or what a load reads; R(src), empty in the
// immediate form; then for a load or an ALU operation R(dst) after it, and for a jump "taken", "not taken", or four states:
// R(dst) and R(src) at the target, R(dst) and R(src) after the jump.
const tablePath = "testdata/kernel-6.18.44.tsv"

var record = flag.Bool("scalar.record", false, "write the table of what the kernel computes")

// rowsPerForm is how many lines the table has for each operation, width and form.
const rowsPerForm = 4

// recorder collects rows of the table from the kernel's log. A nil recorder collects nothing.
type recorder struct {
	rows []*row
	open map[[2]int]*row // undecided jumps whose other way has not come yet, by from and to
}

type row struct {
	form    string // what rows are counted by: operation, width, operand
	columns []string
	dull    bool // says little
}

// printed returns the state of a register as the log printed it, without id and precision.
func printed(state string, reg uint8) string {
	for _, m := range scalarReg.FindAllStringSubmatch(state, -1) {
		if m[1] == strconv.Itoa(int(reg)) {
			return identity.ReplaceAllString(m[2], "")
		}
	}
	return ""
}

func isJump(i isa.Insn) bool { return i.Class() == isa.ClassJMP || i.Class() == isa.ClassJMP32 }

// operands says whether the instruction is one for the table, and whether it reads R(src).
func operands(i isa.Insn) (ok, reads bool) {
	op := i.Op & 0xf0
	switch {
	case i.Class() == isa.ClassLDX:
		return true, false
	case i.Class() == isa.ClassSTX || i.Dst < 6 || i.Dst == i.Src && i.Op&isa.SrcReg != 0:
		return false, false
	case isJump(i):
		return op != isa.CALL && op != isa.EXIT, i.Op&isa.SrcReg != 0
	}
	return op != isa.MOV || i.Op&isa.SrcReg != 0, i.Op&isa.SrcReg != 0 && op != isa.END
}

// instruction takes the one that m has just stepped over from before; ways is how many ways were
// pending before it, text and state are what the log says.
func (r *recorder) instruction(before path, ways int, m *machine, text, state string) {
	if r == nil {
		return
	}
	i := m.code[before.pc]
	ok, reads := operands(i)
	if !ok {
		return
	}
	a := before.regs[i.Dst]
	src, b := "", Scalar{}
	if i.Class() == isa.ClassLDX {
		a = before.slot
	}
	if reads {
		b = before.regs[i.Src]
		src = b.String()
	}
	x := &row{form: fmt.Sprintf("%02x", i.Op), columns: []string{hex.EncodeToString(isa.Encode([]isa.Insn{i})), text, a.String(), src}}
	x.dull = a.IsUnknown() || a.IsConst(W64) || reads && b.IsUnknown()
	switch {
	case isJump(i) && len(m.pending) > ways:
		x.columns = append(x.columns, "", "", printed(state, i.Dst), "")
		if reads {
			x.columns[7] = printed(state, i.Src)
		}
		r.open[[2]int{before.pc, before.pc + 1 + int(i.Off)}] = x
		return
	case isJump(i) && m.pc == before.pc+1:
		x.form += " decided"
		x.columns = append(x.columns, "not taken")
	case isJump(i):
		x.form += " decided"
		x.columns = append(x.columns, "taken")
	default:
		x.form += fmt.Sprintf(" %d %v", i.Off, i.Imm == 32)
		x.columns = append(x.columns, printed(state, i.Dst))
		x.dull = x.dull || x.columns[4] == "scalar()" || len(m.pending) > ways
		if x.columns[4] == "" || len(m.pending) > ways {
			return
		}
	}
	r.rows = append(r.rows, x)
}

// landing takes the state at the target of a jump.
func (r *recorder) landing(m *machine, state string) {
	if r == nil || r.open[[2]int{m.from, m.pc}] == nil {
		return
	}
	x := r.open[[2]int{m.from, m.pc}]
	delete(r.open, [2]int{m.from, m.pc})
	i := m.code[m.from]
	x.columns[4] = printed(state, i.Dst)
	if x.columns[3] != "" {
		x.columns[5] = printed(state, i.Src)
	}
	if x.columns[4] != "" && x.columns[6] != "" {
		r.rows = append(r.rows, x)
	}
}

// chosen returns the rows for the table, those that say more first.
func (r *recorder) chosen() []string {
	var out []string
	count, seen := map[string]int{}, map[string]bool{}
	for _, dull := range []bool{false, true} {
		for _, x := range r.rows {
			limit := rowsPerForm
			if dull || strings.HasSuffix(x.form, "decided") {
				limit = 2
			}
			key := x.form + x.columns[2] + x.columns[3]
			if x.dull != dull || seen[key] || count[x.form] >= limit {
				continue
			}
			count[x.form]++
			seen[key] = true
			out = append(out, strings.Join(x.columns, "\t"))
		}
	}
	slices.Sort(out)
	return out
}

// TestRecord writes the table from the kernel's log.
func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("-scalar.record is not set")
	}
	needKernel(t)
	rec := &recorder{}
	for seed := range uint64(3000) {
		rec.open = map[[2]int]*row{}
		m := &machine{code: randomProgram(rand.New(rand.NewPCG(seed, 9)), 14)}
		log, err := verifierLog(m.code)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := compareLog(log, m, rec); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(m.bugs) > 0 {
			t.Logf("seed %d: %s", seed, m.bugs)
		}
	}
	if err := os.WriteFile(tablePath, []byte(strings.Join(rec.chosen(), "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// parseScalar is the inverse of Scalar.String: what is not printed is unknown.
func parseScalar(text string) (Scalar, error) {
	inner, ok := strings.CutPrefix(text, "scalar(")
	if !ok {
		v, err := parseNumber(text)
		return Const(v), err
	}
	s := Unknown()
	inner = strings.TrimSuffix(inner, ")")
	if at := strings.Index(inner, "var_off=("); at >= 0 {
		if _, err := fmt.Sscanf(inner[at:], "var_off=(0x%x; 0x%x)", &s.Var.Value, &s.Var.Mask); err != nil {
			return s, err
		}
		inner = strings.TrimSuffix(inner[:at], ",")
	}
	for _, field := range strings.Split(inner, ",") {
		names := strings.Split(field, "=")
		if field == "" {
			continue
		}
		v, err := parseNumber(names[len(names)-1])
		if err != nil {
			return s, err
		}
		for _, name := range names[:len(names)-1] {
			s.setLimit(name, v)
		}
	}
	return s, nil
}

func (s *Scalar) setLimit(name string, v uint64) {
	switch name {
	case "smin":
		s.Smin = int64(v)
	case "smax":
		s.Smax = int64(v)
	case "umin":
		s.Umin = v
	case "umax":
		s.Umax = v
	case "smin32":
		s.S32min = int32(v)
	case "smax32":
		s.S32max = int32(v)
	case "umin32":
		s.U32min = uint32(v)
	case "umax32":
		s.U32max = uint32(v)
	}
}

func parseNumber(text string) (uint64, error) {
	if strings.HasPrefix(text, "-") {
		v, err := strconv.ParseInt(text, 0, 64)
		return uint64(v), err
	}
	return strconv.ParseUint(text, 0, 64)
}

// TestTable computes every line of the table anew.
func TestTable(t *testing.T) {
	table, err := os.ReadFile(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(strings.TrimRight(string(table), "\n"), "\n") {
		if err := checkRow(strings.Split(line, "\t")); err != nil {
			t.Errorf("line %d: %v\n%s", n+1, err, line)
		}
	}
}

func checkRow(columns []string) error {
	code, err := hex.DecodeString(columns[0])
	if err != nil {
		return err
	}
	insns, err := isa.Decode(code)
	if err != nil {
		return err
	}
	i := insns[0]
	m := &machine{code: insns}
	if i.Class() == isa.ClassLDX {
		if m.slot, err = parseScalar(columns[2]); err != nil {
			return err
		}
	}
	for n, reg := range []uint8{i.Dst, i.Src} {
		if text := columns[2+n]; text != "" {
			if m.regs[reg], err = parseScalar(text); err != nil {
				return err
			}
			if got := m.regs[reg].String(); got != text {
				return fmt.Errorf("%s is printed as %s", text, got)
			}
		}
	}
	m.step()
	got := []string{m.regs[i.Dst].String()}
	switch {
	case len(m.pending) > 0:
		taken := &m.pending[0].regs
		got = []string{taken[i.Dst].String(), taken[i.Src].String(), m.regs[i.Dst].String(), m.regs[i.Src].String()}
		if columns[3] == "" {
			got[1], got[3] = "", ""
		}
	case isJump(i) && m.pc == 1:
		got[0] = "not taken"
	case isJump(i):
		got[0] = "taken"
	}
	if !slices.Equal(got, columns[4:]) {
		return fmt.Errorf("%q, the kernel has %q", got, columns[4:])
	}
	return nil
}
