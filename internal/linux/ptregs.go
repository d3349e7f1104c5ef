package linux

// Arch is a machine whose registers a probe may read.
type Arch struct {
	Name     string // as in GOARCH
	RegsSize uint32 // bytes of the register structure
	offsets  map[string]uint32
}

// Register returns the offset in bytes of a register in the register structure. Several names
// of one register are known: ax and rax, di and rdi, and those of libbpf's PT_REGS macros: parm1
// to parm6 (parm8 on arm64), fp, sp and ip; rc and ret are the return value.
func (a *Arch) Register(name string) (off uint32, ok bool) {
	off, ok = a.offsets[name]
	return off, ok
}

// amd64Regs is struct pt_regs of x86-64 (arch/x86/include/uapi/asm/ptrace.h).
func amd64Regs() *Arch {
	order := []string{"r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di",
		"orig_ax", "ip", "cs", "flags", "sp", "ss"}
	a := &Arch{Name: "amd64", RegsSize: 168, offsets: map[string]uint32{}}
	for i, name := range order {
		a.offsets[name] = uint32(8 * i)
	}
	a.alias(map[string]string{
		"rbp": "bp", "rbx": "bx", "rax": "ax", "rcx": "cx", "rdx": "dx", "rsi": "si", "rdi": "di", "orig_rax": "orig_ax",
		"rip": "ip", "pc": "ip", "eflags": "flags", "rflags": "flags", "rsp": "sp", "fp": "bp", "rc": "ax", "ret": "ax",
		"parm1": "di", "parm2": "si", "parm3": "dx", "parm4": "cx", "parm5": "r8", "parm6": "r9",
	})
	return a
}

// arm64Regs is struct user_pt_regs of arm64 (arch/arm64/include/uapi/asm/ptrace.h).
func arm64Regs() *Arch {
	a := &Arch{Name: "arm64", RegsSize: 272, offsets: map[string]uint32{"sp": 248, "pc": 256, "pstate": 264}}
	names := [...]string{"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
		"x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30"}
	for i, name := range names {
		a.offsets[name] = uint32(8 * i)
	}
	a.alias(map[string]string{
		"ip": "pc", "lr": "x30", "fp": "x29", "rc": "x0", "ret": "x0",
		"parm1": "x0", "parm2": "x1", "parm3": "x2", "parm4": "x3", "parm5": "x4", "parm6": "x5", "parm7": "x6", "parm8": "x7",
	})
	return a
}

func (a *Arch) alias(names map[string]string) {
	for name, of := range names {
		a.offsets[name] = a.offsets[of]
	}
}

// rawArgs names the 64-bit arguments of a raw tracepoint: arg0 to arg11.
func rawArgs() *Arch {
	names := [...]string{"arg0", "arg1", "arg2", "arg3", "arg4", "arg5", "arg6", "arg7", "arg8", "arg9", "arg10", "arg11"}
	a := &Arch{Name: "a raw tracepoint", RegsSize: 8 * uint32(len(names)), offsets: map[string]uint32{}}
	for i, name := range names {
		a.offsets[name] = uint32(8 * i)
	}
	return a
}
