package verifier

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
)

// program assembles a case.
func (c *callCase) program(t testing.TB) *Program {
	t.Helper()
	insns, err := asm.Parse(c.text)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	p := &Program{Name: "case", Type: c.typ, AttachType: c.attach, GPL: !c.free, Maps: callMaps()}
	starts := map[string]int{}
	for it := insns.Iterate(); it.Next(); {
		if f := btf.FuncMetadata(it.Ins); f != nil {
			p.Funcs = append(p.Funcs, Func{Insn: int(it.Offset), Name: f.Name, Type: f})
		}
		if s := it.Ins.Symbol(); s != "" {
			starts[s] = int(it.Offset)
		}
	}
	for it := insns.Iterate(); it.Next(); {
		if target, ok := starts[it.Ins.Reference()]; ok {
			it.Ins.Constant = int64(target - int(it.Offset) - 1)
		}
	}
	for i := range insns {
		insns[i] = insns[i].WithReference("")
	}
	var code bytes.Buffer
	if err := insns.Marshal(&code, binary.LittleEndian); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	if p.Insns, err = isa.Decode(code.Bytes()); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return p
}

// verdictOf is "ok", or the error number and the reason.
func verdictOf(err error) string {
	var e *Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return e.Reason.Errno.Name() + ": " + e.Reason.Message
	}
	return err.Error()
}

func TestCalls(t *testing.T) {
	for _, c := range callCases() {
		t.Run(c.name, func(t *testing.T) {
			_, err := Verify(c.program(t), nil)
			if got := verdictOf(err); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
