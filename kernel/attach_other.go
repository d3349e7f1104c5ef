//go:build !linux

package kernel

import "github.com/carom-bpf/carom"

func attachXDP(*carom.Program, string, XDPMode) (attached, error)       { return nil, available() }
func attachTC(*carom.Program, string, Direction) (attached, error)      { return nil, available() }
func attachCgroup(*carom.Program, string) (attached, error)             { return nil, available() }
func attachUprobe(*carom.Program, Probe, moment) (attached, error)      { return nil, available() }
func attachKprobe(*carom.Program, string, moment) (attached, error)     { return nil, available() }
func attachTracepoint(*carom.Program, string, string) (attached, error) { return nil, available() }
func attachRawTracepoint(*carom.Program, string) (attached, error)      { return nil, available() }
