package main

import (
	"fmt"

	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/verifier"
	"github.com/carom-bpf/carom/internal/vm"
)

// recording is the states of a verification, by instruction, and what a run has outside of them.
type recording struct {
	states    map[int][]snapshot
	count     int
	checked   int  // instructions
	ranges    bool // the states are compared, not only the facts
	fact      *factCheck
	violation string
}

type snapshot struct {
	frames int
	regs   [11]verifier.Observation
}

// maxStates bounds the memory and time of one program.
const maxStates = 20000

// tooManyStates ends a verification by a panic, because a recorder cannot end it otherwise.
type tooManyStates struct{}

func newRecording() *recording { return &recording{states: map[int][]snapshot{}} }

// State implements verifier.Recorder.
func (c *recording) State(insn, frames int, regs []verifier.Observation) {
	if c.count++; c.count > maxStates {
		panic(tooManyStates{})
	}
	s := snapshot{frames: frames}
	copy(s.regs[:], regs)
	c.states[insn] = append(c.states[insn], s)
}

// step compares the registers before an instruction with all states that were recorded there.
func (c *recording) step(s *vm.Step) {
	if c.violation != "" || s.Prog.Name != "p" {
		return
	}
	if c.fact != nil {
		c.violation = c.fact.step(s)
	}
	if !c.ranges || c.violation != "" {
		return
	}
	c.checked++
	frames := 0
	list := c.states[s.Insn]
	reach := [11]bool{}
	for i := range list {
		if !c.depthFits(s, list[i].frames) {
			continue
		}
		frames++
		all := true
		for n := range list[i].regs {
			if contains(s, n, &list[i].regs[n], list[i].frames) {
				reach[n] = true
			} else {
				all = false
			}
		}
		if all {
			return
		}
	}
	if frames == 0 {
		c.violation = fmt.Sprintf("insn %d: executed at depth %d, but no state was recorded there (%d at other depths)", s.Insn, s.Depth, len(list))
		return
	}
	c.violation = fmt.Sprintf("insn %d: no state of %d has all registers", s.Insn, frames)
	for n, ok := range reach {
		if ok {
			continue
		}
		c.violation += fmt.Sprintf("; r%d = %#x", n, s.Regs[n])
		for i := 0; i < len(list) && i < 3; i++ {
			o := &list[i].regs[n]
			c.violation += fmt.Sprintf(" not in %v off=%d %+v", o.Type, o.Off, o.Scalar)
		}
	}
}

// depthFits says that a state is of as many frames as the run has. After a tail call to itself the
// program runs at any depth.
func (c *recording) depthFits(s *vm.Step, frames int) bool { return s.Depth+1 >= frames }

// contains says that the value of a register is one of those that the verifier takes into account.
func contains(s *vm.Step, n int, o *verifier.Observation, frames int) bool {
	v := s.Regs[n]
	switch o.Type {
	case verifier.NotInit:
		return true
	case verifier.ScalarValue:
		return inRange(o, v)
	case verifier.PtrToStack:
		base := s.Regs[10] - uint64(frames-1-int(o.Frame))*vm.FrameStride
		return inRange(o, v-base-uint64(int64(o.Off)))
	case verifier.PtrToCtx:
		return inRange(o, v-s.CPU.ContextAddr()-uint64(int64(o.Off)))
	case verifier.PtrToPacket, verifier.PtrToPacketMeta, verifier.PtrToPacketEnd:
		meta, data, end := s.CPU.PacketBounds()
		base := data
		switch o.Type {
		case verifier.PtrToPacketMeta:
			base = meta
		case verifier.PtrToPacketEnd:
			base = end
		}
		return inRange(o, v-base-uint64(int64(o.Off)))
	case verifier.PtrToMapValue, verifier.PtrToMapValue | verifier.MaybeNull:
		return containsValue(s, v, o)
	}
	return true // nothing is known of other memory but its kind
}

// containsValue is contains for pointers to map values. Where the pointer may lie outside of its
// value, it is not known which value it belongs to. What a map of maps holds is a map.
func containsValue(s *vm.Step, v uint64, o *verifier.Observation) bool {
	if o.Type&verifier.MaybeNull != 0 && v == 0 {
		return true
	}
	if o.Map == nil || o.Map.Inner != nil || int64(o.Off)+o.Smin < 0 || int64(o.Off)+o.Smax >= int64(o.Map.ValueSize) {
		return true
	}
	r := s.CPU.Machine().Space.Find(v)
	if r == nil {
		return false
	}
	lo, size := r.Window(v, 0)
	if size == 0 {
		lo, size = r.Window(v, mem.PermRead)
	}
	if size == 0 {
		return false
	}
	return inRange(o, v-lo-uint64(int64(o.Off)))
}

// inRange says that a number is in all ranges and in the tristate number.
func inRange(o *verifier.Observation, v uint64) bool {
	w := uint32(v)
	return v >= o.Umin && v <= o.Umax && int64(v) >= o.Smin && int64(v) <= o.Smax &&
		w >= o.U32min && w <= o.U32max && int32(w) >= o.S32min && int32(w) <= o.S32max &&
		v&^o.Var.Mask == o.Var.Value
}
