package verifier

import "github.com/carom-bpf/carom/internal/verifier/scalar"

// Recorder receives the states before each instruction, with the registers of the running frame.
// frames counts the functions that are running. The registers are valid during the call.
type Recorder interface {
	State(insn, frames int, regs []Observation)
}

// Observation is what is known of one register.
type Observation struct {
	Type RegType
	// Off and the Scalar make up the offset of a pointer; the Scalar alone is the value of a number.
	Off int32
	scalar.Scalar
	Frame int32 // of pointers to the stack: which frame
	Map   *Map  // of map pointers and values
}

// record hands the current state to the recorder.
func (v *verifier) record(to Recorder) {
	var out [numRegs]Observation
	for i := range v.state.regs() {
		r := &v.state.regs()[i]
		out[i] = Observation{Type: r.Type, Off: r.Off, Scalar: r.Scalar, Frame: r.Frame, Map: r.Map}
	}
	to.State(v.insn, len(v.state.frames), out[:])
}
