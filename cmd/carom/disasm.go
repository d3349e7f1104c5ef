package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/carom-bpf/carom"
	"github.com/spf13/cobra"
)

func newDisasm() *cobra.Command {
	program, asJSON := "", false
	cmd := &cobra.Command{
		Use:   "disasm OBJ",
		Short: "Print programs in the syntax of bpftool prog dump xlated, with source lines",
		Args:  oneObject,
		RunE: func(cmd *cobra.Command, args []string) error {
			return disasm(cmd.OutOrStdout(), args[0], program, asJSON)
		},
	}
	cmd.Flags().StringVar(&program, "prog", "", "print only this `PROGRAM`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// programLines is one program for --json.
type programLines struct {
	Program string     `json:"program"`
	Type    string     `json:"type"`
	Section string     `json:"section"`
	Insns   []insnLine `json:"insns"`
}

type insnLine struct {
	Insn   int    `json:"insn"`
	Text   string `json:"text"`
	Func   string `json:"func,omitempty"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Source string `json:"source,omitempty"`
}

func disasm(out io.Writer, object, program string, asJSON bool) error {
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
			p.Insns = append(p.Insns, insnLine(l))
		}
		all = append(all, p)
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
	}
	_, err = io.WriteString(out, b.String())
	return err
}

func (p *programLines) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s: %s, section %s\n", p.Program, p.Type, p.Section)
	for _, l := range p.Insns {
		if l.Func != "" {
			fmt.Fprintf(b, "%s:\n", l.Func)
		}
		if l.Line > 0 {
			at := fmt.Sprintf(" [file:%s line_num:%d line_col:%d]", l.File, l.Line, l.Column)
			fmt.Fprintf(b, "; %s%s\n", cut(strings.TrimSpace(l.Source), max(maxColumns-len(at)-2, minColumn)), at)
		}
		fmt.Fprintf(b, "%4d: %s\n", l.Insn, l.Text)
	}
}
