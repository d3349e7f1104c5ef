package kernel

import (
	"fmt"
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
}

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
	// Attached says where bpf_links attach the program, for people. Attachments without a link,
	// such as those of tc filters, are not listed.
	Attached []string
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
	// name.
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
