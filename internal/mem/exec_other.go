//go:build !linux

package mem

func mapExec([]byte) (base, room uint64, err error) { return 0, 0, ErrNoExec }

func unmapExec(uint64, uint64) {}
