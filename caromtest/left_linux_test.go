package caromtest

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestNothingIsLeft counts goroutines and file descriptors of BPF objects and trace instances.
func TestNothingIsLeft(t *testing.T) {
	c := counting()
	c.Steps = []Step{{Want: &Want{Return: 5, Trace: []string{"-3"}}}}
	refused := counting()
	refused.Name, refused.Refused = "refused", &Refusal{Errno: EINVAL}
	refused.Maps["table"].ValueSize = 8
	Run(t, c, refused) // what is made once stays
	files, goroutines := objects(t), runtime.NumGoroutine()
	Run(t, c, refused)
	// A goroutine that has been told to end may still be on its way.
	for range 100 {
		if runtime.NumGoroutine() <= goroutines {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, were %d", n, goroutines)
	}
	if now := objects(t); now != files {
		t.Errorf("%d BPF and trace files are open, were %d", now, files)
	}
}

func objects(t *testing.T) int {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range links {
		to, _ := os.Readlink(l)
		if strings.Contains(to, "bpf") || strings.Contains(to, "trac") {
			n++
		}
	}
	return n
}
