package userspace

import (
	"errors"
	"fmt"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier"
	"github.com/cilium/ebpf"
)

// VerifyMode says what a loader does with the verifier.
type VerifyMode int

// Modes of loading.
const (
	VerifyDefault VerifyMode = iota // a program that the verifier rejects is not loaded
	VerifySkip                      // the verifier is not asked
)

// ErrVerifySkipped is why programs are not verified that were loaded with VerifySkip.
var ErrVerifySkipped = errors.New("verification was skipped")

// newJudge prepares the verifier for the maps of the collection.
func (l *loader) newJudge() error {
	if l.opts.Verify == VerifySkip {
		return nil
	}
	v, err := newVerifier(l.spec, VerifyOptions{Helpers: l.opts.Helpers, CPUs: l.eo.CPUs}, l.kconfig, l.types)
	if err != nil {
		return err
	}
	for name := range l.eo.MapReplacements {
		if err := v.replaced(name, l.coll.maps[name]); err != nil {
			return err
		}
	}
	l.judge = v
	return nil
}

// replaced takes what is constant in a map from the map that is used instead of the spec's.
func (v *Verifier) replaced(name string, h *mapHandle) error {
	m := v.maps[name]
	if m == nil || h == nil || m.Flags&linux.MapReadOnlyProg == 0 {
		return nil
	}
	m.Frozen, m.Data = h.info().Frozen(), nil
	if !m.Frozen || m.Type != ebpf.Array || m.MaxEntries != 1 {
		return nil
	}
	m.Data = make([]byte, m.ValueSize)
	if err := h.Lookup(make([]byte, m.KeySize), m.Data, 0); err != nil {
		return fmt.Errorf("map %s: its constants: %w", name, err)
	}
	return nil
}

// verify verifies a program before anything runs. A program that needs rules which the verifier
// does not have is no error: the interpreter checks it while it runs. Who owns PROG_ARRAYs is
// checked when programs are bound to them.
func (l *loader) verify(name string) (*judgment, error) {
	if l.judge == nil {
		return &judgment{unverified: ErrVerifySkipped}, nil
	}
	p, err := l.judge.Program(name)
	if err != nil {
		return nil, err
	}
	verdict, err := l.judge.verify(p)
	var rejected *verifier.Error
	switch {
	case errors.As(err, &rejected) && rejected.Reason.Code == verifier.CodeUnsupported:
		return &judgment{unverified: rejected}, nil
	case err != nil:
		return nil, err
	}
	return &judgment{facts: verdict.Facts, maps: p.Maps}, nil
}
