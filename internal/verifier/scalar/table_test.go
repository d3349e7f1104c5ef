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
// Columns: the encoded instruction; its text; R(dst); R(src), empty in the immediate form; then
// for an ALU operation R(dst) after it, and for a jump "taken", "not taken", or four states:
// R(dst) and R(src) at the target, R(dst) and R(src) after the jump.
const tablePath = "testdata/kernel-6.18.44.tsv"

var record = flag.Bool("scalar.record", false, "write the table of what the kernel computes")

// rowsPerForm is how many lines the table has for each operation, width and form.
const rowsPerForm = 4

// recorder collects rows of the table from the kernel's log. A nil recorder collects nothing.
type recorder struct {
	rows   map[string][]*row // by the form of the instruction
	taken  map[[2]int]*row   // undecided jumps whose other way has not come yet
	length map[string]int
}

type row struct {
	form    string
	columns []string
	insn    isa.Insn
	done    bool
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

func (r *recorder) instruction(before path, i isa.Insn, text, state string) {
	if r == nil || i.Dst < 6 || i.Dst > 8 || i.Class() == isa.ClassLDX {
		return
	}
	form := fmt.Sprintf("%02x", i.Op)
	op := i.Op & 0xf0
	jump := i.Class() == isa.ClassJMP || i.Class() == isa.ClassJMP32
	if !jump && (op == isa.MOV || op == isa.END) {
		form = fmt.Sprintf("%02x %d %d", i.Op, i.Off, i.Imm*int32(i.Op&isa.SrcReg|op/0xd0))
	}
	a, b := before.regs[i.Dst], before.regs[i.Src]
	useSrc := i.Op&isa.SrcReg != 0 && op != isa.END
	x := &row{form: form, insn: i}
	x.columns = []string{hex.EncodeToString(isa.Encode([]isa.Insn{i})), text, a.String(), ""}
	if useSrc {
		x.columns[3] = b.String()
	}
	// Of what says little, only a little is kept.
	dull := a.IsUnknown() || a.IsConst(W64) || useSrc && b.IsUnknown() || useSrc && i.Dst == i.Src
	after := printed(state, i.Dst)
	switch {
	case !jump:
		x.columns = append(x.columns, after)
		x.done = after != ""
		dull = dull || after == "scalar()"
	case strings.HasPrefix(text, "if"):
		x.columns = append(x.columns, after, printed(state, i.Src))
		if !useSrc {
			x.columns[5] = ""
		}
		r.taken[[2]int{before.pc, before.pc + 1 + int(i.Off)}] = x
	}
	if r.length[form] >= rowsPerForm || dull && r.length[form+" dull"] >= 1 || fmt.Sprint(r.rows[form]) == "" {
		return
	}
	for _, other := range r.rows[form] {
		if slices.Equal(other.columns[:4], x.columns[:4]) {
			return
		}
	}
	if dull {
		r.length[form+" dull"]++
	}
	r.length[form]++
	r.rows[form] = append(r.rows[form], x)
}
