package verifier

// kfuncSpecial names the kernel functions that the verifier treats by name (special_kfunc_list,
// kernel/bpf/verifier.c).
type kfuncSpecial uint8

const (
	kfPlain kfuncSpecial = iota
	kfObjNew
	kfObjDrop
	kfPercpuObjNew
	kfPercpuObjDrop
	kfRefcountAcquire
	kfListPushFront
	kfListPushBack
	kfListPopFront
	kfListPopBack
	kfListFront
	kfListBack
	kfRbtreeAdd
	kfRbtreeRemove
	kfRbtreeFirst
	kfRbtreeRoot
	kfRbtreeLeft
	kfRbtreeRight
	kfCastToKernCtx
	kfRdonlyCast
	kfRCULock
	kfRCUUnlock
	kfPreemptDisable
	kfPreemptEnable
	kfIRQSave
	kfIRQRestore
	kfResLock
	kfResUnlock
	kfResLockIRQ
	kfResUnlockIRQ
	kfIterNumNew
	kfIterNumNext
	kfIterNumDestroy
	kfIterCSSTaskNew
	kfDynptrFromSKB
	kfDynptrFromXDP
	kfDynptrFromSKBMeta
	kfDynptrSlice
	kfDynptrSliceRdwr
	kfDynptrClone
	kfXDPPullData
	kfThrow
	kfTrap
	kfWQSetCallback
	kfTaskWorkSignal
	kfTaskWorkResume
	kfSessionCookie
	kfGetKmemCache
)

var kfuncSpecials = map[string]kfuncSpecial{
	"bpf_obj_new_impl":                   kfObjNew,
	"bpf_obj_drop_impl":                  kfObjDrop,
	"bpf_percpu_obj_new_impl":            kfPercpuObjNew,
	"bpf_percpu_obj_drop_impl":           kfPercpuObjDrop,
	"bpf_refcount_acquire_impl":          kfRefcountAcquire,
	"bpf_list_push_front_impl":           kfListPushFront,
	"bpf_list_push_back_impl":            kfListPushBack,
	"bpf_list_pop_front":                 kfListPopFront,
	"bpf_list_pop_back":                  kfListPopBack,
	"bpf_list_front":                     kfListFront,
	"bpf_list_back":                      kfListBack,
	"bpf_rbtree_add_impl":                kfRbtreeAdd,
	"bpf_rbtree_remove":                  kfRbtreeRemove,
	"bpf_rbtree_first":                   kfRbtreeFirst,
	"bpf_rbtree_root":                    kfRbtreeRoot,
	"bpf_rbtree_left":                    kfRbtreeLeft,
	"bpf_rbtree_right":                   kfRbtreeRight,
	"bpf_cast_to_kern_ctx":               kfCastToKernCtx,
	"bpf_rdonly_cast":                    kfRdonlyCast,
	"bpf_rcu_read_lock":                  kfRCULock,
	"bpf_rcu_read_unlock":                kfRCUUnlock,
	"bpf_preempt_disable":                kfPreemptDisable,
	"bpf_preempt_enable":                 kfPreemptEnable,
	"bpf_local_irq_save":                 kfIRQSave,
	"bpf_local_irq_restore":              kfIRQRestore,
	"bpf_res_spin_lock":                  kfResLock,
	"bpf_res_spin_unlock":                kfResUnlock,
	"bpf_res_spin_lock_irqsave":          kfResLockIRQ,
	"bpf_res_spin_unlock_irqrestore":     kfResUnlockIRQ,
	"bpf_iter_num_new":                   kfIterNumNew,
	"bpf_iter_num_next":                  kfIterNumNext,
	"bpf_iter_num_destroy":               kfIterNumDestroy,
	"bpf_iter_css_task_new":              kfIterCSSTaskNew,
	"bpf_dynptr_from_skb":                kfDynptrFromSKB,
	"bpf_dynptr_from_xdp":                kfDynptrFromXDP,
	"bpf_dynptr_from_skb_meta":           kfDynptrFromSKBMeta,
	"bpf_dynptr_slice":                   kfDynptrSlice,
	"bpf_dynptr_slice_rdwr":              kfDynptrSliceRdwr,
	"bpf_dynptr_clone":                   kfDynptrClone,
	"bpf_xdp_pull_data":                  kfXDPPullData,
	"bpf_throw":                          kfThrow,
	"__bpf_trap":                         kfTrap,
	"bpf_wq_set_callback_impl":           kfWQSetCallback,
	"bpf_task_work_schedule_signal_impl": kfTaskWorkSignal,
	"bpf_task_work_schedule_resume_impl": kfTaskWorkResume,
	"bpf_session_cookie":                 kfSessionCookie,
	"bpf_get_kmem_cache":                 kfGetKmemCache,
}

// kfuncSpecialOf returns how a function is treated, kfPlain for those that are like all.
func kfuncSpecialOf(name string) kfuncSpecial { return kfuncSpecials[name] }

// async says that the function registers a callback that runs later.
func (s kfuncSpecial) async() bool {
	return s == kfWQSetCallback || s == kfTaskWorkSignal || s == kfTaskWorkResume
}

// list and tree say that the function works on a list, or on a tree.
func (s kfuncSpecial) list() bool { return s >= kfListPushFront && s <= kfListBack }
func (s kfuncSpecial) tree() bool { return s >= kfRbtreeAdd && s <= kfRbtreeRight }

// underLock says that the function may be called while a lock is held (kfunc_spin_allowed).
func (s kfuncSpecial) underLock() bool {
	return s.list() || s.tree() || s == kfRefcountAcquire || s >= kfIterNumNew && s <= kfIterNumDestroy ||
		s >= kfResLock && s <= kfResUnlockIRQ
}
