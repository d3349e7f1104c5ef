package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/carom-bpf/carom"
	"github.com/spf13/cobra"
)

func newDisasm() *cobra.Command {
	program, asJSON, jit := "", false, false
	cmd := &cobra.Command{
		Use:   "disasm OBJ [PROGRAM]",
		Short: "Print programs in the syntax of bpftool prog dump xlated, with source lines",
		Example: `  carom disasm xdp_dispatch.o
  carom disasm xdp_dispatch.o port22_prog --jit`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && program == "" {
				program = args[1]
				return nil
			}
			return oneObject(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return disasm(cmd.OutOrStdout(), args[0], program, jit, asJSON)
		},
	}
	cmd.Flags().StringVar(&program, "prog", "", "print only this `PROGRAM`")
	cmd.Flags().BoolVar(&jit, "jit", false, "print the machine code of each instruction below it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// programLines is one program for --json.
type programLines struct {
	Program string     `json:"program"`
	Type    string     `json:"type"`
	Section string     `json:"section"`
	Insns   []insnLine `json:"insns"`
	// Native is the machine code for --jit, nil when the program has none.
	Native *nativeCode `json:"native,omitempty"`
}

type insnLine struct {
	Insn   int    `json:"insn"`
	Text   string `json:"text"`
	Func   string `json:"func,omitempty"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Source string `json:"source,omitempty"`

	Native []nativeLine `json:"native,omitempty"`
}

func disasm(out io.Writer, object, program string, jit, asJSON bool) error {
	spec, err := readObject(object)
	if err != nil {
		return err
	}
	list := sortedKeys(spec.Programs)
	if program != "" {
		if _, err := findProgram(spec, program); err != nil {
			return err
		}
		list = []string{program}
	}
	all := []programLines{}
	for _, name := range list {
		lines, err := carom.Disassemble(spec, name)
		if err != nil {
			return loadError(err)
		}
		p := programLines{Program: name, Type: spec.Programs[name].Type.String(), Section: spec.Programs[name].SectionName}
		for _, l := range lines {
			p.Insns = append(p.Insns, insnLine{
				Insn: l.Insn, Text: l.Text, Func: l.Func, File: l.File, Line: l.Line, Column: l.Column, Source: l.Source,
			})
		}
		all = append(all, p)
	}
	if jit {
		if err := addMachineCode(spec, all); err != nil {
			return err
		}
	}
	if asJSON {
		return writeJSON(out, all)
	}
	var b strings.Builder
	for i, p := range all {
		if i > 0 {
			b.WriteByte('\n')
		}
		p.write(&b)
		if jit {
			p.writeRare(&b)
		}
	}
	_, err = io.WriteString(out, b.String())
	return err
}

func (p *programLines) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s: %s, section %s", p.Program, p.Type, p.Section)
	if p.Native != nil {
		fmt.Fprintf(b, ", %s of %s code", plural(uint64(p.Native.Size), "byte"), p.Native.Arch)
	}
	b.WriteByte('\n')
	for _, l := range p.Insns {
		if l.Func != "" {
			fmt.Fprintf(b, "%s:\n", l.Func)
		}
		if l.Line > 0 {
			at := fmt.Sprintf(" [file:%s line_num:%d line_col:%d]", l.File, l.Line, l.Column)
			fmt.Fprintf(b, "; %s%s\n", cut(strings.TrimSpace(l.Source), max(maxColumns-len(at)-2, minColumn)), at)
		}
		fmt.Fprintf(b, "%4d: %s\n", l.Insn, l.Text)
		writeNative(b, l.Native)
	}
}

// writeRare prints the machine code that belongs to no single instruction, or why there is none.
func (p *programLines) writeRare(b *strings.Builder) {
	if p.Native == nil {
		b.WriteString("no machine code: the interpreter runs this program\n")
		return
	}
	if len(p.Native.Rare) > 0 {
		b.WriteString("rarely run:\n")
		writeNative(b, p.Native.Rare)
	}
}
