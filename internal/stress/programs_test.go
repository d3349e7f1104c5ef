package stress

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/isa/asm"
)

const (
	keys        = 8 // elements of each map that are updated and read
	slots       = 4 // length of the chain
	generations = 8 // programs that take turns in a slot

	// What the reading programs return.
	tornOne  = 1
	emptyOne = 1 << 16
)

// arrayReader looks elements up and compares the two halves of their 8 bytes.
const arrayReader = `
	r6 = 0
	r7 = 256
loop:
	r7 -= 1
	r1 = r7
	r1 &= 7
	*(u32 *)(r10 -4) = r1
	r2 = r10
	r2 += -4
	r1 = map[array] ll
	call bpf_map_lookup_elem
	if r0 == 0 goto empty
	r1 = *(u64 *)(r0 +0)
	r2 = r1
	r2 >>= 32
	w1 = w1
	if r1 == r2 goto next
	r6 += 1
	goto next
empty:
	r6 += 65536
next:
	if r7 != 0 goto loop
	r0 = r6
	exit`

// hashReader looks elements up, waits a little, and compares their four words. An element that is
// replaced must stay as it was for a run that has its address.
const hashReader = `
	r6 = 0
	r7 = 128
loop:
	r7 -= 1
	r1 = r7
	r1 &= 7
	*(u32 *)(r10 -4) = r1
	r2 = r10
	r2 += -4
	r1 = map[MAP] ll
	call bpf_map_lookup_elem
	if r0 == 0 goto empty
	r1 = *(u64 *)(r0 +0)
	r3 = 20
wait:
	r3 -= 1
	if r3 != 0 goto wait
	r2 = *(u64 *)(r0 +24)
	if r1 != r2 goto torn
	r2 = *(u64 *)(r0 +8)
	if r1 != r2 goto torn
	r2 = *(u64 *)(r0 +16)
	if r1 == r2 goto next
torn:
	r6 += 1
	goto next
empty:
	r6 += 65536
next:
	if r7 != 0 goto loop
	r0 = r6
	exit`

// entry starts the chain through all slots.
const entry = `
	r2 = map[slots] ll
	r3 = 0
	call bpf_tail_call
	r0 = 65536
	exit`

// stage is one generation of a slot: it leaves its generation in the packet and goes on to the
// next slot. The last one returns 0.
func stage(slot, generation int) string {
	text := fmt.Sprintf(`
	r2 = *(u32 *)(r1 +0)
	r3 = %d
	*(u8 *)(r2 +%d) = r3`, generation, slot)
	if slot == slots-1 {
		return text + "\nr0 = 0\nexit"
	}
	return text + fmt.Sprintf(`
	r2 = map[slots] ll
	r3 = %d
	call bpf_tail_call
	r0 = 65536
	exit`, slot+1)
}

func stageName(slot, generation int) string { return fmt.Sprintf("slot%d_gen%d", slot, generation) }

// tearArray writes the halves of each element one after the other, as no update may.
const tearArray = `
	r7 = 256
loop:
	r7 -= 1
	r1 = r7
	r1 &= 7
	*(u32 *)(r10 -4) = r1
	r2 = r10
	r2 += -4
	r1 = map[array] ll
	call bpf_map_lookup_elem
	if r0 == 0 goto out
	r1 = r7
	*(u32 *)(r0 +0) = r1
	r3 = 10
wait:
	r3 -= 1
	if r3 != 0 goto wait
	*(u32 *)(r0 +4) = r1
	if r7 != 0 goto loop
out:
	r0 = 0
	exit`

// reuseHash writes into the element that readers have, as happens when the memory of a replaced
// element is used again at once.
const reuseHash = `
	r7 = 256
loop:
	r7 -= 1
	r1 = r7
	r1 &= 7
	*(u32 *)(r10 -4) = r1
	r2 = r10
	r2 += -4
	r1 = map[MAP] ll
	call bpf_map_lookup_elem
	if r0 == 0 goto out
	*(u64 *)(r0 +0) = r7
	*(u64 *)(r0 +8) = r7
	*(u64 *)(r0 +16) = r7
	*(u64 *)(r0 +24) = r7
	if r7 != 0 goto loop
out:
	r0 = 0
	exit`

// load makes the collection with all maps and programs.
func load(t testing.TB, cpus int) *carom.Collection {
	t.Helper()
	progs := map[string]string{
		"read_array": arrayReader, "entry": entry, "tear_array": tearArray,
		"read_hash": strings.ReplaceAll(hashReader, "MAP", "hash"), "read_lru": strings.ReplaceAll(hashReader, "MAP", "lru"),
		"reuse_hash": strings.ReplaceAll(reuseHash, "MAP", "hash"), "reuse_lru": strings.ReplaceAll(reuseHash, "MAP", "lru"),
	}
	for s := range slots {
		for g := range generations {
			progs[stageName(s, g)] = stage(s, g)
		}
	}
	spec := &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{
			"array": {Name: "array", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: keys},
			"hash":  {Name: "hash", Type: ebpf.Hash, KeySize: 4, ValueSize: 32, MaxEntries: 2 * keys},
			// Well above the number of keys: nothing may be evicted.
			"lru":   {Name: "lru", Type: ebpf.LRUHash, KeySize: 4, ValueSize: 32, MaxEntries: 1024},
			"slots": {Name: "slots", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: slots},
		},
		Programs: map[string]*ebpf.ProgramSpec{},
	}
	for name, text := range progs {
		insns, err := asm.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		spec.Programs[name] = &ebpf.ProgramSpec{Name: name, Type: ebpf.XDP, Instructions: insns, License: "GPL"}
	}
	coll, err := carom.NewCollection(spec, &carom.Options{CPUs: cpus, Verify: carom.VerifySkip}) // they read packets of a size they know
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { coll.Close() })
	return coll
}
