package main

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/arch/arm64/arm64asm"
	"golang.org/x/arch/x86/x86asm"

	"github.com/carom-bpf/carom"
	"github.com/cilium/ebpf"
)

// nativeLine is one machine instruction.
type nativeLine struct {
	Offset int    `json:"offset"`
	Bytes  string `json:"bytes"` // in hexadecimal
	Text   string `json:"text"`
}

// nativeCode is the machine code of a program, for --json.
type nativeCode struct {
	Arch string `json:"arch"`
	Size int    `json:"size"` // bytes
	// Rare is the code behind all instructions, which is run rarely.
	Rare []nativeLine `json:"rare,omitempty"`
}

// addMachineCode compiles the programs and puts machine code beside their instructions.
func addMachineCode(spec *ebpf.CollectionSpec, all []programLines) error {
	coll, err := carom.NewCollection(spec, &carom.Options{Engine: carom.JIT, CPUs: 1})
	if err != nil {
		return loadError(err)
	}
	defer coll.Close()
	for i := range all {
		p := coll.Programs[all[i].Program]
		if p == nil {
			continue
		}
		if m := p.MachineCode(); m != nil {
			all[i].addMachineCode(m)
		}
	}
	return nil
}

func (p *programLines) addMachineCode(m *carom.MachineCode) {
	p.Native = &nativeCode{Arch: m.Arch, Size: len(m.Code)}
	at := map[int]*insnLine{}
	for i := range p.Insns {
		at[p.Insns[i].Insn] = &p.Insns[i]
	}
	for i, l := range m.Lines {
		end := len(m.Code)
		if i+1 < len(m.Lines) {
			end = m.Lines[i+1].Offset
		}
		code := decodeNative(m.Arch, m.Code[:end], l.Offset)
		if insn := at[l.Insn]; insn != nil {
			insn.Native = append(insn.Native, code...)
		} else {
			p.Native.Rare = append(p.Native.Rare, code...)
		}
	}
}

// decodeNative disassembles code from an offset to its end.
func decodeNative(arch string, code []byte, at int) []nativeLine {
	decode := map[string]func([]byte, int) (string, int){"amd64": decodeAMD64, "arm64": decodeARM64}[arch]
	var all []nativeLine
	for at < len(code) {
		text, n := "", 0
		if decode != nil {
			text, n = decode(code[at:], at)
		}
		if n <= 0 || n > len(code)-at {
			text, n = "(not known)", 1
		}
		all = append(all, nativeLine{at, hex.EncodeToString(code[at : at+n]), text})
		at += n
	}
	return all
}

// relative is how a jump's distance is written.
var relative = regexp.MustCompile(`\.[+-]0x[0-9a-f]+`)

func decodeAMD64(code []byte, at int) (string, int) {
	if text, n := decodeVEX(code); n > 0 {
		return text, n
	}
	inst, err := x86asm.Decode(code, 64)
	if err != nil {
		return "", 0
	}
	text := strings.ToLower(x86asm.IntelSyntax(inst, uint64(at), nil))
	if d, ok := inst.Args[0].(x86asm.Rel); ok {
		text = relative.ReplaceAllString(text, fmt.Sprintf("%#x", at+inst.Len+int(d)))
	}
	return text, inst.Len
}

// decodeVEX knows the shifts of BMI2, which x86asm does not.
func decodeVEX(code []byte) (string, int) {
	if len(code) < 5 || code[0] != 0xc4 {
		return "", 0
	}
	space, kind, op, modrm := code[1]&0x1f, code[2]&3, code[3], code[4]
	if modrm>>6 != 3 {
		return "", 0
	}
	wide := code[2] >> 7
	reg := x86Reg(wide, modrm>>3&7|(^code[1]>>7&1)<<3)
	rm := x86Reg(wide, modrm&7|(^code[1]>>5&1)<<3)
	second := x86Reg(wide, ^code[2]>>3&0xf)
	switch {
	case space == 2 && op == 0xf7 && kind != 0:
		name := [...]string{"", "shlx", "sarx", "shrx"}[kind]
		return fmt.Sprintf("%s %s, %s, %s", name, reg, rm, second), 5
	case space == 3 && op == 0xf0 && kind == 3 && len(code) > 5:
		return fmt.Sprintf("rorx %s, %s, %#x", reg, rm, code[5]), 6
	}
	return "", 0
}

func x86Reg(wide, n byte) string {
	if wide == 1 {
		return strings.ToLower((x86asm.RAX + x86asm.Reg(n)).String())
	}
	if n >= 8 {
		return fmt.Sprintf("r%dd", n)
	}
	return strings.ToLower((x86asm.EAX + x86asm.Reg(n)).String())
}

func decodeARM64(code []byte, at int) (string, int) {
	inst, err := arm64asm.Decode(code)
	if err != nil {
		return "(not known)", 4
	}
	text := strings.TrimSpace(strings.ToLower(arm64asm.GNUSyntax(inst)))
	for _, a := range inst.Args {
		if d, ok := a.(arm64asm.PCRel); ok {
			text = relative.ReplaceAllString(text, fmt.Sprintf("%#x", at+int(d)))
		}
	}
	return text, 4
}

func writeNative(b *strings.Builder, code []nativeLine) {
	for _, l := range code {
		fmt.Fprintf(b, "%12x:  %-22s  %s\n", l.Offset, l.Bytes, l.Text)
	}
}
