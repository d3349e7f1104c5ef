package linux

// coreProtos are the helpers of the BPF core that have files of their own: storage, cgroups, ring
// buffers, stack traces, system calls.
func coreProtos() []Proto {
	return []Proto{
		// kernel/bpf/bpf_cgrp_storage.c
		{ID: FuncCgrpStorageGet, Symbol: "bpf_cgrp_storage_get", Ret: RetPtrToMapValueOrNull, Args: args{ArgConstMapPtr, ArgPtrToBTFIDOrNull, ArgPtrToMapValueOrNull, ArgAnything}, ArgBTF: [5]string{1: "cgroup"}},
		{ID: FuncCgrpStorageDelete, Symbol: "bpf_cgrp_storage_delete", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgPtrToBTFIDOrNull}, ArgBTF: [5]string{1: "cgroup"}},
		// kernel/bpf/bpf_inode_storage.c
		{ID: FuncInodeStorageGet, Symbol: "bpf_inode_storage_get", Ret: RetPtrToMapValueOrNull, Args: args{ArgConstMapPtr, ArgPtrToBTFIDOrNull, ArgPtrToMapValueOrNull, ArgAnything}, ArgBTF: [5]string{1: "inode"}},
		{ID: FuncInodeStorageDelete, Symbol: "bpf_inode_storage_delete", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgPtrToBTFIDOrNull}, ArgBTF: [5]string{1: "inode"}},
		// kernel/bpf/bpf_iter.c
		{ID: FuncForEachMapElem, Symbol: "bpf_for_each_map_elem", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgPtrToFunc, ArgPtrToStackOrNull, ArgAnything}},
		{ID: FuncLoop, Symbol: "bpf_loop", Ret: RetInteger, Args: args{ArgAnything, ArgPtrToFunc, ArgPtrToStackOrNull, ArgAnything}},
		// kernel/bpf/bpf_lsm.c
		{ID: FuncBprmOptsSet, Symbol: "bpf_bprm_opts_set", Ret: RetInteger, Args: args{ArgPtrToBTFID, ArgAnything}, ArgBTF: [5]string{0: "linux_binprm"}},
		{ID: FuncIMAInodeHash, Symbol: "bpf_ima_inode_hash", Ret: RetInteger, Args: args{ArgPtrToBTFID, ArgPtrToUninitMem, ArgConstSize}, ArgBTF: [5]string{0: "inode"}, MightSleep: true, Allowed: AllowedIMA},
		{ID: FuncIMAFileHash, Symbol: "bpf_ima_file_hash", Ret: RetInteger, Args: args{ArgPtrToBTFID, ArgPtrToUninitMem, ArgConstSize}, ArgBTF: [5]string{0: "file"}, MightSleep: true, Allowed: AllowedIMA},
		{ID: FuncGetAttachCookie, Symbol: "bpf_get_attach_cookie", Ret: RetInteger, Args: args{ArgPtrToCtx}},
		// kernel/bpf/bpf_task_storage.c
		{ID: FuncTaskStorageGet, Symbol: "bpf_task_storage_get_recur", Ret: RetPtrToMapValueOrNull, Args: args{ArgConstMapPtr, ArgPtrToBTFIDOrNull, ArgPtrToMapValueOrNull, ArgAnything}, ArgBTF: [5]string{1: "task_struct"}},
		{ID: FuncTaskStorageGet, Symbol: "bpf_task_storage_get", Ret: RetPtrToMapValueOrNull, Args: args{ArgConstMapPtr, ArgPtrToBTFIDOrNull, ArgPtrToMapValueOrNull, ArgAnything}, ArgBTF: [5]string{1: "task_struct"}},
		{ID: FuncTaskStorageDelete, Symbol: "bpf_task_storage_delete_recur", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgPtrToBTFIDOrNull}, ArgBTF: [5]string{1: "task_struct"}},
		{ID: FuncTaskStorageDelete, Symbol: "bpf_task_storage_delete", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgPtrToBTFIDOrNull}, ArgBTF: [5]string{1: "task_struct"}},
		// kernel/bpf/btf.c
		{ID: FuncBTFFindByNameKind, Symbol: "bpf_btf_find_by_name_kind", Ret: RetInteger, Args: args{ArgPtrToMem | MemRdonly, ArgConstSize, ArgAnything, ArgAnything}, MightSleep: true},
		// kernel/bpf/cgroup.c
		{ID: FuncGetLocalStorage, Symbol: "bpf_get_local_storage", Ret: RetPtrToMapValue, Args: args{ArgConstMapPtr, ArgAnything}},
		{ID: FuncGetRetval, Symbol: "bpf_get_retval", Ret: RetInteger},
		{ID: FuncSetRetval, Symbol: "bpf_set_retval", Ret: RetInteger, Args: args{ArgAnything}},
		{ID: FuncSysctlGetName, Symbol: "bpf_sysctl_get_name", Ret: RetInteger, Args: args{ArgPtrToCtx, ArgPtrToMem | MemWrite, ArgConstSize, ArgAnything}},
		{ID: FuncSysctlGetCurrentValue, Symbol: "bpf_sysctl_get_current_value", Ret: RetInteger, Args: args{ArgPtrToCtx, ArgPtrToUninitMem, ArgConstSize}},
		{ID: FuncSysctlGetNewValue, Symbol: "bpf_sysctl_get_new_value", Ret: RetInteger, Args: args{ArgPtrToCtx, ArgPtrToUninitMem, ArgConstSize}},
		{ID: FuncSysctlSetNewValue, Symbol: "bpf_sysctl_set_new_value", Ret: RetInteger, Args: args{ArgPtrToCtx, ArgPtrToMem | MemRdonly, ArgConstSize}},
		{ID: FuncGetNetnsCookie, Symbol: "bpf_get_netns_cookie_sockopt", Ret: RetInteger, Args: args{ArgPtrToCtxOrNull}},
		// kernel/bpf/core.c
		{ID: FuncTailCall, Symbol: "bpf_tail_call", Ret: RetVoid, Args: args{ArgPtrToCtx, ArgConstMapPtr, ArgAnything}},
		// kernel/bpf/ringbuf.c
		{ID: FuncRingbufReserve, Symbol: "bpf_ringbuf_reserve", Ret: RetPtrToRingbufMemOrNull, Args: args{ArgConstMapPtr, ArgConstAllocSizeOrZero, ArgAnything}},
		{ID: FuncRingbufSubmit, Symbol: "bpf_ringbuf_submit", Ret: RetVoid, Args: args{ArgPtrToRingbufMem | ObjRelease, ArgAnything}},
		{ID: FuncRingbufDiscard, Symbol: "bpf_ringbuf_discard", Ret: RetVoid, Args: args{ArgPtrToRingbufMem | ObjRelease, ArgAnything}},
		{ID: FuncRingbufOutput, Symbol: "bpf_ringbuf_output", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgPtrToMem | MemRdonly, ArgConstSizeOrZero, ArgAnything}},
		{ID: FuncRingbufQuery, Symbol: "bpf_ringbuf_query", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgAnything}},
		{ID: FuncRingbufReserveDynptr, Symbol: "bpf_ringbuf_reserve_dynptr", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgAnything, ArgAnything, ArgPtrToDynptr | DynptrTypeRingbuf | MemUninit | MemWrite}},
		{ID: FuncRingbufSubmitDynptr, Symbol: "bpf_ringbuf_submit_dynptr", Ret: RetVoid, Args: args{ArgPtrToDynptr | DynptrTypeRingbuf | ObjRelease, ArgAnything}},
		{ID: FuncRingbufDiscardDynptr, Symbol: "bpf_ringbuf_discard_dynptr", Ret: RetVoid, Args: args{ArgPtrToDynptr | DynptrTypeRingbuf | ObjRelease, ArgAnything}},
		{ID: FuncUserRingbufDrain, Symbol: "bpf_user_ringbuf_drain", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgPtrToFunc, ArgPtrToStackOrNull, ArgAnything}},
		// kernel/bpf/stackmap.c
		{ID: FuncGetStackid, Symbol: "bpf_get_stackid", Ret: RetInteger, Args: args{ArgPtrToCtx, ArgConstMapPtr, ArgAnything}, GPLOnly: true},
		{ID: FuncGetStackid, Symbol: "bpf_get_stackid_pe", Ret: RetInteger, Args: args{ArgPtrToCtx, ArgConstMapPtr, ArgAnything}},
		{ID: FuncGetStack, Symbol: "bpf_get_stack", Ret: RetInteger, Args: args{ArgPtrToCtx, ArgPtrToUninitMem, ArgConstSizeOrZero, ArgAnything}, GPLOnly: true},
		{ID: FuncGetStack, Symbol: "bpf_get_stack_sleepable", Ret: RetInteger, Args: args{ArgPtrToCtx, ArgPtrToUninitMem, ArgConstSizeOrZero, ArgAnything}, GPLOnly: true, MightSleep: true},
		{ID: FuncGetTaskStack, Symbol: "bpf_get_task_stack", Ret: RetInteger, Args: args{ArgPtrToBTFID, ArgPtrToUninitMem, ArgConstSizeOrZero, ArgAnything}, ArgBTF: [5]string{0: "task_struct"}},
		{ID: FuncGetTaskStack, Symbol: "bpf_get_task_stack_sleepable", Ret: RetInteger, Args: args{ArgPtrToBTFID, ArgPtrToUninitMem, ArgConstSizeOrZero, ArgAnything}, ArgBTF: [5]string{0: "task_struct"}, MightSleep: true},
		{ID: FuncGetStack, Symbol: "bpf_get_stack_pe", Ret: RetInteger, Args: args{ArgPtrToCtx, ArgPtrToUninitMem, ArgConstSizeOrZero, ArgAnything}, GPLOnly: true},
		// kernel/bpf/syscall.c
		{ID: FuncSysBPF, Symbol: "bpf_sys_bpf", Ret: RetInteger, Args: args{ArgAnything, ArgPtrToMem | MemRdonly, ArgConstSize}, MightSleep: true},
		{ID: FuncSysClose, Symbol: "bpf_sys_close", Ret: RetInteger, Args: args{ArgAnything}, MightSleep: true},
		{ID: FuncKallsymsLookupName, Symbol: "bpf_kallsyms_lookup_name", Ret: RetInteger, Args: args{ArgPtrToMem | MemRdonly, ArgConstSizeOrZero, ArgAnything, ArgPtrToFixedSizeMem | MemUninit | MemWrite | MemAligned}, ArgSize: [5]uint32{3: 8}},
		// kernel/bpf/task_iter.c
		{ID: FuncFindVMA, Symbol: "bpf_find_vma", Ret: RetInteger, Args: args{ArgPtrToBTFID, ArgAnything, ArgPtrToFunc, ArgPtrToStackOrNull, ArgAnything}, ArgBTF: [5]string{0: "task_struct"}},
	}
}

// baseProtos are the helpers that most program types have: maps, time, tasks, strings, timers,
// dynptrs.
func baseProtos() []Proto {
	return []Proto{
		// kernel/bpf/helpers.c
		{ID: FuncMapLookupElem, Symbol: "bpf_map_lookup_elem", Ret: RetPtrToMapValueOrNull, Args: args{ArgConstMapPtr, ArgPtrToMapKey}, PktAccess: true},
		{ID: FuncMapUpdateElem, Symbol: "bpf_map_update_elem", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgPtrToMapKey, ArgPtrToMapValue, ArgAnything}, PktAccess: true},
		{ID: FuncMapDeleteElem, Symbol: "bpf_map_delete_elem", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgPtrToMapKey}, PktAccess: true},
		{ID: FuncMapPushElem, Symbol: "bpf_map_push_elem", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgPtrToMapValue, ArgAnything}, PktAccess: true},
		{ID: FuncMapPopElem, Symbol: "bpf_map_pop_elem", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgPtrToMapValue | MemUninit | MemWrite}},
		{ID: FuncMapPeekElem, Symbol: "bpf_map_peek_elem", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgPtrToMapValue | MemUninit | MemWrite}},
		{ID: FuncMapLookupPerCPUElem, Symbol: "bpf_map_lookup_percpu_elem", Ret: RetPtrToMapValueOrNull, Args: args{ArgConstMapPtr, ArgPtrToMapKey, ArgAnything}, PktAccess: true},
		{ID: FuncGetPrandomU32, Symbol: "bpf_get_prandom_u32", Ret: RetInteger},
		{ID: FuncGetSmpProcessorID, Symbol: "bpf_get_smp_processor_id", Ret: RetInteger, AllowFastcall: true},
		{ID: FuncGetNUMANodeID, Symbol: "bpf_get_numa_node_id", Ret: RetInteger},
		{ID: FuncKtimeGetNS, Symbol: "bpf_ktime_get_ns", Ret: RetInteger},
		{ID: FuncKtimeGetBootNS, Symbol: "bpf_ktime_get_boot_ns", Ret: RetInteger},
		{ID: FuncKtimeGetCoarseNS, Symbol: "bpf_ktime_get_coarse_ns", Ret: RetInteger},
		{ID: FuncKtimeGetTAINS, Symbol: "bpf_ktime_get_tai_ns", Ret: RetInteger},
		{ID: FuncGetCurrentPIDTGID, Symbol: "bpf_get_current_pid_tgid", Ret: RetInteger},
		{ID: FuncGetCurrentUIDGID, Symbol: "bpf_get_current_uid_gid", Ret: RetInteger},
		{ID: FuncGetCurrentComm, Symbol: "bpf_get_current_comm", Ret: RetInteger, Args: args{ArgPtrToUninitMem, ArgConstSize}},
		{ID: FuncSpinLock, Symbol: "bpf_spin_lock", Ret: RetVoid, Args: args{ArgPtrToSpinLock}},
		{ID: FuncSpinUnlock, Symbol: "bpf_spin_unlock", Ret: RetVoid, Args: args{ArgPtrToSpinLock}},
		{ID: FuncJiffies64, Symbol: "bpf_jiffies64", Ret: RetInteger},
		{ID: FuncGetCurrentCgroupID, Symbol: "bpf_get_current_cgroup_id", Ret: RetInteger},
		{ID: FuncGetCurrentAncestorCgroupID, Symbol: "bpf_get_current_ancestor_cgroup_id", Ret: RetInteger, Args: args{ArgAnything}},
		{ID: FuncStrtol, Symbol: "bpf_strtol", Ret: RetInteger, Args: args{ArgPtrToMem | MemRdonly, ArgConstSize, ArgAnything, ArgPtrToFixedSizeMem | MemUninit | MemWrite | MemAligned}, ArgSize: [5]uint32{3: 8}},
		{ID: FuncStrtoul, Symbol: "bpf_strtoul", Ret: RetInteger, Args: args{ArgPtrToMem | MemRdonly, ArgConstSize, ArgAnything, ArgPtrToFixedSizeMem | MemUninit | MemWrite | MemAligned}, ArgSize: [5]uint32{3: 8}},
		{ID: FuncStrncmp, Symbol: "bpf_strncmp", Ret: RetInteger, Args: args{ArgPtrToMem | MemRdonly, ArgConstSize, ArgPtrToConstStr}},
		{ID: FuncGetNSCurrentPIDTGID, Symbol: "bpf_get_ns_current_pid_tgid", Ret: RetInteger, Args: args{ArgAnything, ArgAnything, ArgPtrToUninitMem, ArgConstSize}},
		{ID: FuncGetSmpProcessorID, Symbol: "bpf_get_raw_smp_processor_id", Ret: RetInteger},
		{ID: FuncPerfEventOutput, Symbol: "bpf_event_output_data", Ret: RetInteger, Args: args{ArgPtrToCtx, ArgConstMapPtr, ArgAnything, ArgPtrToMem | MemRdonly, ArgConstSizeOrZero}, GPLOnly: true},
		{ID: FuncCopyFromUser, Symbol: "bpf_copy_from_user", Ret: RetInteger, Args: args{ArgPtrToUninitMem, ArgConstSizeOrZero, ArgAnything}, MightSleep: true},
		{ID: FuncCopyFromUserTask, Symbol: "bpf_copy_from_user_task", Ret: RetInteger, Args: args{ArgPtrToUninitMem, ArgConstSizeOrZero, ArgAnything, ArgPtrToBTFID, ArgAnything}, ArgBTF: [5]string{3: "task_struct"}, GPLOnly: true, MightSleep: true},
		{ID: FuncPerCPUPtr, Symbol: "bpf_per_cpu_ptr", Ret: RetPtrToMemOrBTFID | PtrMaybeNull | MemRdonly, Args: args{ArgPtrToPercpuBTFID, ArgAnything}},
		{ID: FuncThisCPUPtr, Symbol: "bpf_this_cpu_ptr", Ret: RetPtrToMemOrBTFID | MemRdonly, Args: args{ArgPtrToPercpuBTFID}},
		{ID: FuncSnprintf, Symbol: "bpf_snprintf", Ret: RetInteger, Args: args{ArgPtrToMemOrNull | MemWrite, ArgConstSizeOrZero, ArgPtrToConstStr, ArgPtrToMem | PtrMaybeNull | MemRdonly, ArgConstSizeOrZero}, GPLOnly: true},
		{ID: FuncTimerInit, Symbol: "bpf_timer_init", Ret: RetInteger, Args: args{ArgPtrToTimer, ArgConstMapPtr, ArgAnything}, GPLOnly: true},
		{ID: FuncTimerSetCallback, Symbol: "bpf_timer_set_callback", Ret: RetInteger, Args: args{ArgPtrToTimer, ArgPtrToFunc}, GPLOnly: true},
		{ID: FuncTimerStart, Symbol: "bpf_timer_start", Ret: RetInteger, Args: args{ArgPtrToTimer, ArgAnything, ArgAnything}, GPLOnly: true},
		{ID: FuncTimerCancel, Symbol: "bpf_timer_cancel", Ret: RetInteger, Args: args{ArgPtrToTimer}, GPLOnly: true},
		{ID: FuncKptrXchg, Symbol: "bpf_kptr_xchg", Ret: RetPtrToBTFIDOrNull, Args: args{ArgKptrXchgDest, ArgPtrToBTFIDOrNull | ObjRelease}},
		{ID: FuncDynptrFromMem, Symbol: "bpf_dynptr_from_mem", Ret: RetInteger, Args: args{ArgPtrToUninitMem, ArgConstSizeOrZero, ArgAnything, ArgPtrToDynptr | DynptrTypeLocal | MemUninit | MemWrite}},
		{ID: FuncDynptrRead, Symbol: "bpf_dynptr_read", Ret: RetInteger, Args: args{ArgPtrToUninitMem, ArgConstSizeOrZero, ArgPtrToDynptr | MemRdonly, ArgAnything, ArgAnything}},
		{ID: FuncDynptrWrite, Symbol: "bpf_dynptr_write", Ret: RetInteger, Args: args{ArgPtrToDynptr | MemRdonly, ArgAnything, ArgPtrToMem | MemRdonly, ArgConstSizeOrZero, ArgAnything}},
		{ID: FuncDynptrData, Symbol: "bpf_dynptr_data", Ret: RetPtrToDynptrMemOrNull, Args: args{ArgPtrToDynptr | MemRdonly, ArgAnything, ArgConstAllocSizeOrZero}},
		{ID: FuncCurrentTaskUnderCgroup, Symbol: "bpf_current_task_under_cgroup", Ret: RetInteger, Args: args{ArgConstMapPtr, ArgAnything}},
	}
}
