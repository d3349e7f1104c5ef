package userspace

import "github.com/carom-bpf/carom/internal/engine"

// MakeStepped makes a program that this engine has loaded report each instruction to the function
// that vm.WithStep puts into the context of a run. It must be called before the first run.
func MakeStepped(p engine.Program) bool {
	mine, ok := p.(*program)
	if ok {
		mine.obj.MakeStepped()
	}
	return ok
}
