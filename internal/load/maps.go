package load

import (
	"fmt"
	"slices"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// MapSpec converts a map definition and fills in what loaders usually leave out, as cilium/ebpf
// does: sizes of maps of maps, perf event arrays and CPU maps; the entries of the last two are one
// for each CPU.
func MapSpec(name string, spec *ebpf.MapSpec, cpus int) (*maps.Spec, error) {
	if spec.Extra != nil && spec.Extra.Len() > 0 {
		return nil, &maps.Error{Map: name, Op: "create", Errno: linux.EINVAL,
			Reason: fmt.Sprintf("its definition has %d bytes that are not understood (an iproute2 bpf_elf_map?)", spec.Extra.Len())}
	}
	s := &maps.Spec{
		Name: name, Type: spec.Type, KeySize: spec.KeySize, ValueSize: spec.ValueSize,
		MaxEntries: spec.MaxEntries, Flags: spec.Flags, Extra: spec.MapExtra,
		HasTypes: spec.Key != nil && spec.Value != nil,
	}
	switch spec.Type {
	case ebpf.ArrayOfMaps, ebpf.HashOfMaps:
		if s.ValueSize == 0 {
			s.ValueSize = 4
		}
	case ebpf.PerfEventArray:
		if s.KeySize == 0 {
			s.KeySize = 4
		}
		if s.ValueSize == 0 {
			s.ValueSize = 4
		}
		if s.MaxEntries == 0 || s.MaxEntries > uint32(cpus) {
			s.MaxEntries = uint32(cpus)
		}
	case ebpf.CPUMap:
		if s.MaxEntries == 0 || s.MaxEntries > uint32(cpus) {
			s.MaxEntries = uint32(cpus)
		}
	}
	if spec.InnerMap != nil {
		if spec.InnerMap.InnerMap != nil {
			return nil, &maps.Error{Map: name, Op: "create", Errno: linux.EINVAL,
				Reason: "its inner map is a map of maps itself; Linux has one level only (bpf_map_meta_alloc)"}
		}
		inner, err := MapSpec(name+" (inner)", spec.InnerMap, cpus)
		if err != nil {
			return nil, err
		}
		s.Inner = inner
	}
	return s, nil
}

// Targets lists the BTF that CO-RE relocations of a spec may be resolved against: what the
// caller gave; else the running kernel's; else the object's own.
func Targets(spec *ebpf.CollectionSpec, given *btf.Spec) []*btf.Spec {
	if given != nil {
		return []*btf.Spec{given}
	}
	if !usesCORE(spec) {
		return nil
	}
	if kernel, err := btf.LoadKernelSpec(); err == nil {
		return []*btf.Spec{kernel}
	}
	if spec.Types != nil {
		return []*btf.Spec{spec.Types}
	}
	return nil
}

// usesCORE saves reading the kernel's BTF, which takes long, for objects that need it.
func usesCORE(spec *ebpf.CollectionSpec) bool {
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			if btf.CORERelocationMetadata(&p.Instructions[i]) != nil {
				return true
			}
		}
	}
	return false
}

// Contents gives the initial contents of a map. Values that were set in the spec's variables
// take their places in the data sections.
func Contents(name string, spec *ebpf.MapSpec, vars map[string]*ebpf.VariableSpec) ([]ebpf.MapKV, error) {
	contents := spec.Contents
	for _, v := range vars {
		if v.SectionName != name || len(v.Value) == 0 {
			continue
		}
		if len(contents) != 1 {
			return nil, fmt.Errorf("map %s: variable %s needs one initial value, there are %d: %w", name, v.Name, len(contents), linux.EINVAL)
		}
		data, ok := contents[0].Value.([]byte)
		if !ok || uint64(v.Offset)+uint64(len(v.Value)) > uint64(len(data)) {
			return nil, fmt.Errorf("map %s: variable %s lies outside the section: %w", name, v.Name, linux.EINVAL)
		}
		if &contents[0] == &spec.Contents[0] { // the spec stays as it is
			data = slices.Clone(data)
			contents = []ebpf.MapKV{{Key: contents[0].Key, Value: data}}
		}
		copy(data[v.Offset:], v.Value)
	}
	return contents, nil
}
