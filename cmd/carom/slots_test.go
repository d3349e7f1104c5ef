//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
	"golang.org/x/sys/unix"
)

// liveChain loads xdp-dispatch into the kernel, with port 8080 in slot 0, and returns the array's id.
func liveChain(t *testing.T) (*carom.Collection, string) {
	t.Helper()
	needKernel(t)
	spec, err := readObject(dispatch)
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
	if err := coll.Maps["prog_array"].Put(uint32(0), coll.Programs["port8080_prog"]); err != nil {
		t.Fatal(err)
	}
	return coll, fmt.Sprint(coll.Maps["prog_array"].ID())
}

func TestSlots(t *testing.T) {
	coll, id := liveChain(t)
	out := ok(t, "slots", "--id", id)
	entry, target := coll.Programs["xdp_dispatch"], coll.Programs["port8080_prog"]
	wantLines(t, out,
		fmt.Sprintf("prog_array (id %s), 1 of 2 slots filled, for XDP, jited", id),
		fmt.Sprintf("used by xdp_dispatch (id %d)", entry.ID()))
	if !strings.Contains(out, fmt.Sprintf("0  port8080_prog  %d", target.ID())) {
		t.Errorf("slot 0 is missing in\n%s", out)
	}
	if all := ok(t, "slots"); !strings.Contains(all, "(id "+id+")") {
		t.Errorf("array %s is missing in\n%s", id, all)
	}
	if named := ok(t, "slots", "--name", "prog_array"); !strings.Contains(named, "(id "+id+")") {
		t.Errorf("array %s is missing in\n%s", id, named)
	}
	var line struct {
		ID    string `json:"-"`
		Owner string `json:"owner_prog_type"`
		Slots []struct {
			Index   uint32
			Program struct {
				ID       uint32
				Name     string
				Tag      string
				LoadedAt string `json:"loaded_at"`
			}
		}
		Users []struct{ Name string } `json:"used_by"`
	}
	if err := json.Unmarshal([]byte(ok(t, "slots", "--id", id, "--json")), &line); err != nil {
		t.Fatal(err)
	}
	if line.Owner != "XDP" || len(line.Slots) != 1 || line.Slots[0].Program.ID != uint32(target.ID()) ||
		len(line.Slots[0].Program.Tag) != 16 || line.Slots[0].Program.LoadedAt == "" || len(line.Users) != 1 || line.Users[0].Name != "xdp_dispatch" {
		t.Errorf("JSON %+v", line)
	}
}

func TestSlotsSet(t *testing.T) {
	coll, id := liveChain(t)
	array := coll.Maps["prog_array"]
	slot := func(i uint32) uint32 {
		var program uint32
		if err := array.Lookup(i, &program); err != nil {
			return 0
		}
		return program
	}
	code, out, errOut := cli(t, "", "slots", "set", "id:"+id+"[1]="+dispatch+":port22_prog")
	if code != exitOK || out != fmt.Sprintf("prog_array[1] (id %s) = %s:port22_prog\n", id, dispatch) {
		t.Fatalf("exit %d, %s%s", code, out, errOut)
	}
	// The test itself holds the array; other processes do not.
	if !strings.Contains(errOut, "nobody else holds prog_array") || !strings.Contains(errOut, "--pin ") {
		t.Errorf("warning %q", errOut)
	}
	if ret, _, err := coll.Programs["xdp_dispatch"].Test(tcpTo22()); err != nil || ret != 1 {
		t.Errorf("port 22 returned %d (%v), want XDP_DROP of the new program", ret, err)
	}
	own := coll.Programs["port22_prog"].ID()
	if code, _, errOut := cli(t, "", "slots", "set", fmt.Sprintf("id:%s[0x1]=id:%d", id, own)); code != exitOK || slot(1) != uint32(own) {
		t.Errorf("exit %d, slot 1 holds %d, want %d: %s", code, slot(1), own, errOut)
	}
	if out := ok(t, "slots", "clear", "id:"+id+"[1]"); out != fmt.Sprintf("prog_array[1] (id %s) is empty\n", id) || slot(1) != 0 {
		t.Errorf("printed %q, slot 1 holds %d", out, slot(1))
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"clear", "id:" + id + "[1]"}, exitFailed, "is empty"},
		{[]string{"set", "id:" + id + "[2]=id:" + fmt.Sprint(own)}, exitFailed, "there is no slot 2"},
		{[]string{"set", "id:" + id + "[1]=" + examples + "static-call/static_call.o:count_up"}, exitFailed, "program type is SchedCLS, the map's owner has XDP"},
		{[]string{"set", "id:" + id + "[1]=" + dispatch + ":nothing"}, exitUsage, "no program"},
		{[]string{"set", "id:" + id + "=id:1"}, exitUsage, "MAP[INDEX]=PROGRAM"},
		{[]string{"set", "id:" + id + "[x]=id:1"}, exitUsage, "not a number"},
		{[]string{"set", "no_such_array[1]=id:1"}, exitFailed, "no program array named"},
		{[]string{"set"}, exitUsage, "one argument"},
		{[]string{"prog_array"}, exitUsage, "--name prog_array"},
	} {
		code, _, errOut := cli(t, "", append([]string{"slots"}, tt.args...)...)
		if code != tt.code || !strings.Contains(errOut, tt.want) {
			t.Errorf("carom slots %s: exit %d, %s; want %d and %q", strings.Join(tt.args, " "), code, errOut, tt.code, tt.want)
		}
	}
}

// A program of an object shares the maps of the chain, so that its state is the chain's.
func TestSlotsShareMaps(t *testing.T) {
	needKernel(t)
	dir := t.TempDir()
	if err := unix.Mount("bpffs", dir, "bpf", 0, ""); err != nil {
		t.Skipf("cannot mount a bpffs: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	object := examples + "tail-context/tail_context.o"
	spec, err := readObject(object)
	if err != nil {
		t.Fatal(err)
	}
	coll, err := carom.NewCollection(spec, &carom.Options{Engine: kernel.Engine(kernel.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	pin := filepath.Join(dir, "chain")
	slot := fmt.Sprintf("id:%d[0]=%s:second_prog", coll.Maps["chain"].ID(), object)
	out := ok(t, "slots", "set", slot, "--pin", pin) // held by the pin, so nothing is warned of
	if !strings.HasSuffix(out, ", which shares chain, context\n") {
		t.Errorf("printed %q", out)
	}
	var result carom.Result
	cpu, err := coll.CPU(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer cpu.Release()
	if err := cpu.Run(t.Context(), coll.Programs["first_prog"], &carom.Input{Data: make([]byte, 64)}, &result); err != nil {
		t.Fatal(err)
	}
	var values []struct{ First, Second uint32 }
	if err := coll.Maps["context"].Lookup(uint32(0), &values); err != nil || values[0].First != 11 || values[0].Second != 22 {
		t.Errorf("context is %v (%v), want 11 and 22 from the new program", values, err)
	}
	out = ok(t, "slots", "set", "pinned:"+pin+"[0]="+object+":second_prog", "--fresh", "context")
	if shown := ok(t, "slots", "--pin", pin); !strings.Contains(shown, "held by "+pin+"\n") {
		t.Errorf("no pin in\n%s", shown)
	}
	if !strings.HasSuffix(out, ", which shares chain\n") {
		t.Errorf("printed %q", out)
	}
	if out := ok(t, "slots", "--pin", pin); !strings.Contains(out, "chain (id") {
		t.Errorf("printed %q", out)
	}
}

// tcpTo22 is an Ethernet frame with TCP to port 22.
func tcpTo22() []byte {
	b := make([]byte, 64)
	b[12], b[13] = 0x08, 0x00
	b[14], b[23] = 0x45, 6
	b[37] = 22
	return b
}
