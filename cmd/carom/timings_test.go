package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestTimings(t *testing.T) {
	args := []string{"run", dispatch, "--pcap", traffic, "--timings"}
	line := regexp.MustCompile(`(?m)^read \S+s, load \S+s, verify \S+s, compile \S+s, first run \S+s$`)
	if out := ok(t, args...); !line.MatchString(out) {
		t.Errorf("no timings in\n%s", out)
	}
	lines := strings.Split(strings.TrimSpace(ok(t, append(args, "--json")...)), "\n")
	var s summary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil {
		t.Fatal(err)
	}
	x := s.Timings
	if x == nil || x.Read <= 0 || x.Load <= 0 || x.Verify <= 0 || x.Run <= 0 || x.Verdict == 0 {
		t.Errorf("timings %+v", x)
	}
	if out := ok(t, "run", dispatch, "--pcap", traffic, "--json"); strings.Contains(out, "timings") {
		t.Error("timings that nobody asked for")
	}
}

func TestCPUProfile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "cpu.prof")
	ok(t, "run", dispatch, "--pcap", traffic, "--cpuprofile", name)
	if st, err := os.Stat(name); err != nil || st.Size() == 0 {
		t.Errorf("%v, %v", st, err)
	}
	code, _, errOut := cli(t, "", "run", dispatch, "--pcap", traffic, "--cpuprofile", filepath.Join(name, "x"))
	if code != exitFailed || !strings.Contains(errOut, "--cpuprofile") {
		t.Errorf("exit %d: %s", code, errOut)
	}
}

// The command that is started is a shell script in the place of carom run.
func TestStartup(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("no shell")
	}
	dir := t.TempDir()
	self := filepath.Join(dir, "carom")
	script := `#!/bin/sh
echo '{"kind":"summary","timings":{"read_ns":1000,"load_ns":2000,"verify_ns":3000,"compile_ns":4000,"run_ns":5000,"verdict_unix_ns":9000000000000000000}}'
`
	if err := os.WriteFile(self, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	s := &startup{samples: map[string][]float64{}}
	if err := s.once(t.Context(), self, []string{"run", dispatch}); err != nil {
		t.Fatal(err)
	}
	for phase, want := range map[string]float64{"read": 1000, "load": 2000, "verify": 3000, "compile": 4000, "run": 5000} {
		if got := s.samples[phase]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, want %v", phase, got, want)
		}
	}
	// The sum of the phases is 15 µs; numbers of this size are whole multiples of about 1 µs.
	if d := s.samples["all"][0] - s.samples["start"][0]; d < 13000 || d > 17000 {
		t.Errorf("start %v, all %v", s.samples["start"], s.samples["all"])
	}
	args, cleanUp, err := startupArgs(dispatch, &benchFlags{size: 64, slots: []string{"prog_array[0]=port8080_prog"}})
	if err != nil {
		t.Fatal(err)
	}
	defer cleanUp()
	if text := strings.Join(args, " "); !strings.HasPrefix(text, "run "+dispatch+" --prog xdp_dispatch --timings --json --slot prog_array[0]=port8080_prog --data-in ") {
		t.Error(text)
	}
}
