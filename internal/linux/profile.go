package linux

// Profile holds what differs between kernel versions, as data. The zero Profile is the oldest
// behaviour; Linux618 is the reference.
type Profile struct {
	// Version is how messages name the profile.
	Version string

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
}

// Linux618 is the profile of Linux 6.18, the reference.
func Linux618() Profile {
	return Profile{
		Version:           "6.18",
		AttachTypeInOwner: true,
		LSMProtoInOwner:   true,
		StorageInOwner:    true,
	}
}
