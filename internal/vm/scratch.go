package vm

// ScratchMark returns how much of the scratch memory is in use, for ScratchRelease.
func (c *CPU) ScratchMark() uint64 { return c.scratchNext }

// ScratchRelease gives back what Scratch handed out since the mark was taken. A program that
// still holds an address of it reads what the next user puts there.
func (c *CPU) ScratchRelease(mark uint64) { c.scratchNext = mark }
