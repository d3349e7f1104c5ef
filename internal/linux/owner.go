package linux

import (
	"fmt"
	"strconv"

	"github.com/cilium/ebpf"
)

// Owner is what the programs of one PROG_ARRAY have in common: the first program that uses the
// map, or is put into it, fixes it for as long as the map exists (kernel/bpf/core.c,
// __bpf_prog_map_compatible; struct bpf_map_owner).
type Owner struct {
	Type       ebpf.ProgramType // for an extension program that of its target
	AttachType ebpf.AttachType  // expected_attach_type
	Jited      bool
	Frags      bool // BPF_F_XDP_HAS_FRAGS
	Sleepable  bool // BPF_F_SLEEPABLE
	// AttachTo identifies attach_func_proto: the function or hook that a tracing, LSM, extension
	// or struct_ops program is attached to. Other types have none.
	AttachTo string
	// Storage holds the cookies of the cgroup storage maps that the program uses, shared and per
	// CPU; 0 where it uses none.
	Storage [2]uint64

	// The fields below belong to the program that is compared and are never asked of the map.

	// TailCalls: the program can reach a tail call.
	TailCalls bool
	// Extension, Override and DevBound programs are refused whatever the owner is: extensions of
	// other programs, programs that call bpf_override_return, XDP programs bound to a device.
	Extension, Override, DevBound bool
}

// FieldDiff is one reason why a program does not fit a map's owner.
type FieldDiff struct {
	Field string // the kernel's name of the field
	Have  string // value of the program
	Want  string // value of the map's owner
}

// String gives the reason as error messages show it.
func (d FieldDiff) String() string {
	return fmt.Sprintf("%s is %s, the map's owner has %s", d.Field, d.Have, d.Want)
}

// Diff lists what keeps program p out of a map whose owner is o, in the order in which the
// kernel compares; nil says that p fits.
func (o Owner) Diff(p Owner, profile Profile) []FieldDiff {
	var diffs []FieldDiff
	add := func(differ bool, field, have, want string) {
		if differ {
			diffs = append(diffs, FieldDiff{field, have, want})
		}
	}
	b := strconv.FormatBool
	add(o.Type != p.Type, "program type", p.Type.String(), o.Type.String())
	add(o.Jited != p.Jited, "jited", b(p.Jited), b(o.Jited))
	add(o.Frags != p.Frags, "xdp_has_frags", b(p.Frags), b(o.Frags))
	add(profile.SleepableInOwner && o.Sleepable != p.Sleepable, "sleepable", b(p.Sleepable), b(o.Sleepable))
	add(profile.AttachTypeInOwner && o.AttachType != p.AttachType,
		"expected_attach_type", p.AttachType.String(), o.AttachType.String())
	if profile.StorageInOwner {
		for i, name := range [...]string{"cgroup storage", "per-CPU cgroup storage"} {
			have, want := p.Storage[i], o.Storage[i]
			// A program without storage is fine at the end of a chain: it has nothing that the
			// owner's storage could be mistaken for, and it calls nobody who has.
			leaf := have == 0 && !p.TailCalls
			add(have != want && !leaf, name, storage(have), storage(want))
		}
	}
	add(comparesTarget(p.Type, profile) && o.AttachTo != p.AttachTo,
		"attach target", target(p.AttachTo), target(o.AttachTo))
	return diffs
}

// Refused lists what bars a program from every PROG_ARRAY at insertion, nil if nothing does.
func (o Owner) Refused() []FieldDiff {
	var diffs []FieldDiff
	for _, r := range [...]struct {
		is    bool
		field string
	}{
		{o.Extension, "extension program (freplace)"},
		{o.Override, "bpf_override_return"},
		{o.DevBound, "bound to a device (XDP metadata)"},
	} {
		if r.is {
			diffs = append(diffs, FieldDiff{r.field, "true", "false, as every PROG_ARRAY"})
		}
	}
	return diffs
}

func comparesTarget(t ebpf.ProgramType, profile Profile) bool {
	switch t {
	case ebpf.Tracing, ebpf.Extension, ebpf.StructOps:
		return true
	case ebpf.LSM:
		return profile.LSMProtoInOwner
	}
	return false
}

func storage(cookie uint64) string {
	if cookie == 0 {
		return "none"
	}
	return fmt.Sprintf("map #%d", cookie)
}

func target(name string) string {
	if name == "" {
		return "none"
	}
	return name
}
