package stress

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

// deleteThenPut empties what it replaces first.
type deleteThenPut struct{ puts }

func (u deleteThenPut) delete(m string, key uint32) error {
	err := u.coll.Maps[m].Delete(key)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}

func (u deleteThenPut) hash(m string, key, n uint32) error {
	return errors.Join(u.delete(m, key), u.puts.hash(m, key, n))
}

func (u deleteThenPut) slot(slot, generation int) error {
	return errors.Join(u.delete("slots", uint32(slot)), u.puts.slot(slot, generation))
}

// inPlace writes values bit by bit where readers look at them.
type inPlace struct{ puts }

func (u inPlace) run(prog string) error {
	return u.coll.Programs[prog].RunInput(context.Background(), &carom.Input{Data: make([]byte, 64)}, &carom.Result{})
}

func (u inPlace) array(uint32, uint32) error              { return u.run("tear_array") }
func (u inPlace) hash(m string, _ uint32, _ uint32) error { return u.run("reuse_" + m) }

// late says that a replacement is done before it is.
type late struct {
	puts
	last [slots]int
}

func (u *late) slot(slot, generation int) error {
	previous := u.last[slot]
	u.last[slot] = generation
	return u.puts.slot(slot, previous)
}

// TestDetects makes sure that the harness sees what it is there for, with updates that are wrong
// on purpose.
func TestDetects(t *testing.T) {
	for _, c := range []struct {
		name   string
		broken func(*carom.Collection) updater
		seen   func(*harness) bool
	}{
		{"delete then put", func(c *carom.Collection) updater { return deleteThenPut{puts{c}} }, func(h *harness) bool {
			return h.by["entry"].empty.Load() > 0 && h.by["read_hash"].empty.Load() > 0 && h.by["read_lru"].empty.Load() > 0
		}},
		{"torn write, memory reused", func(c *carom.Collection) updater { return inPlace{puts{c}} }, func(h *harness) bool {
			return h.by["read_array"].torn.Load() > 0 && h.by["read_hash"].torn.Load() > 0 && h.by["read_lru"].torn.Load() > 0
		}},
		{"late replacement", func(c *carom.Collection) updater { return &late{puts: puts{c}} }, func(h *harness) bool {
			return h.by["entry"].stale.Load() > 0
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := stress(t, 30*time.Second, c.broken, c.seen)
			if !c.seen(h) {
				t.Errorf("not detected: %s", h.report())
			}
		})
	}
}
