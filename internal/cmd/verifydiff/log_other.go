//go:build !linux

package main

import "errors"

type kernelLog struct{}

func openLog() (*kernelLog, error) { return nil, errors.New("there is none on this system") }

func (*kernelLog) close() {}

func (*kernelLog) warnings() ([]string, error) { return nil, nil }
