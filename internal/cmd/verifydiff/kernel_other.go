//go:build !linux

package main

import (
	"errors"

	"github.com/carom-bpf/carom/internal/gen"
	"github.com/carom-bpf/carom/internal/linux"
)

type judge struct{}

func newJudge() (*judge, error) { return nil, errors.New("there is no bpf(2) on this system") }

func (*judge) close() {}

func (*judge) ask(*gen.VerifyProg) answer { return answer{} }

func (*judge) lacks() linux.Feature { return 0 }
