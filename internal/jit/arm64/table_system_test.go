package arm64

func systemForms() []form {
	return []form{
		{func(a *Assembler) { a.Dmb(ISH) }, "dmb ish", "bf3b03d5"},
		{func(a *Assembler) { a.Dmb(ISHLD) }, "dmb ishld", "bf3903d5"},
		{func(a *Assembler) { a.Dmb(ISHST) }, "dmb ishst", "bf3a03d5"},
		{func(a *Assembler) { a.Isb() }, "isb", "df3f03d5"},
		{func(a *Assembler) { a.Nop() }, "nop", "1f2003d5"},
		{func(a *Assembler) { a.Mrs(X3, CNTVCT_EL0) }, "mrs x3, CNTVCT_EL0", "43e03bd5"},
		{func(a *Assembler) { a.Mrs(X3, CNTFRQ_EL0) }, "mrs x3, CNTFRQ_EL0", "03e03bd5"},
		{func(a *Assembler) { a.Mrs(X3, TPIDR_EL0) }, "mrs x3, TPIDR_EL0", "43d03bd5"},
		{func(a *Assembler) { a.Brk(0) }, "brk #0", "000020d4"},
		{func(a *Assembler) { a.Brk(0xffff) }, "brk #0xffff", "e0ff3fd4"},
		{func(a *Assembler) { a.Udf(0) }, "udf #0", "00000000"},
		{func(a *Assembler) { a.Udf(0xbeef) }, "udf #0xbeef", "efbe0000"},
		{func(a *Assembler) { a.Word32(0xd503201f) }, "nop", "1f2003d5"},
		{func(a *Assembler) { a.Word64(0xd65f03c0d503201f) }, "nop; ret", "1f2003d5 c0035fd6"},
		{func(a *Assembler) { a.Ret(); a.Align(16) }, "ret; nop; nop; nop", "c0035fd6 1f2003d5 1f2003d5 1f2003d5"},
	}
}
