package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/btfval"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// perfBuffer is the size of a perf buffer for each virtual CPU, in bytes. It is emptied after
// every run.
const perfBuffer = 256 << 10

// recordMap is a perf event array or ring buffer whose records are printed.
type recordMap struct {
	name  string
	typ   btf.Type // of a record, nil when unknown
	size  int      // of typ
	perf  carom.PerfReader
	ring  carom.RingbufReader
	count uint64
	lost  uint64
	keep  bool     // keep samples for a comparison
	kept  []string // samples since they were compared
}

// openRecords opens readers for all maps that stream records.
func openRecords(coll *carom.Collection, spec *ebpf.CollectionSpec, asked []string) ([]*recordMap, error) {
	structs, err := parseEvents(asked, spec)
	if err != nil {
		return nil, err
	}
	var all []*recordMap
	for _, name := range sortedKeys(coll.Maps) {
		m := coll.Maps[name]
		r := &recordMap{name: name}
		switch m.Type() {
		case ebpf.PerfEventArray:
			r.perf, err = carom.NewPerfReader(m, perfBuffer)
		case ebpf.RingBuf:
			r.ring, err = carom.NewRingbufReader(m)
		default:
			continue
		}
		if err != nil {
			closeRecords(all)
			return nil, err
		}
		if r.perf != nil {
			r.perf.SetDeadline(time.Unix(1, 0)) // reads take what is there and never wait
		} else {
			r.ring.SetDeadline(time.Unix(1, 0))
		}
		if r.typ = structs[name]; r.typ == nil {
			r.typ = guessRecord(spec, name)
		}
		if r.typ != nil {
			if r.size, err = btf.Sizeof(r.typ); err != nil {
				r.typ = nil
			}
		}
		all = append(all, r)
	}
	return all, nil
}

func closeRecords(all []*recordMap) {
	for _, r := range all {
		if r.perf != nil {
			_ = r.perf.Close()
		} else {
			_ = r.ring.Close()
		}
	}
}

// parseEvents reads --events MAP:STRUCT.
func parseEvents(texts []string, spec *ebpf.CollectionSpec) (map[string]btf.Type, error) {
	all := map[string]btf.Type{}
	for _, text := range texts {
		name, typ, ok := strings.Cut(text, ":")
		if !ok || typ == "" {
			return nil, usagef("--events %s: write it as MAP:STRUCT, for example events:event", text)
		}
		m, err := findMap(spec, name, "--events "+text)
		if err != nil {
			return nil, err
		}
		if m.Type != ebpf.PerfEventArray && m.Type != ebpf.RingBuf {
			return nil, usagef("--events %s: map %s is a %s; records come from a PerfEventArray or RingBuf", text, name, m.Type)
		}
		if all[name] = findStruct(spec, strings.TrimPrefix(typ, "struct ")); all[name] == nil {
			return nil, usagef("--events %s: the object's BTF has no type %s; refer to it from a global, for example const struct %s *unused", text, typ, typ)
		}
	}
	return all, nil
}

// findStruct finds a structure, or a name for one, in the object's BTF.
func findStruct(spec *ebpf.CollectionSpec, name string) btf.Type {
	if spec.Types == nil {
		return nil
	}
	types, err := spec.Types.AnyTypesByName(name)
	if err != nil {
		return nil
	}
	for _, t := range types {
		switch btf.UnderlyingType(t).(type) {
		case *btf.Struct, *btf.Union:
			return t
		}
	}
	return nil
}

// guessRecord finds the type of a map's records: what the map declares, a structure named like
// the map, or one named event.
func guessRecord(spec *ebpf.CollectionSpec, name string) btf.Type {
	if m := spec.Maps[name]; m != nil && m.Value != nil {
		if _, ok := btf.UnderlyingType(m.Value).(*btf.Struct); ok {
			return m.Value
		}
	}
	for _, n := range []string{name, strings.TrimSuffix(name, "s"), name + "_event", "event"} {
		if t := findStruct(spec, n); t != nil {
			return t
		}
	}
	return nil
}

// recordLine is a record for --json.
type recordLine struct {
	Kind  string `json:"kind"` // record
	Map   string `json:"map"`
	CPU   *int   `json:"cpu,omitempty"`
	Bytes int    `json:"bytes"`
	Data  string `json:"data"`            // in hexadecimal
	Value any    `json:"value,omitempty"` // where the type is known
}

// drain prints all records that wait.
func (r *recordMap) drain(out io.Writer, asJSON bool) error {
	for {
		var sample []byte
		var cpu *int
		if r.perf != nil {
			var rec carom.PerfRecord
			if err := r.perf.ReadInto(&rec); err != nil {
				return drained(err)
			}
			r.lost += rec.LostSamples
			if rec.RawSample == nil {
				continue
			}
			sample, cpu = rec.RawSample, &rec.CPU
		} else {
			var rec carom.RingbufRecord
			if err := r.ring.ReadInto(&rec); err != nil {
				return drained(err)
			}
			sample = rec.RawSample
		}
		r.count++
		if r.keep {
			r.kept = append(r.kept, string(sample))
		}
		if err := r.print(out, sample, cpu, asJSON); err != nil {
			return err
		}
	}
}

func drained(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

func (r *recordMap) print(out io.Writer, sample []byte, cpu *int, asJSON bool) error {
	typed := r.typ != nil && len(sample) >= r.size
	if asJSON {
		line := recordLine{Kind: "record", Map: r.name, CPU: cpu, Bytes: len(sample), Data: hex.EncodeToString(sample)}
		if typed {
			if v, err := btfval.Value(r.typ, sample[:r.size]); err == nil {
				line.Value = v
			}
		}
		return writeJSON(out, line)
	}
	if typed {
		if text, err := btfval.Format(nil, r.typ, sample[:r.size]); err == nil {
			_, err = fmt.Fprintf(out, "%s: %s\n", r.name, text)
			return err
		}
	}
	if _, err := fmt.Fprintf(out, "%s: %d bytes\n", r.name, len(sample)); err != nil {
		return err
	}
	hexDump(out, sample)
	return nil
}
