// Package caromtest runs one test case on every engine and compares what comes out with the
// expectation and the engines with each other. Where bpf(2) is permitted the Linux kernel is one
// of the engines, so it is the judge of what is right; elsewhere it is skipped, with the reason.
//
// A Case says which programs and maps there are: an object file that clang made, the text of
// programs in the syntax of the kernel's own dumps, or a spec that bpf2go's loader returns. Its
// steps say what user space does, which program runs on what, and what must be there afterwards:
//
//	func TestDispatch(t *testing.T) {
//		caromtest.Run(t, caromtest.Case{
//			Name:   "port 22 goes to its own program",
//			Object: "xdp_dispatch.o",
//			Prog:   "xdp_dispatch",
//			Steps: []caromtest.Step{
//				{
//					Do:   []caromtest.Op{caromtest.PutProg("prog_array", 1, "port22_prog")},
//					Data: ssh,
//					Want: &caromtest.Want{Return: 1, Vars: map[string]any{"seen": uint64(1)}},
//				},
//				{
//					Do:   []caromtest.Op{caromtest.Delete("prog_array", uint32(1))},
//					Want: &caromtest.Want{Return: 2, Vars: map[string]any{"seen": uint64(1)}},
//				},
//			},
//		})
//	}
//
// After each step that runs a program the engines must agree on the return value, the packet, the
// context if it was asked for, the contents of all maps, the samples and records sent to perf event
// arrays and ring buffers, and the lines printed, whether the step names them or not. Case.Ignore
// excepts maps that hold times, addresses or random numbers. A case with tail calls runs once more in
// the kernel, with counters in its programs: each call site must have been taken as often to each
// program, or missed for the same reason, as in user space.
//
// Programs at probes and tracepoints have no BPF_PROG_TEST_RUN. A step with a Probe gives the
// registers and memory of a task: engines in user space run the program on them, and for the kernel a
// small process is made that has them and executes the probed instruction, returns from the probed
// function or makes the system call.
//
// Case.Skip leaves an engine out, with the reason. The case is tried there all the same and must
// fail. Never give a case to the kernel in which a callback (of bpf_loop, for example) can reach a
// tail call: Linux 6.18 may crash. Set Case.Unsafe for such a case.
package caromtest
