package linux

import "github.com/cilium/ebpf"

// Release is a version of Linux, comparable with < and ==.
type Release uint16

// MakeRelease makes 6.18 from 6 and 18.
func MakeRelease(major, minor uint8) Release { return Release(major)<<8 | Release(minor) }

// Profile holds what differs between kernel versions, as data. The zero Profile is the oldest
// behaviour; Linux618 is the reference. The others describe the last stable kernels of their
// series, whose fixes they have.
type Profile struct {
	// Version is how messages name the profile.
	Version string
	// Release says which helpers, map types and program types there are.
	Release Release
	// Lacks has the features that the kernel was built or booted without.
	Lacks Feature

	// FailedEmptyConsumes: a tail call to an empty slot costs one unit of the budget of 33, as in
	// the interpreter and in JITs before 6.12.
	FailedEmptyConsumes bool
	// CounterByValue: subprograms get a copy of the tail-call counter and do not hand it back
	// (x86-64 before 6.12), so that a program may make far more than 33 tail calls.
	CounterByValue bool

	// AttachTypeInOwner: programs of one PROG_ARRAY need the same expected attach type (commit
	// 4540aed51b12, 6.18 and stable kernels of late 2025).
	AttachTypeInOwner bool
	// LSMProtoInOwner: the attach target counts for LSM programs too (commit 28ead3eaabc1, 6.12).
	LSMProtoInOwner bool
	// StorageInOwner: the cgroup storages of the programs of one PROG_ARRAY must agree (2025).
	StorageInOwner bool
	// SleepableInOwner: sleepable programs may use a PROG_ARRAY, and its programs are either all
	// sleepable or none is (commit 0f0c332992b8, 7.0).
	SleepableInOwner bool

	VerifierRules
}

// VerifierRules are the rules of the verifier that changed between versions.
type VerifierRules struct {
	// TailCall is what a tail call does to packet pointers and to the caller of a subprogram.
	TailCall TailCallModel
	// TailCallMapText is the last line of the log when R2 of bpf_tail_call is a map of another
	// type (EINVAL).
	TailCallMapText string
	// RefsInAllFrames: references belong to the whole state, not to the frame that took them; one
	// that a subprogram holds at a tail call is found at the end of the main program. Without it
	// the leak passes.
	RefsInAllFrames bool
	// IRQSections: bpf_local_irq_save exists, and a tail call inside of it is refused.
	IRQSections bool
	// ConstKeyNonNull: looking up a constant key inside an array gives a value that is known not
	// to be NULL (commit d2102f2f5d75, 6.14).
	ConstKeyNonNull bool
	// CallbackTailCallText is the text for a callback that can reach a tail call; empty where the
	// kernel does not look for it and carom refuses with the text of later kernels.
	CallbackTailCallText string
	// GlobalSubprogChangesPacket: a call of a global subprogram that may move the packet
	// invalidates packet pointers (commit 51081a3f25c7, 6.13 and stable kernels).
	GlobalSubprogChangesPacket bool
	// LoadAcquire: BPF_LOAD_ACQ and BPF_STORE_REL exist (6.15).
	LoadAcquire bool
	// MayGoto: the may_goto instruction exists (6.9).
	MayGoto bool
	// Version4: sign-extending loads and moves, 32-bit jumps, unconditional byte swaps and signed
	// division exist (6.6).
	Version4 bool
}

// TailCallModel is how the verifier follows a tail call.
type TailCallModel uint8

// Models of tail calls.
const (
	// TailCallFallsThrough looks at the path on which the call is not taken, and nothing else
	// (before 6.13).
	TailCallFallsThrough TailCallModel = iota
	// TailCallChangesPacket: also, packet pointers are invalid afterwards, even in the main
	// program (commit 1a4607ffba35, 6.13 and stable kernels).
	TailCallChangesPacket
	// TailCallReturns: in the main program nothing but the fall-through; in a subprogram also the
	// path on which it is taken: the subprogram returns an unknown R0 and packet pointers are
	// invalid (commit e3245f899043, 6.19 and 6.18 stable).
	TailCallReturns
)

const (
	textTailCallMap    = "expected prog array map for tail call"
	textTailCallMapOld = "kernel subsystem misconfigured verifier"
)

// Linux618 is the profile of Linux 6.18, the reference.
func Linux618() Profile {
	return Profile{
		Version:           "6.18",
		Release:           MakeRelease(6, 18),
		AttachTypeInOwner: true,
		LSMProtoInOwner:   true,
		StorageInOwner:    true,
		VerifierRules: VerifierRules{
			TailCall:                   TailCallReturns,
			TailCallMapText:            textTailCallMap,
			RefsInAllFrames:            true,
			IRQSections:                true,
			ConstKeyNonNull:            true,
			GlobalSubprogChangesPacket: true,
			LoadAcquire:                true,
			MayGoto:                    true,
			Version4:                   true,
		},
	}
}

// Linux612 is the profile of Linux 6.12, as of 6.12.117.
func Linux612() Profile {
	return Profile{
		Version:           "6.12",
		Release:           MakeRelease(6, 12),
		AttachTypeInOwner: true,
		LSMProtoInOwner:   true,
		StorageInOwner:    true,
		VerifierRules: VerifierRules{
			TailCall:                   TailCallChangesPacket,
			TailCallMapText:            textTailCallMapOld,
			GlobalSubprogChangesPacket: true,
			MayGoto:                    true,
			Version4:                   true,
		},
	}
}

// Linux66 is the profile of Linux 6.6.
func Linux66() Profile {
	return Profile{
		Version:             "6.6",
		Release:             MakeRelease(6, 6),
		FailedEmptyConsumes: true,
		CounterByValue:      true,
		AttachTypeInOwner:   true,
		LSMProtoInOwner:     true,
		VerifierRules:       VerifierRules{TailCallMapText: textTailCallMapOld, Version4: true},
	}
}

// Linux61 is the profile of Linux 6.1.
func Linux61() Profile {
	return Profile{
		Version:             "6.1",
		Release:             MakeRelease(6, 1),
		FailedEmptyConsumes: true,
		CounterByValue:      true,
		AttachTypeInOwner:   true,
		VerifierRules:       VerifierRules{TailCallMapText: textTailCallMapOld},
	}
}

// Profiles lists the versions that carom knows, oldest first.
func Profiles() []Profile {
	return []Profile{Linux61(), Linux66(), Linux612(), Linux618()}
}

// ProfileOf finds a profile by its Version.
func ProfileOf(version string) (Profile, bool) {
	for _, p := range Profiles() {
		if p.Version == version {
			return p, true
		}
	}
	return Profile{}, false
}

// HasMapType says whether the kernel has a map type (include/uapi/linux/bpf.h).
func (p Profile) HasMapType(t ebpf.MapType) bool {
	for _, m := range [...]struct {
		since Release
		types []ebpf.MapType
	}{
		{MakeRelease(6, 9), []ebpf.MapType{ebpf.Arena}},
		{MakeRelease(6, 2), []ebpf.MapType{ebpf.CgroupStorage}},
	} {
		for _, one := range m.types {
			if one == t {
				return p.Release >= m.since
			}
		}
	}
	return t >= ebpf.Hash && t <= ebpf.Arena
}

// HasProgramType says whether the kernel has a program type (include/uapi/linux/bpf.h).
func (p Profile) HasProgramType(t ebpf.ProgramType) bool {
	if t == ebpf.Netfilter {
		return p.Release >= MakeRelease(6, 4)
	}
	return t >= ebpf.SocketFilter && t <= ebpf.Netfilter
}

// LastHelper is the highest helper number that the kernel knows. A call of a higher one gives
// "invalid func unknown#N" (EINVAL).
func (p Profile) LastHelper() uint32 {
	if p.Release < MakeRelease(6, 2) {
		return FuncUserRingbufDrain
	}
	return MaxFuncID
}
