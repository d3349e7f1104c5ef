package amd64

import "testing"

func TestDetect(t *testing.T) {
	answers := map[uint32]CPUID{
		0:           {7},
		1:           {0, 0, 1 << 22},
		7:           {0, 1<<3 | 1<<8},
		0x8000_0000: {0x8000_0004},
		0x8000_0001: {0, 0, 0, 1 << 27},
		0x8000_0007: {0, 0, 0, 1 << 8}, // beyond the last leaf
	}
	cpuid := func(leaf, _ uint32) CPUID { return answers[leaf] }
	if f := Detect(cpuid); f != BMI1|BMI2|MOVBE|RDTSCP || f.String() != "bmi1,bmi2,movbe,rdtscp" {
		t.Errorf("%s", f)
	}
	answers[0] = CPUID{6}
	answers[0x8000_0000] = CPUID{0x8000_0008}
	if f := Detect(cpuid); f != MOVBE|RDTSCP|InvariantTSC || !f.Has(MOVBE|RDTSCP) || f.Has(MOVBE|BMI1) {
		t.Errorf("%s", f)
	}
}
