package verifier

import (
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// graphTypes are the types of the programs on lists and trees: the value of map 0 and two kinds of
// node, "tree" which only a tree can hold and "both" with references that are counted.
type graphTypes struct {
	value, tree, both, plain *btf.Struct
	builder                  *btf.Builder
	ids                      map[string]btf.TypeID
}

func newGraphTypes(t testing.TB) *graphTypes {
	t.Helper()
	word, half := &btf.Int{Name: "u64", Size: 8}, &btf.Int{Name: "u32", Size: 4}
	opaque := func(name string, words uint32) *btf.Struct {
		return &btf.Struct{Name: name, Size: 8 * words, Members: []btf.Member{
			{Name: "__opaque", Type: &btf.Array{Index: half, Type: word, Nelems: words}},
		}}
	}
	count := &btf.Struct{Name: "bpf_refcount", Size: 4, Members: []btf.Member{{Name: "__opaque", Type: half}}}
	lock := &btf.Struct{Name: "bpf_spin_lock", Size: 4, Members: []btf.Member{{Name: "val", Type: half}}}
	rbNode, listNode := opaque("bpf_rb_node", 4), opaque("bpf_list_node", 3)
	rbRoot, listHead := opaque("bpf_rb_root", 2), opaque("bpf_list_head", 2)
	g := &graphTypes{
		tree: &btf.Struct{Name: "tree", Size: 40, Members: []btf.Member{
			{Name: "key", Type: word}, {Name: "node", Type: rbNode, Offset: 64},
		}},
		both: &btf.Struct{Name: "both", Size: 72, Members: []btf.Member{
			{Name: "key", Type: word}, {Name: "node", Type: rbNode, Offset: 64},
			{Name: "list", Type: listNode, Offset: 320}, {Name: "count", Type: count, Offset: 512},
		}},
		plain: &btf.Struct{Name: "plain", Size: 8, Members: []btf.Member{{Name: "key", Type: word}}},
		value: &btf.Struct{Name: "roots", Size: 56, Members: []btf.Member{
			{Name: "lock", Type: lock},
			{Name: "root", Type: rbRoot, Offset: 64, Tags: []string{"contains:tree:node"}},
			{Name: "head", Type: listHead, Offset: 192, Tags: []string{"contains:both:list"}},
			{Name: "root2", Type: rbRoot, Offset: 320, Tags: []string{"contains:both:node"}},
		}},
		ids: map[string]btf.TypeID{},
	}
	var err error
	if g.builder, err = btf.NewBuilder([]btf.Type{half, g.value, g.tree, g.both, g.plain}, nil); err != nil {
		t.Fatal(err)
	}
	for name, typ := range map[string]btf.Type{
		"HALF": half, "VALUE": g.value, "TREE": g.tree, "BOTH": g.both, "PLAIN": g.plain,
	} {
		if g.ids[name], err = g.builder.Add(typ); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// program makes the program of a case. Names of types stand for their ids.
func (g *graphTypes) program(t testing.TB, c *kfuncCase) *Program {
	t.Helper()
	cc := *c
	for name, id := range g.ids {
		cc.text = strings.ReplaceAll(cc.text, name, strconv.Itoa(int(id)))
	}
	p := cc.program(t)
	p.Maps = []*Map{{
		Name: "roots", Type: ebpf.Array, KeySize: 4, ValueSize: 56, MaxEntries: 4, Value: g.value, Fields: Fields(g.value),
	}}
	if len(p.Funcs) == 0 {
		f := &btf.Func{Name: "main", Type: &btf.FuncProto{Return: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}}, Linkage: btf.GlobalFunc}
		p.Funcs = []Func{{Name: f.Name, Type: f}}
	}
	p.Types = map[btf.TypeID]btf.Type{}
	byName := map[string]*btf.Struct{}
	for name, s := range map[string]*btf.Struct{"TREE": g.tree, "BOTH": g.both, "PLAIN": g.plain} {
		p.Types[g.ids[name]] = s
		byName[s.Name] = s
	}
	p.Struct = func(name string) *btf.Struct { return byName[name] }
	return p
}

func TestGraphs(t *testing.T) {
	g := newGraphTypes(t)
	for _, c := range graphCases() {
		t.Run(c.name, func(t *testing.T) {
			v, err := Verify(g.program(t, &c), nil)
			if got := verdictOf(err); got != c.want {
				t.Fatalf("got  %s\nwant %s", got, c.want)
			}
			if err == nil && v.Stats.Insns != c.insns {
				t.Errorf("%d instructions processed, Linux processes %d", v.Stats.Insns, c.insns)
			}
		})
	}
}

func graphCases() []kfuncCase {
	return []kfuncCase{
		{objectCase{callCase{name: "object is dropped", typ: ebpf.SchedCLS, text: "func main\nr1 = PLAIN\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r7\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nout:\nr0 = 0\nexit", want: "ok"}, 11}, 0},
		{objectCase{callCase{name: "object is kept", typ: ebpf.SchedCLS, text: "func main\nr1 = PLAIN\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nout:\nr0 = 0\nexit", want: "EINVAL: BPF_EXIT instruction in main prog would lead to reference leak"}, 7}, 0},
		{objectCase{callCase{name: "object is written and read", typ: ebpf.SchedCLS, text: "func main\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\n*(u64 *)(r7 + 0) = 5\nr8 = *(u64 *)(r7 + 0)\nr1 = r7\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nout:\nr0 = 0\nexit", want: "ok"}, 13}, 0},
		{objectCase{callCase{name: "object beyond its size", typ: ebpf.SchedCLS, text: "func main\nr1 = PLAIN\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\n*(u64 *)(r7 + 8) = 5\nr1 = r7\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nout:\nr0 = 0\nexit", want: "EACCES: access beyond struct plain at off 8 size 8"}, 6}, 0},
		{objectCase{callCase{name: "node of an object is written", typ: ebpf.SchedCLS, text: "func main\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\n*(u64 *)(r7 + 8) = 5\nr1 = r7\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nout:\nr0 = 0\nexit", want: "EACCES: direct access to bpf_rb_node is disallowed"}, 6}, 0},
		{objectCase{callCase{name: "object that may be NULL is dropped", typ: ebpf.SchedCLS, text: "func main\nr1 = PLAIN\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nr1 = r0\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nout:\nr0 = 0\nexit", want: "EACCES: Possibly NULL pointer passed to trusted arg0"}, 6}, 0},
		{objectCase{callCase{name: "object is used after its end", typ: ebpf.SchedCLS, text: "func main\nr1 = PLAIN\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r7\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nr0 = *(u64 *)(r7 + 0)\nout:\nr0 = 0\nexit", want: "EACCES: R7 invalid mem access 'scalar'"}, 9}, 0},
		{objectCase{callCase{name: "object at an offset is dropped", typ: ebpf.SchedCLS, text: "func main\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr7 += 8\nr1 = r7\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nout:\nr0 = 0\nexit", want: "EINVAL: R1 must have zero offset when passed to release func or trusted arg to kfunc"}, 9}, 0},
		{objectCase{callCase{name: "object of no structure", typ: ebpf.SchedCLS, text: "func main\nr1 = HALF\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nout:\nr0 = 0\nexit", want: "EINVAL: bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct"}, 3}, 0},
		{objectCase{callCase{name: "object of an unknown type", typ: ebpf.SchedCLS, text: "func main\ncall bpf_get_prandom_u32\nr1 = r0\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nout:\nr0 = 0\nexit", want: "EINVAL: R1 must be a known constant"}, 4}, 0},
		{objectCase{callCase{name: "object of a number that is too large", typ: ebpf.SchedCLS, text: "func main\nr1 = 0x100000001 ll\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nout:\nr0 = 0\nexit", want: "EINVAL: local type ID argument must be in range [0, U32_MAX]"}, 3}, 0},
		{objectCase{callCase{name: "per-CPU object", typ: ebpf.SchedCLS, text: "func main\nr1 = PLAIN\nr2 = 0\ncall kfunc:bpf_percpu_obj_new_impl\nif r0 == 0 goto out\nr1 = r0\nr2 = 0\ncall kfunc:bpf_percpu_obj_drop_impl\nout:\nr0 = 0\nexit", want: "ok"}, 10}, 0},
		{objectCase{callCase{name: "per-CPU object of special fields", typ: ebpf.SchedCLS, text: "func main\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_percpu_obj_new_impl\nout:\nr0 = 0\nexit", want: "EINVAL: bpf_percpu_obj_new type ID argument must not contain special fields"}, 3}, 0},
		{objectCase{callCase{name: "per-CPU object is dropped as another", typ: ebpf.SchedCLS, text: "func main\nr1 = PLAIN\nr2 = 0\ncall kfunc:bpf_percpu_obj_new_impl\nif r0 == 0 goto out\nr1 = r0\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nout:\nr0 = 0\nexit", want: "EINVAL: arg#0 expected for bpf_percpu_obj_drop_impl()"}, 7}, 0},
		{objectCase{callCase{name: "object is dropped as a per-CPU one", typ: ebpf.SchedCLS, text: "func main\nr1 = PLAIN\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r7\nr2 = 0\ncall kfunc:bpf_percpu_obj_drop_impl\nout:\nr0 = 0\nexit", want: "EINVAL: arg#0 expected for bpf_obj_drop_impl()"}, 8}, 0},
		{objectCase{callCase{name: "per-CPU object is read", typ: ebpf.SchedCLS, text: "func main\nr1 = PLAIN\nr2 = 0\ncall kfunc:bpf_percpu_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = *(u64 *)(r7 + 0)\nr1 = r7\nr2 = 0\ncall kfunc:bpf_percpu_obj_drop_impl\nout:\nr0 = 0\nexit", want: "EACCES: R7 is ptr_plain access percpu memory: off=0"}, 6}, 0},
		{objectCase{callCase{name: "tree", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit\nfunc less\nr0 = 0\nexit", want: "ok"}, 31}, 0},
		{objectCase{callCase{name: "tree with a comparison", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit\nfunc less\nr3 = *(u64 *)(r1 - 8)\nr4 = *(u64 *)(r2 - 8)\nr0 = 0\nif r3 > r4 goto ge\nr0 = 1\nge:\nexit", want: "ok"}, 37}, 0},
		{objectCase{callCase{name: "tree without the lock", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nout:\nr0 = 0\nexit\nfunc less\nr0 = 0\nexit", want: "EINVAL: bpf_spin_lock at off=0 must be held for bpf_rb_root"}, 20}, 0},
		{objectCase{callCase{name: "tree with the lock of another value", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f2\nr0 = 0\nexit\nf2:\nr9 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r9\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r9\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit\nfunc less\nr0 = 0\nexit", want: "EINVAL: bpf_spin_lock at off=0 must be held for bpf_rb_root"}, 29}, 0},
		{objectCase{callCase{name: "node of another type", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = BOTH\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit\nfunc less\nr0 = 0\nexit", want: "EINVAL: operation on bpf_rb_root expects arg#1 bpf_rb_node at offset=8 in struct tree, but arg is at offset=8 in struct both"}, 22}, 0},
		{objectCase{callCase{name: "node at another offset", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 0\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit\nfunc less\nr0 = 0\nexit", want: "EINVAL: bpf_rb_node not found at offset=0"}, 22}, 0},
		{objectCase{callCase{name: "node is added twice", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit\nfunc less\nr0 = 0\nexit", want: "EINVAL: arg#1 expected pointer to allocated object"}, 30}, 0},
		{objectCase{callCase{name: "node is read after it was added", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr0 = *(u64 *)(r7 + 0)\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit\nfunc less\nr0 = 0\nexit", want: "ok"}, 32}, 0},
		{objectCase{callCase{name: "node is read after the lock", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r6\ncall bpf_spin_unlock\nr0 = *(u64 *)(r7 + 0)\nout:\nr0 = 0\nexit\nfunc less\nr0 = 0\nexit", want: "EACCES: R7 invalid mem access 'scalar'"}, 25}, 0},
		{objectCase{callCase{name: "node is dropped after it was added", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r7\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit\nfunc less\nr0 = 0\nexit", want: "EINVAL: function calls are not allowed while holding a lock"}, 25}, 0},
		{objectCase{callCase{name: "first node is removed", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\ncall kfunc:bpf_rbtree_first\nif r0 == 0 goto un\nr1 = r6\nr1 += 8\nr2 = r0\ncall kfunc:bpf_rbtree_remove\nr7 = r0\nr1 = r6\ncall bpf_spin_unlock\nif r7 == 0 goto out\nr7 -= 8\nr1 = r7\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nout:\nr0 = 0\nexit\nun:\nr1 = r6\ncall bpf_spin_unlock\nr0 = 0\nexit", want: "ok"}, 32}, 0},
		{objectCase{callCase{name: "first node is removed and kept", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\ncall kfunc:bpf_rbtree_first\nif r0 == 0 goto un\nr1 = r6\nr1 += 8\nr2 = r0\ncall kfunc:bpf_rbtree_remove\nun:\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit", want: "EINVAL: BPF_EXIT instruction in main prog would lead to reference leak"}, 21}, 0},
		{objectCase{callCase{name: "first node is removed without the lock", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\ncall kfunc:bpf_rbtree_first\nr7 = r0\nr1 = r6\ncall bpf_spin_unlock\nif r7 == 0 goto out\nr1 = r6\nr1 += 8\nr2 = r7\ncall kfunc:bpf_rbtree_remove\nout:\nr0 = 0\nexit", want: "EINVAL: bpf_spin_lock at off=0 must be held for bpf_rb_root"}, 20}, 0},
		{objectCase{callCase{name: "first node is dropped", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\ncall kfunc:bpf_rbtree_first\nif r0 == 0 goto un\nr1 = r0\nr1 -= 8\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nun:\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit", want: "EINVAL: function calls are not allowed while holding a lock"}, 17}, 0},
		{objectCase{callCase{name: "root is at another place", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 16\ncall kfunc:bpf_rbtree_first\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit", want: "EINVAL: bpf_rb_root not found at offset=16"}, 12}, 0},
		{objectCase{callCase{name: "list as a tree", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 24\ncall kfunc:bpf_rbtree_first\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit", want: "EINVAL: bpf_rb_root not found at offset=24"}, 12}, 0},
		{objectCase{callCase{name: "node that was never added is removed", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\ncall kfunc:bpf_rbtree_remove\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit", want: "EINVAL: bpf_rb_node not found at offset=0"}, 18}, 0},
		{objectCase{callCase{name: "new node with its offset is removed", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr8 = r7\nr8 += 8\nr1 = r6\nr1 += 8\nr2 = r8\ncall kfunc:bpf_rbtree_remove\nr8 = r0\nr1 = r6\ncall bpf_spin_unlock\nif r8 == 0 goto out\nr8 -= 8\nr1 = r8\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nout:\nr0 = 0\nexit", want: "EINVAL: BPF_EXIT instruction in main prog would lead to reference leak"}, 30}, 0},
		{objectCase{callCase{name: "comparison locks", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit\nfunc less\nr6 = r1\nr1 = r6\ncall bpf_spin_lock\nr0 = 0\nexit", want: "EINVAL: function calls are not allowed while holding a lock"}, 29}, 0},
		{objectCase{callCase{name: "comparison returns too much", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit\nfunc less\nr0 = 2\nexit", want: "EINVAL: At callback return the register R0 has smin=2 smax=2 should have been in [0, 1]"}, 28}, 0},
		{objectCase{callCase{name: "comparison calls a helper", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit\nfunc less\ncall bpf_get_prandom_u32\nr0 = 0\nexit", want: "EINVAL: function calls are not allowed while holding a lock"}, 27}, 0},
		{objectCase{callCase{name: "comparison is rcu protected", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit\nfunc less\ncall kfunc:bpf_rcu_read_lock\nr0 = 0\nexit", want: "EINVAL: function calls are not allowed while holding a lock"}, 27}, 0},
		{objectCase{callCase{name: "list", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = BOTH\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 24\nr2 = r7\nr2 += 40\nr3 = 0\nr4 = 0\ncall kfunc:bpf_list_push_front_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit", want: "ok"}, 27}, 0},
		{objectCase{callCase{name: "list from behind", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = BOTH\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 24\nr2 = r7\nr2 += 40\nr3 = 0\nr4 = 0\ncall kfunc:bpf_list_push_back_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit", want: "ok"}, 27}, 0},
		{objectCase{callCase{name: "list without the lock", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = BOTH\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\nr1 += 24\nr2 = r7\nr2 += 40\nr3 = 0\nr4 = 0\ncall kfunc:bpf_list_push_front_impl\nout:\nr0 = 0\nexit", want: "EINVAL: bpf_spin_lock at off=0 must be held for bpf_list_head"}, 19}, 0},
		{objectCase{callCase{name: "list with a node of a tree", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = BOTH\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 24\nr2 = r7\nr2 += 8\nr3 = 0\nr4 = 0\ncall kfunc:bpf_list_push_front_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit", want: "EINVAL: bpf_list_node not found at offset=8"}, 21}, 0},
		{objectCase{callCase{name: "list with another type", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 24\nr2 = r7\nr2 += 8\nr3 = 0\nr4 = 0\ncall kfunc:bpf_list_push_front_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit", want: "EINVAL: bpf_list_node not found at offset=8"}, 21}, 0},
		{objectCase{callCase{name: "list is emptied", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 24\ncall kfunc:bpf_list_pop_front\nr7 = r0\nr1 = r6\ncall bpf_spin_unlock\nif r7 == 0 goto out\nr7 -= 40\nr1 = r7\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nout:\nr0 = 0\nexit", want: "ok"}, 23}, 0},
		{objectCase{callCase{name: "what a list gives is kept", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 24\ncall kfunc:bpf_list_pop_back\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit", want: "EINVAL: BPF_EXIT instruction in main prog would lead to reference leak"}, 16}, 0},
		{objectCase{callCase{name: "front of a list", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 24\ncall kfunc:bpf_list_front\nif r0 == 0 goto un\nr0 = *(u64 *)(r0 - 40)\nun:\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit", want: "ok"}, 22}, 0},
		{objectCase{callCase{name: "front of a list behind the lock", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 24\ncall kfunc:bpf_list_front\nr7 = r0\nr1 = r6\ncall bpf_spin_unlock\nif r7 == 0 goto out\nr0 = *(u64 *)(r7 - 40)\nout:\nr0 = 0\nexit", want: "EACCES: R7 invalid mem access 'scalar'"}, 17}, 0},
		{objectCase{callCase{name: "object in a list and a tree", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = BOTH\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r7\nr2 = 0\ncall kfunc:bpf_refcount_acquire_impl\nr8 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 24\nr2 = r7\nr2 += 40\nr3 = 0\nr4 = 0\ncall kfunc:bpf_list_push_front_impl\nr1 = r6\nr1 += 40\nr2 = r8\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit\nfunc less\nr0 = 0\nexit", want: "ok"}, 42}, 0},
		{objectCase{callCase{name: "second reference is kept", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = BOTH\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r7\nr2 = 0\ncall kfunc:bpf_refcount_acquire_impl\nr8 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 24\nr2 = r7\nr2 += 40\nr3 = 0\nr4 = 0\ncall kfunc:bpf_list_push_front_impl\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit", want: "EINVAL: BPF_EXIT instruction in main prog would lead to reference leak"}, 29}, 0},
		{objectCase{callCase{name: "reference of an object that counts none", typ: ebpf.SchedCLS, text: "func main\nr1 = TREE\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r7\nr2 = 0\ncall kfunc:bpf_refcount_acquire_impl\nr1 = r7\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nout:\nr0 = 0\nexit", want: "EINVAL: arg#0 doesn't point to a type with bpf_refcount field"}, 8}, 0},
		{objectCase{callCase{name: "reference of a number", typ: ebpf.SchedCLS, text: "func main\nr1 = 5\nr2 = 0\ncall kfunc:bpf_refcount_acquire_impl\nout:\nr0 = 0\nexit", want: "EINVAL: arg#0 is neither owning or non-owning ref"}, 3}, 0},
		{objectCase{callCase{name: "reference of a node in a tree", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = BOTH\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 40\nr2 = r7\nr2 += 8\nr3 = func[less] ll\nr4 = 0\nr5 = 0\ncall kfunc:bpf_rbtree_add_impl\nr1 = r7\nr2 = 0\ncall kfunc:bpf_refcount_acquire_impl\nr8 = r0\nr1 = r6\ncall bpf_spin_unlock\nif r8 == 0 goto out\nr1 = r8\nr2 = 0\ncall kfunc:bpf_obj_drop_impl\nout:\nr0 = 0\nexit\nfunc less\nr0 = 0\nexit", want: "ok"}, 39}, 0},
		{objectCase{callCase{name: "counted node is read after the lock", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = BOTH\nr2 = 0\ncall kfunc:bpf_obj_new_impl\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 24\nr2 = r7\nr2 += 40\nr3 = 0\nr4 = 0\ncall kfunc:bpf_list_push_front_impl\nr1 = r6\ncall bpf_spin_unlock\nr0 = *(u64 *)(r7 + 0)\nout:\nr0 = 0\nexit", want: "EACCES: R7 invalid mem access 'scalar'"}, 24}, 0},
		{objectCase{callCase{name: "children of a root", typ: ebpf.SchedCLS, text: "func main\n*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto f1\nr0 = 0\nexit\nf1:\nr6 = r0\nr1 = r6\ncall bpf_spin_lock\nr1 = r6\nr1 += 8\ncall kfunc:bpf_rbtree_root\nif r0 == 0 goto un\nr1 = r6\nr1 += 8\nr2 = r0\ncall kfunc:bpf_rbtree_left\nun:\nr1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit", want: "ok"}, 22}, 0},
	}
}
