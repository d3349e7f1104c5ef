package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/carom-bpf/carom"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

func TestDumpMap(t *testing.T) {
	u32 := &btf.Int{Name: "unsigned int", Size: 4}
	pair := &btf.Struct{Name: "pair", Size: 8, Members: []btf.Member{{Name: "a", Type: u32}, {Name: "b", Type: u32, Offset: 32}}}
	for _, c := range []struct {
		spec ebpf.MapSpec
		fill func(*carom.Map) error
		want string
	}{
		{ // in the order of keys, though the table has another
			ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 300, Key: u32, Value: pair},
			func(m *carom.Map) error {
				for _, k := range []uint32{256, 3, 1, 2} {
					if err := m.Put(k, []uint32{k, 7}); err != nil {
						return err
					}
				}
				return nil
			},
			`m[1] = {"a": 1, "b": 7}
m[2] = {"a": 2, "b": 7}
m[3] = {"a": 3, "b": 7}
m[256] = {"a": 256, "b": 7}
`,
		},
		{
			ebpf.MapSpec{Type: ebpf.PerCPUHash, KeySize: 3, ValueSize: 2, MaxEntries: 4},
			func(m *carom.Map) error { return m.Put([]byte{1, 2, 3}, []uint16{0x0201, 0x0403}) },
			"m[hex:010203] cpu 0 = hex:0102\nm[hex:010203] cpu 1 = hex:0304\n",
		},
		{
			ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 2},
			func(m *carom.Map) error { return m.Put(uint32(1), uint32(9)) },
			"m[0] = 0\nm[1] = 9\n",
		},
	} {
		t.Run(c.spec.Type.String(), func(t *testing.T) {
			c.spec.Name = "m"
			spec := &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{"m": &c.spec}}
			coll, err := carom.NewCollection(spec, &carom.Options{CPUs: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer coll.Close()
			if err := c.fill(coll.Maps["m"]); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := dumpMap(&out, coll, "m", false); err != nil || out.String() != c.want {
				t.Errorf("got %v\n%swant\n%s", err, out.String(), c.want)
			}
			out.Reset()
			if err := dumpMap(&out, coll, "m", true); err != nil || strings.Count(out.String(), "\n") == 0 {
				t.Errorf("JSON: %v %s", err, out.String())
			}
			jsonLines(t, out.String(), "element")
		})
	}
}

func TestSplitElement(t *testing.T) {
	for text, want := range map[string]string{
		"m[1]=2":              "m|1|2|true",
		"m[ 1 ] = 2":          "m| 1 | 2|true",
		"v=1":                 "v||1|false",
		"v=[1, 2]":            "v||[1, 2]|false",
		"m[[1, 2]]={a: [3]}":  "m|[1, 2]|{a: [3]}|true",
		`m[{"k]": "]"}]="=x"`: `m|{"k]": "]"}|"=x"|true`,
		`m["\"]"]=1`:          `m|"\"]"|1|true`,
		"m[1]=":               "m|1||true",
		"m[1=2":               "error",
		"m[1]2":               "error",
		"m":                   "error",
		"m[1]]=2":             "error",
	} {
		name, key, value, hasKey, err := splitElement(text)
		got := fmt.Sprintf("%s|%s|%s|%t", name, key, value, hasKey)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	long := strings.Repeat("x", 200)
	tab := &table{head: []string{"name", ">count", "source"}}
	tab.add("a", "1", "short")
	tab.add("bb", "22", long)
	var out bytes.Buffer
	if err := tab.write(&out); err != nil {
		t.Fatal(err)
	}
	want := "name  count  source\na         1  short\nbb       22  " + strings.Repeat("x", maxColumns-14) + "…\n\n"
	if out.String() != want {
		t.Errorf("got\n%q\nwant\n%q", out.String(), want)
	}
	out.Reset()
	if err := (&table{head: []string{"a"}}).write(&out); err != nil || out.Len() != 0 {
		t.Errorf("an empty table prints %q", out.String())
	}
}

// A line of names and values of each type's header in Linux.
func TestVerdictNames(t *testing.T) {
	for _, c := range []struct {
		typ    ebpf.ProgramType
		attach ebpf.AttachType
		value  int32
		want   string
	}{
		{ebpf.XDP, 0, 0, "XDP_ABORTED"}, {ebpf.XDP, 0, 1, "XDP_DROP"}, {ebpf.XDP, 0, 2, "XDP_PASS"},
		{ebpf.XDP, 0, 3, "XDP_TX"}, {ebpf.XDP, 0, 4, "XDP_REDIRECT"},
		{ebpf.SchedCLS, 0, -1, "TC_ACT_UNSPEC"}, {ebpf.SchedCLS, 0, 2, "TC_ACT_SHOT"}, {ebpf.SchedACT, 0, 8, "TC_ACT_TRAP"},
		{ebpf.SchedCLS, ebpf.AttachTCXIngress, -1, "TCX_NEXT"}, {ebpf.SchedCLS, ebpf.AttachTCXEgress, 2, "TCX_DROP"},
		{ebpf.CGroupSKB, 0, 0, "drop (0)"}, {ebpf.CGroupSKB, 0, 1, "allow (1)"},
		{ebpf.LWTIn, 0, 128, "BPF_LWT_REROUTE"}, {ebpf.FlowDissector, 0, 129, "BPF_FLOW_DISSECTOR_CONTINUE"},
	} {
		if got := verdictNames(c.typ, c.attach)[c.value]; got != c.want {
			t.Errorf("%s %d is %q, want %q", c.typ, c.value, got, c.want)
		}
	}
	for n, want := range map[uint32]string{0: "drop (0)", 10: "keep 10 bytes", 60: "keep all", 0xffffffff: "keep all"} {
		if got := keepName(n, 60); got != want {
			t.Errorf("%d of 60 is %q, want %q", n, got, want)
		}
	}
}

func TestRawIP(t *testing.T) {
	for first, ethertype := range map[byte]string{0x45: "0800", 0x60: "86dd"} {
		frame := withEthernet(nil, []byte{first, 1})
		if got := fmt.Sprintf("%x", frame[12:]); len(frame) != 16 || got != ethertype+fmt.Sprintf("%02x01", first) {
			t.Errorf("frame % x", frame)
		}
	}
}
