package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/kernel"
	"github.com/cilium/ebpf"
)

// A name that several arrays in use have chooses none of them; the message says how to choose.
func TestSlotsAmbiguousName(t *testing.T) {
	_, one := liveChain(t)
	_, two := liveChain(t)
	for _, args := range [][]string{
		{"set", "prog_array[1]=" + dispatch + ":port22_prog"},
		{"clear", "prog_array[0]"},
	} {
		code, _, errOut := cli(t, "", append([]string{"slots"}, args...)...)
		if code != exitUsage || !strings.Contains(errOut, "choose one by its id:") ||
			!strings.Contains(errOut, "id:"+one+", used by xdp_dispatch (id ") || !strings.Contains(errOut, "id:"+two+", used by xdp_dispatch (id ") {
			t.Errorf("carom slots %v: exit %d, %s", args, code, errOut)
		}
	}
	shown := ok(t, "slots", "--name", "prog_array")
	for _, id := range []string{one, two} {
		if !strings.Contains(shown, "prog_array (id "+id+")") {
			t.Errorf("array %s is missing in\n%s", id, shown)
		}
	}
}

// Two links of programs with the entry's name: nothing is switched, and both are listed.
func TestSlotsReplaceAmbiguous(t *testing.T) {
	needKernel(t)
	object := examples + "tail-context/tail_context.o"
	spec, err := readObject(object)
	if err != nil {
		t.Fatal(err)
	}
	coll, err := carom.NewCollection(spec, &carom.Options{Engine: kernel.Engine(kernel.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := coll.Close(); err != nil {
			t.Error(err)
		}
	})
	one, first := inCgroup(t, coll.Programs["first_prog"])
	two, second := inCgroup(t, coll.Programs["first_prog"])
	code, _, errOut := cli(t, "", "slots", "replace-all", object, "--pin-dir", t.TempDir())
	id := coll.Programs["first_prog"].ID()
	if code != exitUsage || first() != id || second() != id {
		t.Errorf("exit %d, programs %d and %d, want %d", code, first(), second(), id)
	}
	for _, want := range []string{
		"link " + one + ", type cgroup, CGroupInetEgress on /", "link " + two + ", type cgroup, CGroupInetEgress on /",
		fmt.Sprintf("program id %d", id), "--link ID",
	} {
		if !strings.Contains(errOut, want) {
			t.Errorf("no %q in %s", want, errOut)
		}
	}
}

// An array that tail calls lead to is shown with the entry and the slots on the way.
func TestSlotsReached(t *testing.T) {
	needKernel(t)
	calling := func(name, array string) *ebpf.ProgramSpec {
		insns, err := asm.Parse("r2 = map[" + array + "] ll\nr3 = 2\ncall bpf_tail_call\nr0 = 1\nexit")
		if err != nil {
			t.Fatal(err)
		}
		return &ebpf.ProgramSpec{Name: name, Type: ebpf.CGroupSKB, AttachType: ebpf.AttachCGroupInetEgress, License: "GPL", Instructions: insns}
	}
	array := func(name string) *ebpf.MapSpec {
		return &ebpf.MapSpec{Name: name, Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 4}
	}
	coll, err := carom.NewCollection(&ebpf.CollectionSpec{
		Maps:     map[string]*ebpf.MapSpec{"first": array("first"), "second": array("second")},
		Programs: map[string]*ebpf.ProgramSpec{"entry": calling("entry", "first"), "middle": calling("middle", "second")},
	}, &carom.Options{Engine: kernel.Engine(kernel.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := coll.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := coll.Maps["first"].Put(uint32(2), coll.Programs["middle"]); err != nil {
		t.Fatal(err)
	}
	number, _ := inCgroup(t, coll.Programs["entry"])
	id := fmt.Sprint(coll.Maps["second"].ID())
	out := ok(t, "slots", "--id", id)
	if !strings.Contains(out, fmt.Sprintf("reached from entry (id %d), CGroupInetEgress on /", coll.Programs["entry"].ID())) ||
		!strings.Contains(out, ", link "+number+", via first[2]\n") {
		t.Errorf("no way from the entry in\n%s", out)
	}
	var line struct {
		Reached []struct {
			Entry struct {
				ID       uint32
				Attached []struct {
					Hook, Target string
					Link         uint32
				}
			}
			Via []struct {
				ID    uint32
				Name  string
				Index uint32
			}
		} `json:"reached_from"`
	}
	if err := json.Unmarshal([]byte(ok(t, "slots", "--id", id, "--json")), &line); err != nil {
		t.Fatal(err)
	}
	if len(line.Reached) != 1 || line.Reached[0].Entry.ID != uint32(coll.Programs["entry"].ID()) || len(line.Reached[0].Via) != 1 ||
		line.Reached[0].Via[0].ID != uint32(coll.Maps["first"].ID()) || line.Reached[0].Via[0].Name != "first" || line.Reached[0].Via[0].Index != 2 ||
		len(line.Reached[0].Entry.Attached) != 1 || fmt.Sprint(line.Reached[0].Entry.Attached[0].Link) != number ||
		line.Reached[0].Entry.Attached[0].Hook != "CGroupInetEgress" {
		t.Errorf("JSON %+v", line)
	}
}
