package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// What the kernel's verifier rejects has an exit code of its own, and a refused slot says why.
func TestRejectedByKernel(t *testing.T) {
	needKernel(t)
	packets := examples + "static-call/traffic.pcap"
	for _, tt := range []struct {
		object string
		args   []string
		code   int
		want   string
	}{
		{"held_lock.o", []string{"--prog", "entry"}, exitRejected, "program entry"},
		{"values_other_type.o", []string{"--prog", "entry"}, exitFailed, "program type is "},
	} {
		args := append([]string{"run", filepath.Join(testdata, tt.object), "--pcap", packets, "--engine", "kernel"}, tt.args...)
		code, _, errOut := cli(t, "", args...)
		if code != tt.code || !strings.Contains(errOut, tt.want) {
			t.Errorf("carom %s: exit %d, %s; want %d and %q", strings.Join(args, " "), code, errOut, tt.code, tt.want)
		}
	}
}
