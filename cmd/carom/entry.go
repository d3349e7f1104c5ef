package main

import (
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// chooseEntry finds the program to run: the one asked for; else the program that no slot holds;
// else, when there are several, the only one of them that makes a tail call.
func chooseEntry(spec *ebpf.CollectionSpec, asked string, slots []slot) (string, error) {
	if asked != "" {
		_, err := findProgram(spec, asked)
		return asked, err
	}
	called := map[string]bool{}
	for _, m := range spec.Maps {
		if m.Type != ebpf.ProgramArray {
			continue
		}
		for _, kv := range m.Contents {
			if name, ok := kv.Value.(string); ok {
				called[name] = true
			}
		}
	}
	for _, s := range slots {
		called[s.program] = true
	}
	var free, calling []string
	for _, name := range sortedKeys(spec.Programs) {
		if called[name] {
			continue
		}
		free = append(free, name)
		if makesTailCall(spec.Programs[name]) {
			calling = append(calling, name)
		}
	}
	switch {
	case len(free) == 1:
		return free[0], nil
	case len(calling) == 1:
		return calling[0], nil
	case len(free) == 0:
		return "", usagef("every program is the target of a tail call; choose where to start with --prog: %s", names(spec.Programs))
	}
	return "", usagef("several programs could be the first one; choose with --prog: %s", strings.Join(free, ", "))
}

func makesTailCall(p *ebpf.ProgramSpec) bool {
	for i := range p.Instructions {
		ins := &p.Instructions[i]
		if ins.IsBuiltinCall() && asm.BuiltinFunc(ins.Constant) == asm.FnTailCall {
			return true
		}
	}
	return false
}
