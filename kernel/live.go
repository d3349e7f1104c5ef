package kernel

import (
	"fmt"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// ArrayInfo is a PROG_ARRAY of the running kernel.
type ArrayInfo struct {
	ID         ebpf.MapID
	Name       string // at most 15 bytes, as the kernel keeps it
	MaxEntries uint32
	Frozen     bool
	// Owned says that a program has fixed what fits into the array, with Owner as its type. The
	// other fields that the kernel compares are not shown by any kernel.
	Owned bool
	Owner ebpf.ProgramType
	Jited bool
	Slots []Slot        // those that are filled, by index
	Users []LiveProgram // programs that may tail-call through the array, by id
	// Holders and Reached are filled by Live.Info.
	Holders []Holder
	Reached []Path // from attached programs, the shortest way of each, by id
}

// Path is how an attached program gets to a PROG_ARRAY: it uses the array itself, or tail calls
// bring it to a program that does.
type Path struct {
	Entry LiveProgram
	Via   []Hop // the slots on the way, in the order of the calls; none when Entry uses the array
}

// String names the entry, where it is attached, and the slots on the way.
func (p Path) String() string {
	s := p.Entry.String()
	for _, at := range p.Entry.Attached {
		s += ", " + at.String()
	}
	for i, h := range p.Via {
		sep := ", "
		if i == 0 {
			sep = ", via "
		}
		s += sep + h.String()
	}
	return s
}

// Hop is a filled slot that a tail call can take.
type Hop struct {
	Array ebpf.MapID
	Name  string // of the array
	Index uint32
}

// String is the array's name and the index, as in chain[2].
func (h Hop) String() string { return fmt.Sprintf("%s[%d]", h.Name, h.Index) }

// Slot is a filled slot.
type Slot struct {
	Index   uint32
	Program LiveProgram
}

// LiveProgram is a program of the running kernel.
type LiveProgram struct {
	ID     ebpf.ProgramID
	Name   string // at most 15 bytes, as the kernel keeps it
	Tag    string
	Type   ebpf.ProgramType
	Loaded time.Time // zero when the kernel does not say
	// Attached are the places that run the program, as far as the kernel tells and this process may
	// look: programs on sockets (SO_ATTACH_BPF), on perf events of hardware (BPF_PROG_TYPE_PERF_EVENT)
	// and on routes (LWT) are not found.
	Attached []Place
}

// String is the name and the id.
func (p LiveProgram) String() string { return fmt.Sprintf("%s (id %d)", p.Name, p.ID) }

// Place is where a program is attached.
type Place struct {
	Hook   string  // such as "xdp", "tc ingress", "TCXIngress", "uprobe"
	Target string  // such as an interface, a cgroup's directory, a function; may be empty
	Link   link.ID // 0 when there is no bpf_link
	// By says what attaches the program when that is no bpf_link: netlink, the tc filter, the
	// processes that have a perf event open, or BPF_PROG_ATTACH.
	By string
}

// String says it for people.
func (p Place) String() string {
	s := p.Hook
	if p.Target != "" {
		s += " on " + p.Target
	}
	if p.Link != 0 {
		return fmt.Sprintf("%s, link %d", s, p.Link)
	}
	return s + ", " + p.By
}

// AmbiguousArrayError says that a name does not choose one PROG_ARRAY.
type AmbiguousArrayError struct {
	Name       string
	Candidates []*ArrayInfo // by id
	InUse      bool         // false when no program uses and nobody holds any of them
}

func (e *AmbiguousArrayError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the kernel has %d program arrays named %q", len(e.Candidates), e.Name)
	if !e.InUse {
		b.WriteString(", which nothing uses or holds")
	}
	b.WriteString("; choose one by its id:")
	for i, a := range e.Candidates {
		if i > 0 {
			b.WriteByte(';')
		}
		fmt.Fprintf(&b, "\n  id:%d", a.ID)
		if !e.InUse {
			continue
		}
		fmt.Fprintf(&b, ", used by %s, held by %s", joined(a.Users, "no program"), joined(a.Holders, "no other process and no pin"))
	}
	return b.String()
}

// joined lists what has names, or says that there is none.
func joined[T fmt.Stringer](all []T, none string) string {
	if len(all) == 0 {
		return none
	}
	names := make([]string, len(all))
	for i, v := range all {
		names[i] = v.String()
	}
	return strings.Join(names, ", ")
}

// AmbiguousLinkError says that the name of a program does not choose one bpf_link.
type AmbiguousLinkError struct {
	Program    string
	Candidates []LinkCandidate // by id
}

// LinkCandidate is a bpf_link of a program that has the name in question.
type LinkCandidate struct {
	ID      link.ID
	Type    string // as the kernel calls it, such as xdp, tcx, cgroup
	Place   Place
	Program LiveProgram
}

func (e *AmbiguousLinkError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d bpf_links attach a program named %s; choose one by its id:", len(e.Candidates), e.Program)
	for i, c := range e.Candidates {
		if i > 0 {
			b.WriteByte(';')
		}
		fmt.Fprintf(&b, "\n  link %d, type %s, %s on %s, program id %d", c.ID, c.Type, c.Place.Hook, c.Place.Target, c.Program.ID)
	}
	return b.String()
}

// Holder is what keeps an array's slots: a process with a file descriptor, or a pin. When the last
// one goes, Linux empties the array, even while programs use it.
type Holder struct {
	PID  int // 0 for a pin
	Comm string
	Pin  string // path
}

// String is the path of a pin, or the process.
func (h Holder) String() string {
	if h.Pin != "" {
		return h.Pin
	}
	return fmt.Sprintf("%s (pid %d)", h.Comm, h.PID)
}

// SetOptions say how a program of an object is loaded for a slot.
type SetOptions struct {
	// Fresh names maps that are made anew. Without it, a map that the programs around the array
	// use is used by the new program too, when name, type, sizes and flags are those of its spec.
	// Global data is always new.
	Fresh []string
}

// ReplaceOptions say how ReplaceAll replaces a chain.
type ReplaceOptions struct {
	// Link is the attachment that is switched; 0 for the only one of a program with the entry's
	// name and type, which then must use an array of the spec, too. When there are several the
	// error is an AmbiguousLinkError.
	Link link.ID
	// PinDir is a directory of bpffs. The new PROG_ARRAYs are pinned there under their names, as
	// they would be emptied otherwise when this process ends. Pins that are there are replaced.
	PinDir string
	// Fresh names maps that are made anew, see SetOptions.
	Fresh []string
}

// Replacement is what ReplaceAll did.
type Replacement struct {
	Pins   []string // paths of the new PROG_ARRAYs
	Shared []string // maps that the new generation goes on with
}
