package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
)

// edgeCounts are the counters of a collection that was loaded with Options.CountEdges.
type edgeCounts struct {
	plan          *plan
	cells, counts *ebpf.Map
}

// takeMaps moves the maps with counters out of a collection.
func (p *plan) takeMaps(coll *ebpf.Collection) (*edgeCounts, error) {
	cells, counts := coll.Maps[cellsName], coll.Maps[countsName]
	if cells == nil || counts == nil {
		return nil, fmt.Errorf("the maps with counters were not made")
	}
	delete(coll.Maps, cellsName)
	delete(coll.Maps, countsName)
	return &edgeCounts{p, cells, counts}, nil
}

func words(m *ebpf.Map) ([]uint64, error) {
	b, err := m.LookupBytes(uint32(0))
	if err != nil {
		return nil, wrap(err)
	}
	words := make([]uint64, len(b)/counter)
	for i := range words {
		words[i] = binary.NativeEndian.Uint64(b[i*counter:])
	}
	return words, nil
}

// read adds the edges that are pending, which are hops to foreign programs: those between a call
// and its target are there for nanoseconds only. The frames are read first, so that no edge counts
// twice.
func (e *edgeCounts) read(foreign func(array string, index uint32) string) ([]engine.Edge, error) {
	cells, err := words(e.cells)
	if err != nil {
		return nil, err
	}
	counts, err := words(e.counts)
	if err != nil {
		return nil, err
	}
	for at := frameEdge / counter; at < len(cells); at += frameSize / counter {
		if n := cells[at]; n > 0 && n <= uint64(e.plan.edges) {
			counts[uint64(e.plan.foreignRow()/counter)+n-1]++
		}
	}
	return e.plan.read(counts, foreign), nil
}

func (e *edgeCounts) close() error {
	if e == nil {
		return nil
	}
	return errors.Join(wrap(e.cells.Close()), wrap(e.counts.Close()))
}

// notInstrumented is Edge.To of a foreign program that has left its slot.
const notInstrumented = "a program that is not instrumented"

// foreign says what a slot holds now, unless that is a program with counters.
func (c *collection) foreign(array string, index uint32) string {
	m := c.maps[array]
	if m == nil {
		return notInstrumented
	}
	var id uint32
	if err := m.m.Lookup(index, &id); err != nil || m.aliases[id] != 0 {
		return notInstrumented
	}
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return notInstrumented
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return notInstrumented
	}
	return fmt.Sprintf("%s (id %d, not instrumented)", info.Name, id)
}
