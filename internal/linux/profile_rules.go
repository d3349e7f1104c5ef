package linux

// Evidence says how a rule of a profile is known.
type Evidence uint8

// Kinds of evidence.
const (
	FromSource Evidence = iota // read in the source or the commit, not run
	Measured                   // run on that kernel
)

// String gives the evidence as reports show it.
func (e Evidence) String() string {
	if e == Measured {
		return "measured"
	}
	return "from source"
}

// Rule is one rule that differs between versions, for reports.
type Rule struct {
	Name     string   // of the field of Profile
	Holds    bool     // in this profile
	Evidence Evidence // how that is known
	Source   string   // file or commit
}

// Rules lists the rules of a profile. Those of the reference were measured on 6.18.44.
func (p Profile) Rules() []Rule {
	evidence := FromSource
	if p.Release == MakeRelease(6, 18) {
		evidence = Measured
	}
	r := func(name string, holds bool, source string) Rule { return Rule{name, holds, evidence, source} }
	return []Rule{
		r("FailedEmptyConsumes", p.FailedEmptyConsumes, "arch/x86/net/bpf_jit_comp.c, 116e04ba1459"),
		r("CounterByValue", p.CounterByValue, "arch/x86/net/bpf_jit_comp.c, 116e04ba1459"),
		r("AttachTypeInOwner", p.AttachTypeInOwner, "kernel/bpf/core.c, 4540aed51b12"),
		// Programs of LSM hooks do not load on the machine that measured.
		{"LSMProtoInOwner", p.LSMProtoInOwner, FromSource, "kernel/bpf/core.c, 28ead3eaabc1"},
		r("StorageInOwner", p.StorageInOwner, "kernel/bpf/core.c, abad3d0bad72"),
		r("SleepableInOwner", p.SleepableInOwner, "kernel/bpf/core.c, 0f0c332992b8"),
		r("TailCall changes the packet", p.TailCall == TailCallChangesPacket, "net/core/filter.c, 1a4607ffba35"),
		r("TailCall returns to the caller", p.TailCall == TailCallReturns, "kernel/bpf/verifier.c, e3245f899043"),
		r("TailCallMapText", p.TailCallMapText == textTailCallMap, "kernel/bpf/verifier.c, record_func_key"),
		r("RefsInAllFrames", p.RefsInAllFrames, "kernel/bpf/verifier.c, check_reference_leak"),
		r("IRQSections", p.IRQSections, "kernel/bpf/verifier.c, check_resource_leak"),
		r("ConstKeyNonNull", p.ConstKeyNonNull, "kernel/bpf/verifier.c, d2102f2f5d75"),
		r("CallbackTailCallText", p.CallbackTailCallText != "", "kernel/bpf/verifier.c"),
		{"GlobalSubprogChangesPacket", p.GlobalSubprogChangesPacket, FromSource, "kernel/bpf/verifier.c, 51081a3f25c7"},
		r("LoadAcquire", p.LoadAcquire, "kernel/bpf/verifier.c"),
		r("MayGoto", p.MayGoto, "kernel/bpf/verifier.c"),
		r("Version4", p.Version4, "kernel/bpf/verifier.c"),
	}
}

// helperChange is how a set of helpers was before a version.
type helperChange struct {
	before    Release
	set       string
	sleepable bool     // for sleepable programs only
	lacked    []uint32 // helpers that the set did not have
	had       []string // symbols that it had
}

// helperChanges lists what changed in the sets of helperSets since 6.12, whose source it was read
// from. Sets of 6.6 and 6.1 are taken to be those of 6.12, up to the last helper they know.
func helperChanges() []helperChange {
	moved := MakeRelease(6, 16) // many tracing helpers became helpers of every type
	current := []string{
		"bpf_get_current_uid_gid", "bpf_get_current_comm", "bpf_get_cgroup_classid_curr", "bpf_current_task_under_cgroup",
	}
	return []helperChange{
		{before: moved, set: "base", lacked: []uint32{
			FuncGetCurrentUIDGID, FuncGetCurrentComm, FuncGetCgroupClassid, FuncPerfEventRead,
			FuncPerfEventReadValue, FuncCurrentTaskUnderCgroup, FuncSendSignal, FuncSendSignalThread,
			FuncGetTaskStack, FuncCopyFromUser, FuncCopyFromUserTask, FuncTaskStorageGet,
			FuncTaskStorageDelete, FuncGetBranchSnapshot, FuncFindVMA,
		}},
		{before: moved, set: "bpf_tracing", had: []string{
			"bpf_get_current_uid_gid", "bpf_get_current_comm", "bpf_perf_event_read", "bpf_perf_event_read_value",
			"bpf_current_task_under_cgroup", "bpf_send_signal", "bpf_send_signal_thread", "bpf_get_task_stack",
			"bpf_copy_from_user", "bpf_copy_from_user_task", "bpf_task_storage_get_recur",
			"bpf_task_storage_delete_recur", "bpf_get_branch_snapshot", "bpf_find_vma",
		}},
		{before: moved, set: "bpf_tracing", sleepable: true, had: []string{"bpf_get_task_stack_sleepable"}},
		{before: moved, set: "cgroup_dev", had: current},
		{before: moved, set: "sysctl", had: current},
		{before: moved, set: "cg_sockopt", had: current},
		{before: moved, set: "sock_filter", had: current},
		{before: moved, set: "sock_addr", had: current},
		{before: moved, set: "sk_msg", had: []string{"bpf_get_current_uid_gid", "bpf_get_cgroup_classid_curr"}},
		{before: moved, set: "struct_ops", lacked: []uint32{FuncTaskStorageGet, FuncTaskStorageDelete}},
		{before: MakeRelease(6, 15), set: "sk_filter", lacked: []uint32{FuncGetNetnsCookie}},
		{before: MakeRelease(6, 15), set: "tc_cls_act", lacked: []uint32{FuncGetNetnsCookie}},
		// A fix that 6.12.117 has and 6.18.44 has not.
		{before: MakeRelease(6, 13), set: "lwt_seg6local", lacked: []uint32{FuncSKBPullData}},
	}
}
