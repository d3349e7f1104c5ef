package maps

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
)

func benchKeys(size uint32, from, n uint32) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = make([]byte, size)
		binary.LittleEndian.PutUint32(keys[i], from+uint32(i))
	}
	return keys
}

func BenchmarkHash(b *testing.B) {
	for _, typ := range []ebpf.MapType{ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash} {
		for _, size := range []uint32{4, 8, 16, 13} {
			if typ != ebpf.Hash && size != 8 {
				continue
			}
			h := hashHost(b, 2)
			m := hashMap(b, h, hashSpec(typ, size, 16, 1024))
			in, out := benchKeys(size, 0, 1024), benchKeys(size, 4096, 1024)
			value := make([]byte, 32)
			for _, k := range in {
				m.SysUpdate(k, value, 0)
			}
			run := func(name string, op func(i int)) {
				b.Run(fmt.Sprintf("%s/key%d/%s", typ, size, name), func(b *testing.B) {
					b.ReportAllocs()
					h.Epochs.Enter(h.Readers[0])
					for i := range b.N {
						if i&255 == 0 { // a run has an end
							h.Epochs.Leave(h.Readers[0])
							h.Epochs.Enter(h.Readers[0])
						}
						op(i & 1023)
					}
					h.Epochs.Leave(h.Readers[0])
				})
			}
			run("hit", func(i int) {
				if m.Lookup(0, in[i]) == 0 {
					b.Fatal("miss")
				}
			})
			run("miss", func(i int) { m.Lookup(0, out[i]) })
			run("update", func(i int) { m.Update(0, in[i], value[:16], 0) })
			run("delete+insert", func(i int) {
				m.Delete(0, in[i])
				m.Update(0, in[i], value[:16], 0)
			})
		}
	}
}

func BenchmarkLPM(b *testing.B) {
	h := hashHost(b, 1)
	m := hashMap(b, h, hashSpec(ebpf.LPMTrie, 8, 8, 1024))
	var keys [][]byte
	value := u64(1)
	for i := range 1024 {
		keys = append(keys, v4(24, 10, byte(i>>2), byte(i<<6), 0))
		m.SysUpdate(keys[i], value, 0)
	}
	for name, op := range map[string]func(i int){
		"hit":    func(i int) { m.Lookup(0, keys[i]) },
		"update": func(i int) { m.Update(0, keys[i], value, 0) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				op(i & 1023)
			}
		})
	}
}
