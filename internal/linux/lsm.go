package linux

import (
	"slices"
	"strings"
)

// LSMHook is what is known of a hook beside its BTF (kernel/bpf/bpf_lsm.c).
type LSMHook struct {
	Disabled  bool // no program may be attached
	Sleepable bool // programs with BPF_F_SLEEPABLE may be
	Untrusted bool // objects may be in the course of creation or release: arguments are not trusted
	Bool      bool // returns 0 or 1; other hooks return 0 or a negative error number
}

// LSMHookOf returns what is known of a hook; name is without the prefix bpf_lsm_.
func LSMHookOf(name string) LSMHook {
	in := func(list string) bool { return slices.Contains(strings.Fields(list), name) }
	return LSMHook{
		Disabled: in(disabledHooks), Sleepable: in(sleepableHooks), Untrusted: in(untrustedHooks), Bool: in(boolHooks),
	}
}

const (
	// bpf_lsm_disabled_hooks
	disabledHooks = `
		vm_enough_memory inode_need_killpriv inode_getsecurity inode_listsecurity
		inode_copy_up_xattr getselfattr getprocattr setprocattr key_getsecurity audit_rule_match
		xfrm_decode_session ismaclabel
	`
	// bool_lsm_hooks
	boolHooks = `
		xfrm_state_pol_flow_match audit_rule_known inode_xattr_skipcap
	`
	// untrusted_lsm_hooks
	untrustedHooks = `
		bpf_map_free bpf_prog_free file_alloc_security file_free_security sk_alloc_security
		sk_free_security task_free
	`
	// sleepable_lsm_hooks
	sleepableHooks = `
		bpf bpf_map bpf_map_create bpf_map_free bpf_prog bpf_prog_load bpf_token_create
		bpf_token_free bpf_token_cmd bpf_token_capable bprm_check_security bprm_committed_creds
		bprm_committing_creds bprm_creds_for_exec bprm_creds_from_file capget capset
		cred_prepare file_ioctl file_lock file_open file_post_open file_receive inode_create
		inode_free_security inode_getattr inode_getxattr inode_mknod inode_need_killpriv
		inode_post_setxattr inode_readlink inode_rename inode_rmdir inode_setattr inode_setxattr
		inode_symlink inode_unlink kernel_module_request kernel_read_file kernfs_init_security
		path_unlink path_mkdir path_rmdir path_truncate path_symlink path_link path_rename
		path_chmod path_chown mmap_file netlink_send path_notify release_secctx
		sb_alloc_security sb_eat_lsm_opts sb_kern_mount sb_mount sb_remount sb_set_mnt_opts
		sb_show_options sb_statfs sb_umount settime socket_accept socket_bind socket_connect
		socket_create socket_getpeername socket_getpeersec_dgram socket_getsockname
		socket_getsockopt socket_listen socket_post_create socket_recvmsg socket_sendmsg
		socket_shutdown socket_socketpair syslog task_alloc current_getsecid_subj
		task_getsecid_obj task_prctl task_setscheduler userns_create
	`
)
