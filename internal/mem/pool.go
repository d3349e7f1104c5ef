package mem

import "sync"

// Pool hands out small zeroed pieces of internal memory that live as long as the pool.
type Pool struct {
	space *Space
	name  string

	mu      sync.Mutex
	regions []*Region
	next    uint64
	end     uint64
}

// NewPool returns an empty pool; it commits memory with the first Alloc.
func NewPool(s *Space, name string) *Pool { return &Pool{space: s, name: name} }

// Alloc returns the address of n zeroed bytes, aligned to 64.
func (p *Pool) Alloc(n uint64) (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = (n + 63) &^ 63
	if p.end-p.next < n {
		r, err := p.space.Alloc(Layout{Name: p.name, Size: max(n, ChunkSize)})
		if err != nil {
			return 0, err
		}
		p.regions = append(p.regions, r)
		p.next, p.end = r.Base, r.Base+r.Layout.Size
	}
	addr := p.next
	p.next += n
	return addr, nil
}

// Free releases everything.
func (p *Pool) Free() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.regions {
		r.Free()
	}
	p.regions, p.next, p.end = nil, 0, 0
}
