package helper

import (
	"fmt"
	"math"
	"strings"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/world"
	"github.com/cilium/ebpf"
)

// program puts a frame around a body: R6 is the address of the value of "out", the body stores
// there.
func program(body string) string {
	return "r6 = map[out][0]+0 ll\n" + body + "\nr0 = 0\nexit\n"
}

// store leaves R0 in word n of "out".
func store(n int) string { return fmt.Sprintf("\n*(u64 *)(r6 +%d) = r0\n", 8*n) }

func mapScenarios() []scenario {
	update := func(n, key, value, flags int) string {
		return fmt.Sprintf(`
			*(u32 *)(r10 -4) = %d
			*(u64 *)(r10 -16) = %d
			r1 = map[m] ll
			r2 = r10
			r2 += -4
			r3 = r10
			r3 += -16
			r4 = %d
			call bpf_map_update_elem`, key, value, flags) + store(n)
	}
	lookup := func(n, key int) string {
		return fmt.Sprintf(`
			*(u32 *)(r10 -4) = %d
			r1 = map[m] ll
			r2 = r10
			r2 += -4
			call bpf_map_lookup_elem
			if r0 == 0 goto pc+1
			r0 = *(u64 *)(r0 +0)`, key) + store(n)
	}
	remove := func(n, key int) string {
		return fmt.Sprintf(`
			*(u32 *)(r10 -4) = %d
			r1 = map[m] ll
			r2 = r10
			r2 += -4
			call bpf_map_delete_elem`, key) + store(n)
	}
	spec := func(t ebpf.MapType, n uint32) []maps.Spec {
		return []maps.Spec{{Name: "m", Type: t, KeySize: 4, ValueSize: 8, MaxEntries: n}}
	}
	percpu := func(n, key, cpu int) string {
		return fmt.Sprintf(`
			*(u32 *)(r10 -4) = %d
			r1 = map[m] ll
			r2 = r10
			r2 += -4
			r3 = %d
			call bpf_map_lookup_percpu_elem
			if r0 == 0 goto pc+1
			r0 = *(u64 *)(r0 +0)`, key, cpu) + store(n)
	}
	return []scenario{
		{
			name: "hash", maps: spec(ebpf.Hash, 2),
			text: program(lookup(0, 1) + update(1, 1, 11, 0) + update(2, 1, 12, 1) + update(3, 2, 21, 2) +
				update(4, 2, 21, 1) + update(5, 3, 31, 0) + update(6, 1, 1, 3) + lookup(7, 1) + remove(8, 1) + remove(9, 1) + lookup(10, 1)),
			want: []uint64{0, 0, errno(linux.EEXIST), errno(linux.ENOENT), 0, errno(linux.E2BIG), errno(linux.EINVAL), 11, 0, errno(linux.ENOENT), 0},
		},
		{
			name: "array", maps: spec(ebpf.Array, 2),
			text: program(lookup(0, 1) + update(1, 1, 11, 0) + update(2, 1, 12, 1) + update(3, 2, 21, 0) +
				update(4, 0, 5, 2) + lookup(5, 1) + lookup(6, 0) + lookup(7, 2) + lookup(8, -1) + remove(9, 1)),
			want: []uint64{0, 0, errno(linux.EEXIST), errno(linux.E2BIG), 0, 11, 5, 0, 0, errno(linux.EINVAL)},
		},
		{
			name: "per-CPU array", maps: spec(ebpf.PerCPUArray, 2),
			text: program(update(0, 1, 11, 0) + lookup(1, 1) + lookup(2, 2) + percpu(3, 1, 1<<16) + percpu(4, 5, 0)),
			want: []uint64{0, 11, 0, 0, 0},
		},
		{
			name: "per-CPU hash", maps: spec(ebpf.PerCPUHash, 2),
			text: program(percpu(0, 1, 0) + update(1, 1, 11, 0) + lookup(2, 1) + percpu(3, 1, 1<<16)),
			want: []uint64{0, 0, 11, 0},
		},
	}
}

// words is text as a map value.
func padded(s string, n int) []byte { return append([]byte(s), make([]byte, n-len(s))...) }

func probeScenarios() []scenario {
	// read calls a probe helper on the map "in" at an offset, into "out" at 64.
	read := func(n int, call string, size, from int) string {
		return fmt.Sprintf(`
			r1 = r6
			r1 += 64
			r2 = %d
			r3 = map[in][0]+%d ll
			call %s`, size, from, call) + store(n)
	}
	bad := func(n int, call string, size int, addr string) string {
		return fmt.Sprintf(`
			r1 = r6
			r1 += 64
			r2 = %d
			r3 = %s
			call %s`, size, addr, call) + store(n)
	}
	fill := func(n int) string { return strings.Repeat("\xaa", n) }
	var all []scenario
	for _, c := range []struct {
		call, addr string
		want       linux.Errno
	}{
		{"bpf_probe_read", "0", linux.EFAULT}, {"bpf_probe_read", "0x7fffffffe000 ll", linux.EFAULT},
		{"bpf_probe_read", "0x7fffffffffff ll", linux.ERANGE}, {"bpf_probe_read", "0x800000001000 ll", linux.ERANGE}, {"bpf_probe_read", "0xffff000000000000 ll", linux.ERANGE},
		{"bpf_probe_read", "0xffffffff00000000 ll", linux.EFAULT},
		{"bpf_probe_read_kernel", "0", linux.ERANGE}, {"bpf_probe_read_kernel", "0x7ffffffff000 ll", linux.ERANGE},
		{"bpf_probe_read_kernel", "0x800000001000 ll", linux.ERANGE}, {"bpf_probe_read_kernel", "0xffff000000000000 ll", linux.ERANGE},
		{"bpf_probe_read_kernel", "0xffffffff00000000 ll", linux.EFAULT},
		{"bpf_probe_read_kernel_str", "0", linux.ERANGE}, {"bpf_probe_read_kernel_str", "0xffffffff00000000 ll", linux.EFAULT},
		{"bpf_probe_read_str", "0", linux.EFAULT}, {"bpf_probe_read_str", "0xffff000000000000 ll", linux.ERANGE},
		{"bpf_probe_read_user", "0xffff000000000000 ll", linux.EFAULT}, {"bpf_probe_read_user_str", "0xffffffff00000000 ll", linux.EFAULT},
		{"bpf_copy_from_user", "0xffffffff00000000 ll", linux.EFAULT},
	} {
		all = append(all, scenario{
			name: c.call + " of " + c.addr, text: program(bad(0, c.call, 9, c.addr)),
			want: []uint64{errno(c.want)}, wantBytes: []byte(strings.Repeat("\x00", 9) + fill(4)),
		})
	}
	user := []byte("hello, world\x00tail of the user's memory")
	fromUser := func(n int, call string, size, from int) string {
		return fmt.Sprintf(`
			r1 = r6
			r1 += 64
			r2 = %d
			r3 = USER
			r3 += %d
			call %s`, size, from, call) + store(n)
	}
	for _, c := range []struct {
		call       string
		size, from int
		ret        int64
		want       string
	}{
		{"bpf_probe_read_user", 7, 0, 0, "hello, " + fill(2)},
		{"bpf_probe_read", 7, 0, 0, "hello, " + fill(2)},
		{"bpf_copy_from_user", 7, 0, 0, "hello, " + fill(2)},
		{"bpf_probe_read_user_str", 20, 0, 13, "hello, world\x00\x00\x00\x00" + fill(8)},
		{"bpf_probe_read_str", 20, 0, 13, "hello, world\x00\x00\x00\x00" + fill(8)},
		{"bpf_probe_read_user_str", 16, 0, 13, "hello, world\x00\x00\x00\x00" + fill(8)},
		{"bpf_probe_read_user_str", 15, 0, 13, "hello, world\x00" + fill(8)},
		{"bpf_probe_read_user_str", 13, 0, 13, "hello, world\x00" + fill(8)},
		{"bpf_probe_read_user_str", 12, 0, 12, "hello, worl\x00" + fill(8)},
		{"bpf_probe_read_user_str", 8, 0, 8, "hello, \x00" + fill(8)},
		{"bpf_probe_read_user_str", 5, 0, 5, "hell\x00" + fill(8)},
		{"bpf_probe_read_user_str", 20, 5, 8, ", world\x00" + fill(8)},
		{"bpf_probe_read_user_str", 20, 12, 1, "\x00\x00\x00\x00\x00\x00\x00\x00" + fill(8)},
		{"bpf_probe_read_user_str", 7, 12, 1, "\x00" + fill(8)},
		{"bpf_probe_read_user_str", 0, 0, 0, fill(8)},
		{"bpf_probe_read_user_str", 1, 0, 1, "\x00" + fill(8)},
	} {
		all = append(all, scenario{
			name: fmt.Sprintf("%s of user memory, size %d from %d", c.call, c.size, c.from), user: user,
			text: program(fromUser(0, c.call, c.size, c.from)), want: []uint64{uint64(c.ret)}, wantBytes: []byte(c.want),
		})
	}
	in := []byte("hello, world\x00tail\x00xxxxxxxxxxxxxxx")
	return append(all, []scenario{
		{name: "probe_read_kernel", in: in, text: program(read(0, "bpf_probe_read_kernel", 7, 0) + read(1, "bpf_probe_read_kernel", 0, 0)),
			want: []uint64{0, 0}, wantBytes: []byte("hello, " + fill(2))},
		{name: "probe_read", in: in, text: program(read(0, "bpf_probe_read", 7, 0)),
			want: []uint64{0}, wantBytes: []byte("hello, " + fill(2))},
		{name: "probe_read_kernel_str", in: in, text: program(read(0, "bpf_probe_read_kernel_str", 20, 0)),
			want: []uint64{13}, wantBytes: []byte("hello, world\x00" + fill(7))},
		{name: "probe_read_kernel_str cut", in: in, text: program(read(0, "bpf_probe_read_kernel_str", 5, 0)),
			want: []uint64{5}, wantBytes: []byte("hell\x00" + fill(4))},
		{name: "probe_read_kernel_str fits", in: in, text: program(read(0, "bpf_probe_read_kernel_str", 13, 0)),
			want: []uint64{13}, wantBytes: []byte("hello, world\x00" + fill(4))},
		{name: "probe_read_kernel_str cut before the NUL", in: in, text: program(read(0, "bpf_probe_read_kernel_str", 12, 0)),
			want: []uint64{12}, wantBytes: []byte("hello, worl\x00" + fill(4))},
		{name: "probe_read_kernel_str empty", in: in, text: program(read(0, "bpf_probe_read_kernel_str", 12, 12)),
			want: []uint64{1}, wantBytes: []byte("\x00" + fill(14))},
		{name: "probe_read_kernel_str size 0", in: in, text: program(read(0, "bpf_probe_read_kernel_str", 0, 0)),
			want: []uint64{0}, wantBytes: []byte(fill(8))},
		{name: "probe_read_kernel_str size 1", in: in, text: program(read(0, "bpf_probe_read_kernel_str", 1, 0)),
			want: []uint64{1}, wantBytes: []byte("\x00" + fill(8))},
		{name: "probe_read_str", in: in, text: program(read(0, "bpf_probe_read_str", 20, 0)),
			want: []uint64{13}, wantBytes: []byte("hello, world\x00" + fill(7))},
	}...)
}

func textScenarios() []scenario {
	var all []scenario
	// strncmp
	body := ""
	var want []uint64
	ro := "abc\x00abd\x00ab\x00\xff\x00\x00"
	for i, c := range []struct {
		a    string
		n    int
		b    int
		want int64
	}{
		{"abc\x00", 4, 0, 0}, {"abc\x00", 4, 4, -1}, {"abd\x00", 4, 0, 1}, {"abc\x00", 2, 8, 0}, {"abc\x00", 3, 8, 1},
		{"ab\x00z", 4, 8, 0}, {"a\x00bc", 4, 11, -1}, {"\xff\x00\x00\x00", 4, 0, 1}, {"a\x00bc", 1, 4, 0},
	} {
		body += fmt.Sprintf(`
			*(u32 *)(r10 -4) = %d
			r1 = r10
			r1 += -4
			r2 = %d
			r3 = map[ro][0]+%d ll
			call bpf_strncmp`, int32(le64(padded(c.a, 8))), c.n, c.b) + store(i)
		want = append(want, uint64(c.want))
	}
	all = append(all, scenario{name: "strncmp", ro: []byte(ro), text: program(body), want: want})
	return append(append(all, numberScenarios()...), snprintfScenarios()...)
}

func numberScenarios() []scenario {
	var all []scenario
	for _, call := range []string{"strtol", "strtoul"} {
		for _, c := range []struct {
			text  string
			flags int
			ret   map[string]int64
			res   int64
		}{
			{"123", 0, nil, 123},
			{" \t-77z", 10, map[string]int64{"strtol": 5, "strtoul": -22}, -77},
			{"0x1Fz", 0, map[string]int64{"*": 4}, 31},
			{"0x1f", 16, map[string]int64{"*": 4}, 31},
			{"0xg", 0, map[string]int64{"*": 1}, 0},
			{"0xg", 16, map[string]int64{"*": -22}, 0},
			{"017", 0, map[string]int64{"*": 3}, 15},
			{"018", 0, map[string]int64{"*": 2}, 1},
			{"08", 0, map[string]int64{"*": 1}, 0},
			{"ff", 16, map[string]int64{"*": 2}, 255},
			{"ff", 10, map[string]int64{"*": -22}, 0},
			{"1", 2, map[string]int64{"*": -22}, 0},
			{"1", 32, map[string]int64{"*": -22}, 0},
			{"   ", 0, map[string]int64{"*": -22}, 0},
			{"-", 0, map[string]int64{"*": -22}, 0},
			{"+1", 0, map[string]int64{"*": -22}, 0},
			{"--1", 0, map[string]int64{"*": -22}, 0},
			{"18446744073709551615", 0, map[string]int64{"strtol": -34, "strtoul": 20}, -1},
			{"18446744073709551616", 0, map[string]int64{"*": -34}, 0},
			{"9223372036854775807", 0, map[string]int64{"*": 19}, math.MaxInt64},
			{"-9223372036854775808", 0, map[string]int64{"strtol": 20, "strtoul": -22}, math.MinInt64},
			{"-9223372036854775809", 0, map[string]int64{"strtol": -34, "strtoul": -22}, 0},
			{strings.Repeat("0", 70) + "1", 10, map[string]int64{"*": 63}, 0},
			{"\xa05", 0, map[string]int64{"*": 2}, 5},
			{"\v\f\r\n5", 0, map[string]int64{"*": 5}, 5},
		} {
			ret, ok := c.ret[call]
			if !ok {
				ret, ok = c.ret["*"]
			}
			if !ok {
				ret = int64(len(c.text))
			}
			res := c.res
			if ret < 0 {
				res = 0
			}
			all = append(all, scenario{
				name: fmt.Sprintf("%s %.30q base %d", call, c.text, c.flags),
				in:   []byte(c.text + "\x00"),
				text: program(fmt.Sprintf(`
					*(u64 *)(r10 -8) = 7
					r1 = map[in][0]+0 ll
					r2 = %d
					r3 = %d
					r4 = r10
					r4 += -8
					call bpf_%s`, len(c.text), c.flags, call) + store(0) + `
					r0 = *(u64 *)(r10 -8)` + store(1)),
				want: []uint64{uint64(ret), uint64(res)},
			})
		}
	}
	return all
}

func snprintfScenarios() []scenario {
	one := func(name, format string, size int, argSize int, ret int64, text string) scenario {
		return scenario{
			name: "snprintf " + name, ro: []byte(format + "\x00"),
			text: program(fmt.Sprintf(`
				*(u64 *)(r10 -16) = 42
				*(u64 *)(r10 -8) = -1
				r1 = r6
				r1 += 64
				r2 = %d
				r3 = map[ro][0]+0 ll
				r4 = r10
				r4 += -16
				r5 = %d
				call bpf_snprintf`, size, argSize) + store(0)),
			want: []uint64{uint64(ret)}, wantBytes: []byte(text + "\xaa"),
		}
	}
	return []scenario{
		one("fits", "a%d b%lld", 32, 16, 8, "a42 b-1\x00"),
		one("cut", "a%d b%lld", 4, 16, 8, "a42\x00"),
		one("exactly", "a%d b%lld", 8, 16, 8, "a42 b-1\x00"),
		one("size 1", "a%d b%lld", 1, 16, 8, "\x00"),
		one("size 0", "a%d b%lld", 0, 16, 8, ""),
	}
}

func loopScenarios() []scenario {
	loop := func(n int, count string, flags int) string {
		return fmt.Sprintf(`
			*(u64 *)(r10 -8) = 0
			r1 = %s
			r2 = func[count] ll
			r3 = r10
			r3 += -8
			r4 = %d
			call bpf_loop`, count, flags) + store(n) + `
			r0 = *(u64 *)(r10 -8)` + store(n+1)
	}
	count := `
		func count(u32 index, void *ctx) long
			r3 = *(u64 *)(r2 +0)
			r3 += 1
			*(u64 *)(r2 +0) = r3
			r0 = 0
			if r1 != 6 goto pc+1
			r0 = 1
			exit`
	each := func(n int, flags int) string {
		return fmt.Sprintf(`
			*(u64 *)(r10 -8) = 0
			r1 = map[m] ll
			r2 = func[sum] ll
			r3 = r10
			r3 += -8
			r4 = %d
			call bpf_for_each_map_elem`, flags) + store(n) + `
			r0 = *(u64 *)(r10 -8)` + store(n+1)
	}
	sum := `
		func sum(void *map, void *key, void *value, void *ctx) long
			r5 = *(u32 *)(r2 +0)
			r1 = *(u64 *)(r3 +0)
			r1 += r5
			r2 = *(u64 *)(r4 +0)
			r2 *= 10
			r2 += r1
			*(u64 *)(r4 +0) = r2
			r0 = 0
			if r5 != 2 goto pc+1
			r0 = 1
			exit`
	set := func(key, value int) string {
		return fmt.Sprintf(`
			*(u32 *)(r10 -12) = %d
			*(u64 *)(r10 -24) = %d
			r1 = map[m] ll
			r2 = r10
			r2 += -12
			r3 = r10
			r3 += -24
			r4 = 0
			call bpf_map_update_elem`, key, value)
	}
	spec := func(t ebpf.MapType, n uint32) []maps.Spec {
		return []maps.Spec{{Name: "m", Type: t, KeySize: 4, ValueSize: 8, MaxEntries: n}}
	}
	return []scenario{
		{name: "loop", text: program(loop(0, "5", 0)+loop(2, "0", 0)+loop(4, "7", 0)+loop(6, "100", 0)) + count,
			want: []uint64{5, 5, 0, 0, 7, 7, 7, 7}},
		{name: "loop flags", text: program(loop(0, "5", 1)) + count, want: []uint64{errno(linux.EINVAL), 0}},
		{name: "loop count of 64 bits", text: program(loop(0, "4294967301 ll", 0)) + count, want: []uint64{0xfffffff9, 0}},
		{name: "loop limit", text: program(loop(0, "8388608", 0)+loop(2, "8388609", 0)+loop(4, "-1", 0)) + count,
			want: []uint64{7, 7, 0xfffffff9, 0, 0xfffffff9, 0}},
		{name: "for_each array", maps: spec(ebpf.Array, 4), text: program(set(0, 1)+set(1, 1)+set(2, 1)+set(3, 1)+each(0, 0)) + sum,
			want: []uint64{3, 123}},
		{name: "for_each flags", maps: spec(ebpf.Array, 4), text: program(each(0, 1)) + sum, want: []uint64{errno(linux.EINVAL), 0}},
		{name: "for_each hash", maps: spec(ebpf.Hash, 4), text: program(set(5, 3)+each(0, 0)) + sum, want: []uint64{1, 8}},
		{name: "for_each empty hash", maps: spec(ebpf.Hash, 4), text: program(each(0, 0)) + sum, want: []uint64{0, 0}},
		{name: "for_each per-CPU array", maps: spec(ebpf.PerCPUArray, 2), text: program(set(0, 1)+set(1, 4)+each(0, 0)) + sum,
			want: []uint64{2, 15}},
		{name: "for_each LRU", maps: spec(ebpf.LRUHash, 4), text: program(set(5, 3)+each(0, 0)) + sum, want: []uint64{1, 8}},
	}
}

func ringScenarios() []scenario {
	ring := []maps.Spec{{Name: "r", Type: ebpf.RingBuf, MaxEntries: 4096}}
	reserve := func(n, size, flags int) string {
		return fmt.Sprintf(`
			r1 = map[r] ll
			r2 = %d
			r3 = %d
			call bpf_ringbuf_reserve
			r7 = r0
			r0 = 0
			if r7 == 0 goto pc+5
			*(u64 *)(r7 +0) = 9
			r1 = r7
			r2 = 1
			call bpf_ringbuf_submit
			r0 = 1`, size, flags) + store(n)
	}
	query := func(n, what int) string {
		return fmt.Sprintf("r1 = map[r] ll\nr2 = %d\ncall bpf_ringbuf_query", what) + store(n)
	}
	output := func(n, size, flags int) string {
		return fmt.Sprintf(`
			r1 = map[r] ll
			r2 = r6
			r3 = %d
			r4 = %d
			call bpf_ringbuf_output`, size, flags) + store(n)
	}
	return []scenario{
		{name: "ringbuf", maps: ring,
			text: program(reserve(0, 8, 0) + reserve(1, 5000, 0) + reserve(2, 8, 1) + output(3, 20, 1) + output(4, 20, 4) +
				query(5, 0) + query(6, 1) + query(7, 2) + query(8, 3) + query(9, 9) + output(10, 0, 1) + query(11, 3)),
			want: []uint64{1, 0, 0, 0, errno(linux.EINVAL), 16 + 32, 4096, 0, 48, 0, 0, 56}},
		{name: "ringbuf full", maps: ring,
			text: program(reserve(0, 4080, 0) + reserve(1, 8, 0) + output(2, 8, 1)),
			want: []uint64{1, 0, errno(linux.EAGAIN)}},
		{name: "ringbuf discard", maps: ring,
			text: program(`
				r1 = map[r] ll
				r2 = 8
				r3 = 0
				call bpf_ringbuf_reserve
				if r0 == 0 goto pc+3
				r1 = r0
				r2 = 1
				call bpf_ringbuf_discard
				` + query(0, 0)),
			want: []uint64{16}},
	}
}

func kfuncScenarios() []scenario {
	iter := func(n int, start, end string) string {
		return fmt.Sprintf(`
			r1 = r10
			r1 += -8
			r2 = %s
			r3 = %s
			call kfunc:bpf_iter_num_new`, start, end) + store(n) + `
			r7 = 0
			r8 = 0
		again` + fmt.Sprint(n) + `:
			r1 = r10
			r1 += -8
			call kfunc:bpf_iter_num_next
			if r0 == 0 goto done` + fmt.Sprint(n) + `
			r8 = *(s32 *)(r0 +0)
			if r8 s> 100000 goto pc+2
			*(u64 *)(r6 +` + fmt.Sprint(8*n+16) + `) = r8
			goto again` + fmt.Sprint(n) + `
		done` + fmt.Sprint(n) + `:
			r1 = r10
			r1 += -8
			call kfunc:bpf_iter_num_destroy
			*(u64 *)(r6 +` + fmt.Sprint(8*n+8) + `) = r7`
	}
	low := func(e linux.Errno) uint64 { return uint64(uint32(-int32(e))) }
	text := func(n int, call string, a, b string) string {
		return fmt.Sprintf("r1 = %s\nr2 = %s\ncall kfunc:%s", a, b, call) + store(n)
	}
	in := func(off int) string { return fmt.Sprintf("map[in][0]+%d ll", off) }
	return []scenario{
		{name: "iter_num", text: program(iter(0, "-2", "3")), want: []uint64{0, 0, 2}},
		{name: "iter_num empty", text: program(iter(0, "3", "3")), want: []uint64{0, 0}},
		{name: "iter_num reversed", text: program(iter(0, "4", "3")), want: []uint64{low(linux.EINVAL), 0}},
		{name: "iter_num too long", text: program(iter(0, "0", "8388609")), want: []uint64{low(linux.E2BIG), 0}},
		{name: "iter_num INT_MIN", text: program(iter(0, "-2147483648", "-2147483646")), want: []uint64{0, 0, 0xffffffff80000001}},
		{name: "iter_num over the full range", text: program(iter(0, "-2147483648", "2147483647")), want: []uint64{low(linux.E2BIG), 0}},
		{name: "sections", text: program(`
				call kfunc:bpf_preempt_disable
				call kfunc:bpf_preempt_enable
				call kfunc:bpf_rcu_read_lock
				call kfunc:bpf_rcu_read_unlock
				r0 = 1` + store(0)), want: []uint64{1}},
		{name: "string kfuncs", in: []byte("abc\x00abd\x00ABC\x00"), text: program(
			text(0, "bpf_strcmp", in(0), in(4)) + text(1, "bpf_strcmp", in(4), in(0)) + text(2, "bpf_strcmp", in(0), in(0)) +
				text(3, "bpf_strlen", in(1), "0") + text(4, "bpf_strnlen", in(0), "2") + text(5, "bpf_strnlen", in(0), "9") +
				text(6, "bpf_strchr", in(0), "99") + text(7, "bpf_strchr", in(0), "0") + text(8, "bpf_strchr", in(0), "100") +
				text(9, "bpf_strlen", "0", "0") + text(10, "bpf_strcmp", in(0), "0") + text(11, "bpf_strchr", "0", "1") +
				text(12, "bpf_strcasecmp", in(0), in(8)) + text(13, "bpf_strcmp", in(0), in(8)) + text(14, "bpf_strnlen", in(0), "3")),
			want: []uint64{low(1), 1, 0, 2, 2, 3, 2, 3, low(linux.ENOENT), low(linux.ERANGE), low(linux.ERANGE), low(linux.ERANGE), 0, 1, 3}},
		{name: "spans", in: []byte("abcabd\x00cab\x00abd\x00\x00bcab"), text: program(
			text(0, "bpf_strchrnul", in(0), "98") + text(1, "bpf_strchrnul", in(0), "120") + text(2, "bpf_strrchr", in(0), "98") +
				text(3, "bpf_strrchr", in(0), "0") + text(4, "bpf_strrchr", in(0), "120") + text(5, "bpf_strspn", in(0), in(7)) +
				text(6, "bpf_strcspn", in(0), in(9)) + text(7, "bpf_strspn", in(0), in(15)) + text(8, "bpf_strcspn", in(0), in(15)) +
				text(9, "bpf_strspn", in(15), in(0)) + text(10, "bpf_strspn", "0", in(0)) + text(11, "bpf_strcspn", in(0), "0")),
			want: []uint64{1, 6, 4, 6, low(linux.ENOENT), 5, 1, 0, 6, 0, low(linux.ERANGE), low(linux.ERANGE)}},
		{name: "strstr", in: []byte("abcabd\x00cab\x00abd\x00\x00bcab"), text: program(
			text(0, "bpf_strstr", in(0), in(11)) + text(1, "bpf_strstr", in(0), in(7)) + text(2, "bpf_strstr", in(7), in(0)) +
				text(3, "bpf_strstr", in(0), in(15)) + text(4, "bpf_strstr", in(15), in(15)) + text(5, "bpf_strstr", in(15), in(0)) +
				"r3 = 6\n" + text(6, "bpf_strnstr", in(0), in(11)) + "r3 = 5\n" + text(7, "bpf_strnstr", in(0), in(11)) +
				"r3 = 9\n" + text(8, "bpf_strnstr", in(0), in(11)) + "r3 = 0\n" + text(9, "bpf_strnstr", in(0), in(15)) +
				"r3 = 0\n" + text(10, "bpf_strnstr", in(0), in(11)) + "r3 = 3\n" + text(11, "bpf_strnstr", in(11), in(11))),
			want: []uint64{3, 2, low(linux.ENOENT), 0, 0, low(linux.ENOENT), 3, low(linux.ENOENT), 3, 0, low(linux.ENOENT), 0}},
		{name: "strnchr", in: []byte("abc\x00abd\x00ABC\x00"), text: program(
			"r3 = 99\n" + text(0, "bpf_strnchr", in(0), "2") + "r3 = 99\n" + text(1, "bpf_strnchr", in(0), "3") +
				"r3 = 0\n" + text(2, "bpf_strnchr", in(0), "3") + "r3 = 0\n" + text(3, "bpf_strnchr", in(0), "4")),
			want: []uint64{low(linux.ENOENT), 2, low(linux.ENOENT), 3}},
	}
}

func taskScenarios() []scenario {
	comm := func(n, size, at int) string {
		return fmt.Sprintf(`
			r1 = r6
			r1 += %d
			r2 = %d
			call bpf_get_current_comm`, at, size) + store(n)
	}
	w := &world.World{Task: world.Task{Comm: testComm, PID: 7, TGID: 6, UID: 5, GID: 4}, CgroupID: 99, Clock: world.Fixed(1e9)}
	return []scenario{
		{name: "comm", world: w, text: program(comm(0, 16, 64) + comm(1, 6, 81) + comm(2, 1, 88) + comm(3, 20, 90)),
			want:      []uint64{0, 0, 0, 0},
			wantBytes: []byte("carom-t\x00\x00\x00\x00\x00\x00\x00\x00\x00\xaacarom\x00\xaa\x00\xaacarom-t\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xaa")},
		{name: "values of the world", world: w, local: "Linux has its own", text: program(
			"call bpf_get_current_pid_tgid" + store(0) + "call bpf_get_current_uid_gid" + store(1) + "call bpf_get_current_cgroup_id" + store(2) +
				"call bpf_ktime_get_ns" + store(3) + "call bpf_ktime_get_boot_ns" + store(4) + "call bpf_jiffies64" + store(5) +
				"call bpf_get_smp_processor_id" + store(6) + "call bpf_get_numa_node_id" + store(7)),
			want: []uint64{6<<32 | 7, 4<<32 | 5, 99, 1e9, 1e9, 1<<32 - 300*250 + 250, 0, 0}},
		{name: "no world", local: "Linux has its own", text: program("call bpf_get_current_pid_tgid" + store(0) + "call bpf_get_current_cgroup_id" + store(1)),
			want: []uint64{0, 0}},
	}
}

// testComm is the name that the kernel test gives its thread.
const testComm = "carom-t"
