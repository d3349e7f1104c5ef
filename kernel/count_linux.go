package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
)

// edgeCounts are the counters of a collection that was loaded with Options.CountEdges.
type edgeCounts struct {
	plan   *plan
	counts *ebpf.Map
}

// take moves the maps with counters out of a collection.
func (p *plan) take(coll *ebpf.Collection) (*edgeCounts, error) {
	cells, counts := coll.Maps[cellsName], coll.Maps[countsName]
	if cells == nil || counts == nil {
		return nil, fmt.Errorf("the maps with counters were not made")
	}
	delete(coll.Maps, cellsName)
	delete(coll.Maps, countsName)
	return &edgeCounts{p, counts}, cells.Close() // programs hold the cells
}

func (e *edgeCounts) read() ([]engine.Edge, error) {
	b, err := e.counts.LookupBytes(uint32(0))
	if err != nil {
		return nil, wrap(err)
	}
	words := make([]uint64, len(b)/counter)
	for i := range words {
		words[i] = binary.NativeEndian.Uint64(b[i*counter:])
	}
	return e.plan.read(words), nil
}

func (e *edgeCounts) close() error {
	if e == nil {
		return nil
	}
	return wrap(e.counts.Close())
}
