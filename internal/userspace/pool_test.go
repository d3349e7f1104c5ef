package userspace

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/carom-bpf/carom/internal/vm"
)

func testPool(n int) *pool {
	var cpus []*vm.CPU
	for i := range n {
		cpus = append(cpus, &vm.CPU{ID: i})
	}
	return newPool(cpus)
}

func acquire(t *testing.T, p *pool) *vm.CPU {
	t.Helper()
	c, err := p.acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPoolLowestFirst(t *testing.T) {
	p := testPool(130) // more than two words of bits
	for want := range 130 {
		if c := acquire(t, p); c.ID != want {
			t.Fatalf("got virtual CPU %d, want %d", c.ID, want)
		}
	}
	for _, n := range []int{129, 64, 3} {
		p.release(p.cpus[n])
	}
	for _, want := range []int{3, 64, 129} {
		if c := acquire(t, p); c.ID != want {
			t.Fatalf("got virtual CPU %d, want %d", c.ID, want)
		}
	}
}

// TestPoolOrder hands virtual CPUs to waiters in the order in which they came, but one who waits
// for a certain one does not take another.
func TestPoolOrder(t *testing.T) {
	p := testPool(2)
	first, second := acquire(t, p), acquire(t, p)
	waiters := []*waiter{{want: 1}, {want: -1}, {want: -1}}
	for _, w := range waiters {
		w.got = make(chan *vm.CPU, 1)
	}
	p.waiters = append(p.waiters, waiters...)
	p.release(first)
	p.release(second)
	if c := <-waiters[1].got; c != first {
		t.Errorf("the first who takes any got %d, want 0", c.ID)
	}
	if c := <-waiters[0].got; c != second {
		t.Errorf("who waits for 1 got %d", c.ID)
	}
	p.release(first)
	if c := <-waiters[2].got; c != first {
		t.Errorf("the last got %d, want 0", c.ID)
	}
}

// TestPoolCancel gives up waiting while virtual CPUs are handed over; none may get lost.
func TestPoolCancel(t *testing.T) {
	p := testPool(2)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				ctx, cancel := context.WithCancel(context.Background())
				go cancel()
				c, err := p.acquire(ctx)
				if err == nil {
					p.release(c)
				} else if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for want := range 2 {
		if c := acquire(t, p); c.ID != want {
			t.Errorf("got virtual CPU %d, want %d", c.ID, want)
		}
	}
	if len(p.waiters) != 0 {
		t.Errorf("%d waiters are left", len(p.waiters))
	}
}

func TestPoolClose(t *testing.T) {
	p := testPool(1)
	c := acquire(t, p)
	got := make(chan error)
	go func() {
		_, err := p.acquire(context.Background())
		got <- err
	}()
	p.close()
	if err := <-got; !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want os.ErrClosed", err)
	}
	p.release(c)
	if _, err := p.acquire(context.Background()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want os.ErrClosed", err)
	}
}
