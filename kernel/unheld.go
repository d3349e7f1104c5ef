package kernel

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

// UnheldArray is a PROG_ARRAY that Linux will empty when this process closes it or ends, although
// programs that tail-call through it go on: no pin and no other process holds it, and programs do
// not hold the slots of the arrays they use (kernel/bpf/arraymap.c, prog_array_map_clear). Their
// tail calls then fall through without a word.
type UnheldArray struct {
	Map string // name in the collection
	ID  ebpf.MapID
	// Programs are those of the collection that use the array and stay because of a pin, of
	// themselves, of an attachment, or of an array that has them in a slot. Sorted.
	Programs []string
}

// String says it in one sentence, with the remedy.
func (u UnheldArray) String() string {
	stay := "stays"
	if len(u.Programs) > 1 {
		stay = "stay"
	}
	return fmt.Sprintf("%s %s, but nobody else holds %s (id %d), so Linux empties it when this process ends; pin it too, for example with Collection.Pin",
		strings.Join(u.Programs, ", "), stay, u.Map, u.ID)
}

// Unheld lists the PROG_ARRAYs of a collection of the kernel engine that want a pin, by name. It
// looks at all bpf file systems and processes that this process can see; call it after pinning
// programs or attachments. It needs root.
func Unheld(coll *carom.Collection) ([]UnheldArray, error) { return unheld(coll) }
