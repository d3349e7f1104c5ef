package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
	"github.com/cilium/ebpf"
)

// place is where a program is attached.
type place struct {
	text   string // flag or section, for messages
	types  []ebpf.ProgramType
	attach func(p *carom.Program) (*kernel.Attachment, error)
}

// placeKind is a flag that names places, and the sections that do.
type placeKind struct {
	flag, usage string
	sections    []string // first part of the names of sections that name a place
	types       []ebpf.ProgramType
	parse       func(f *attachFlags, value string) (func(*carom.Program) (*kernel.Attachment, error), error)
}

func placeKinds() []placeKind {
	probe := []ebpf.ProgramType{ebpf.Kprobe}
	return []placeKind{
		{"xdp", "packets that an `INTERFACE` receives, as XDP", nil, []ebpf.ProgramType{ebpf.XDP}, parseXDP},
		{"tc", "packets of an `INTERFACE`, as tcx; ingress or egress follows", nil, []ebpf.ProgramType{ebpf.SchedCLS}, nil},
		{"cgroup", "what processes of a cgroup do; `PATH` of a directory of cgroup v2", nil, cgroupTypes(), parseCgroup},
		{"uprobe", "entry of a `FUNCTION`, BINARY:SYMBOL[+OFFSET]", []string{"uprobe", "uprobe.multi"}, probe, parseUprobe},
		{"uretprobe", "return of a `FUNCTION`, BINARY:SYMBOL", []string{"uretprobe", "uretprobe.multi"}, probe, parseUretprobe},
		{"tracepoint", "`TRACEPOINT`, GROUP:NAME", []string{"tracepoint", "tp"}, []ebpf.ProgramType{ebpf.TracePoint}, parseTracepoint},
		{"raw-tracepoint", "`TRACEPOINT` with its raw arguments, NAME", []string{"raw_tracepoint", "raw_tp", "raw_tracepoint.w", "raw_tp.w"},
			[]ebpf.ProgramType{ebpf.RawTracepoint, ebpf.RawTracepointWritable}, parseRawTracepoint},
		{"kprobe", "entry of a kernel `FUNCTION`", []string{"kprobe", "kprobe.multi"}, probe, parseKprobe},
		{"kretprobe", "return of a kernel `FUNCTION`", []string{"kretprobe", "kretprobe.multi"}, probe, parseKretprobe},
	}
}

func cgroupTypes() []ebpf.ProgramType {
	return []ebpf.ProgramType{
		ebpf.CGroupSKB, ebpf.CGroupSock, ebpf.CGroupSockAddr, ebpf.CGroupSockopt, ebpf.CGroupDevice,
		ebpf.CGroupSysctl, ebpf.SockOps,
	}
}

// parsePlaces reads all flags that name a place.
func (f *attachFlags) parsePlaces(direction string) ([]place, error) {
	var all []place
	for _, k := range placeKinds() {
		for _, value := range *f.places[k.flag] {
			text := "--" + k.flag + " " + value
			if value == "" {
				return nil, usagef("--%s: it is empty", k.flag)
			}
			p := place{text: text, types: k.types}
			var err error
			if k.flag == "tc" {
				p.text, p.attach, err = parseTC(value, direction)
			} else {
				p.attach, err = k.parse(f, value)
			}
			if err != nil {
				return nil, usagef("%s: %w", text, err)
			}
			all = append(all, p)
		}
	}
	switch {
	case f.xdpMode != "" && len(*f.places["xdp"]) == 0:
		return nil, usagef("--xdp-mode goes with --xdp IFACE")
	case f.pid < 0:
		return nil, usagef("--pid %d: use the id of a process", f.pid)
	case f.pid != 0 && len(all) > 0 && len(*f.places["uprobe"])+len(*f.places["uretprobe"]) == 0:
		return nil, usagef("--pid goes with --uprobe, --uretprobe or their sections")
	}
	return all, nil
}

func parseXDP(f *attachFlags, iface string) (func(*carom.Program) (*kernel.Attachment, error), error) {
	mode, ok := map[string]kernel.XDPMode{"": kernel.XDPAny, "generic": kernel.XDPGeneric, "native": kernel.XDPNative}[f.xdpMode]
	if !ok {
		return nil, usagef("--xdp-mode %s: use generic or native", f.xdpMode)
	}
	return func(p *carom.Program) (*kernel.Attachment, error) { return kernel.AttachXDP(p, iface, mode) }, nil
}

func parseTC(iface, direction string) (string, func(*carom.Program) (*kernel.Attachment, error), error) {
	dir := kernel.Ingress
	switch direction {
	case "":
		return "", nil, usagef("write ingress or egress behind the interface")
	case "egress":
		dir = kernel.Egress
	}
	attach := func(p *carom.Program) (*kernel.Attachment, error) { return kernel.AttachTC(p, iface, dir) }
	return "--tc " + iface + " " + direction, attach, nil
}

func parseCgroup(_ *attachFlags, path string) (func(*carom.Program) (*kernel.Attachment, error), error) {
	return func(p *carom.Program) (*kernel.Attachment, error) { return kernel.AttachCgroup(p, path) }, nil
}

// parseProbe reads BINARY:SYMBOL[+OFFSET].
func parseProbe(f *attachFlags, text string) (kernel.Probe, error) {
	colon := strings.LastIndexByte(text, ':')
	if colon <= 0 || colon == len(text)-1 {
		return kernel.Probe{}, usagef("write it as BINARY:SYMBOL, for example /bin/bash:readline")
	}
	at := kernel.Probe{Binary: text[:colon], PID: f.pid}
	symbol, offset, has := strings.Cut(text[colon+1:], "+")
	at.Symbol = symbol
	if has {
		n, err := strconv.ParseUint(offset, 0, 64)
		if err != nil {
			return at, usagef("the offset %q is not a number of bytes", offset)
		}
		at.Offset = n
	}
	return at, nil
}

func parseUprobe(f *attachFlags, text string) (func(*carom.Program) (*kernel.Attachment, error), error) {
	at, err := parseProbe(f, text)
	return func(p *carom.Program) (*kernel.Attachment, error) { return kernel.AttachUprobe(p, at) }, err
}

func parseUretprobe(f *attachFlags, text string) (func(*carom.Program) (*kernel.Attachment, error), error) {
	at, err := parseProbe(f, text)
	if err == nil && at.Offset != 0 {
		err = usagef("a return probe belongs to a function; leave out the offset")
	}
	return func(p *carom.Program) (*kernel.Attachment, error) { return kernel.AttachUretprobe(p, at) }, err
}

// parseTracepoint reads GROUP:NAME, and GROUP/NAME as sections have it.
func parseTracepoint(_ *attachFlags, text string) (func(*carom.Program) (*kernel.Attachment, error), error) {
	i := strings.IndexAny(text, ":/")
	if i <= 0 || i == len(text)-1 {
		return nil, usagef("write it as GROUP:NAME, for example sched:sched_process_exec")
	}
	group, name := text[:i], text[i+1:]
	return func(p *carom.Program) (*kernel.Attachment, error) { return kernel.AttachTracepoint(p, group, name) }, nil
}

func parseRawTracepoint(_ *attachFlags, name string) (func(*carom.Program) (*kernel.Attachment, error), error) {
	return func(p *carom.Program) (*kernel.Attachment, error) { return kernel.AttachRawTracepoint(p, name) }, nil
}

func parseKprobe(_ *attachFlags, symbol string) (func(*carom.Program) (*kernel.Attachment, error), error) {
	return func(p *carom.Program) (*kernel.Attachment, error) { return kernel.AttachKprobe(p, symbol) }, nil
}

func parseKretprobe(_ *attachFlags, symbol string) (func(*carom.Program) (*kernel.Attachment, error), error) {
	return func(p *carom.Program) (*kernel.Attachment, error) { return kernel.AttachKretprobe(p, symbol) }, nil
}

// assignPrograms finds the program for every place, or the places for every program that nobody
// tail-calls.
func assignPrograms(spec *ebpf.CollectionSpec, f *attachFlags, places []place, slots []slot) ([]attachment, error) {
	if len(places) == 0 {
		return bySections(spec, f, slots)
	}
	var all []attachment
	for _, p := range places {
		entry, err := chooseEntry(fitting(spec, p.types), f.program, slots)
		if f.program != "" {
			entry, err = f.program, nil
			if _, err := findProgram(spec, entry); err != nil {
				return nil, err
			}
		}
		if len(fitting(spec, p.types).Programs) == 0 {
			return nil, usagef("%s: the object has no %s program; it has %s", p.text, p.types[0], names(spec.Programs))
		}
		if err != nil {
			return nil, usagef("%s: %w", p.text, err)
		}
		if t := spec.Programs[entry].Type; !slices.Contains(p.types, t) {
			return nil, usagef("%s: %s is a %s program; a %s program is needed", p.text, entry, t, p.types[0])
		}
		all = append(all, attachment{entry, p})
	}
	return all, nil
}

// fitting is the spec with the programs of these types only.
func fitting(spec *ebpf.CollectionSpec, types []ebpf.ProgramType) *ebpf.CollectionSpec {
	sub := &ebpf.CollectionSpec{Maps: spec.Maps, Programs: map[string]*ebpf.ProgramSpec{}}
	for name, p := range spec.Programs {
		if slices.Contains(types, p.Type) {
			sub.Programs[name] = p
		}
	}
	return sub
}

// bySections attaches programs where their sections say.
func bySections(spec *ebpf.CollectionSpec, f *attachFlags, slots []slot) ([]attachment, error) {
	list := uncalled(spec, slots)
	if f.program != "" {
		if _, err := findProgram(spec, f.program); err != nil {
			return nil, err
		}
		list = []string{f.program}
	}
	if len(list) == 0 {
		return nil, usagef("every program is the target of a tail call; choose what to attach with --prog: %s", names(spec.Programs))
	}
	var all []attachment
	for _, name := range list {
		p, err := sectionPlace(spec.Programs[name], f)
		if err != nil {
			return nil, err
		}
		all = append(all, attachment{name, p})
	}
	return all, nil
}

// sectionPlace reads a section such as uretprobe//bin/bash:readline.
func sectionPlace(p *ebpf.ProgramSpec, f *attachFlags) (place, error) {
	kind, rest, _ := strings.Cut(p.SectionName, "/")
	kind = strings.TrimSuffix(strings.TrimSuffix(kind, "+"), ".s")
	for _, k := range placeKinds() {
		if !slices.Contains(k.sections, kind) || rest == "" {
			continue
		}
		attach, err := k.parse(f, rest)
		if err != nil {
			return place{}, usagef("section %s of %s: %w", p.SectionName, p.Name, err)
		}
		return place{"section " + p.SectionName, k.types, attach}, nil
	}
	return place{}, usagef("section %s of %s names no place to attach to; give %s", p.SectionName, p.Name, placeFlags(p.Type))
}

// placeFlags lists the flags that take a program of this type.
func placeFlags(t ebpf.ProgramType) string {
	var flags []string
	for _, k := range placeKinds() {
		if slices.Contains(k.types, t) {
			_, what, _ := strings.Cut(k.usage, "`")
			what, _, _ = strings.Cut(what, "`")
			flags = append(flags, "--"+k.flag+" "+what)
		}
	}
	if len(flags) == 0 {
		return "an object with other programs, carom attaches no " + t.String()
	}
	return strings.Join(flags, " or ")
}

// uncalled lists the programs that no slot holds.
func uncalled(spec *ebpf.CollectionSpec, slots []slot) []string {
	called := map[string]bool{}
	for _, m := range spec.Maps {
		for _, kv := range m.Contents {
			if name, ok := kv.Value.(string); ok && m.Type == ebpf.ProgramArray {
				called[name] = true
			}
		}
	}
	for _, s := range slots {
		called[s.program] = true
	}
	return slices.DeleteFunc(sortedKeys(spec.Programs), func(name string) bool { return called[name] })
}
