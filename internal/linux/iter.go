package linux

// IterArg is an argument of an iterator program whose kind its BTF does not say (ctx_arg_info of
// struct bpf_iter_reg). The others are trusted pointers, as argument 0, struct bpf_iter_meta.
type IterArg struct {
	Target  string // of the iterator
	Arg     int    // counted from 0
	Buffer  bool   // memory whose size is known when the iterator is attached, or NULL
	Rdonly  bool   // the buffer is not written
	Trusted bool   // a trusted pointer
	Struct  string // structure behind the pointer, or NULL; empty for buffers
}

// IterArgOf returns what is known of an argument of an iterator.
func IterArgOf(target string, arg int) (IterArg, bool) {
	for _, row := range iterArgs() {
		if row.Target == target && row.Arg == arg {
			return row, true
		}
	}
	return IterArg{}, false
}

func iterArgs() []IterArg {
	return []IterArg{
		{Target: "bpf_link", Arg: 1, Struct: "bpf_link"},
		{Target: "bpf_map", Arg: 1, Struct: "bpf_map", Trusted: true},
		{Target: "bpf_map_elem", Arg: 2, Buffer: true, Rdonly: true},
		{Target: "bpf_map_elem", Arg: 3, Buffer: true},
		{Target: "bpf_prog", Arg: 1, Struct: "bpf_prog"},
		{Target: "bpf_sk_storage_map", Arg: 2, Struct: "sock"},
		{Target: "bpf_sk_storage_map", Arg: 3, Buffer: true},
		{Target: "cgroup", Arg: 1, Struct: "cgroup", Trusted: true},
		{Target: "dmabuf", Arg: 1, Struct: "dma_buf"},
		{Target: "ipv6_route", Arg: 1, Struct: "fib6_info"},
		{Target: "ksym", Arg: 1, Struct: "kallsym_iter"},
		{Target: "kmem_cache", Arg: 1, Struct: "kmem_cache", Trusted: true},
		{Target: "netlink", Arg: 1, Struct: "netlink_sock"},
		{Target: "sockmap", Arg: 2, Buffer: true, Rdonly: true},
		{Target: "sockmap", Arg: 3, Struct: "sock"},
		{Target: "task", Arg: 1, Struct: "task_struct", Trusted: true},
		{Target: "task_file", Arg: 1, Struct: "task_struct"},
		{Target: "task_file", Arg: 3, Struct: "file"},
		{Target: "task_vma", Arg: 1, Struct: "task_struct"},
		{Target: "task_vma", Arg: 2, Struct: "vm_area_struct"},
		{Target: "tcp", Arg: 1, Struct: "sock_common", Trusted: true},
		{Target: "udp", Arg: 1, Struct: "udp_sock", Trusted: true},
		{Target: "unix", Arg: 1, Struct: "unix_sock"},
	}
}
