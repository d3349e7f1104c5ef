//go:build !linux

package kernel

import "github.com/carom-bpf/carom"

func unheld(*carom.Collection) ([]UnheldArray, error) { return nil, available() }
