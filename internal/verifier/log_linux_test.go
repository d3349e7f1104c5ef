package verifier_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/carom-bpf/carom/internal/userspace"
)

// The log of a program is compared with that of the running kernel line by line, without what
// depends on the machine and the moment.
var logNoise = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`^(verification time .*|stack depth .*)$`), ""},
	{regexp.MustCompile(` mark_read \d+$`), ""},
	// Stack slots whose liveness changed; the liveness of package liveness has tests of its own.
	{regexp.MustCompile(`^\(\d+(,\d+)*\) frame \d+ insn \d+ .*$`), ""},
	// Linux shows the address of a map.
	{regexp.MustCompile(`\(18\) r(\d+) = (0x[0-9a-f]+|map\[[^;]*?)\s*(;|$)`), "(18) r$1 = map $3"},
	{regexp.MustCompile(`\(18\) r(\d+) = (0x[0-9a-f]+|map\[[^;]*?)\s*$`), "(18) r$1 = map"},
}

// logLines splits a log into lines that can be compared.
func logLines(log string) []string {
	var out []string
	for _, l := range strings.Split(log, "\n") {
		for _, n := range logNoise {
			l = n.pattern.ReplaceAllString(l, n.with)
		}
		if l = strings.TrimRight(l, " "); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// linuxLogs loads the programs of an object one by one and returns their logs.
func linuxLogs(t *testing.T, path string) map[string]string {
	t.Helper()
	logs := map[string]string{}
	spec, err := ebpf.LoadCollectionSpec(path)
	if err != nil {
		t.Fatal(err)
	}
	for name := range spec.Programs {
		one := spec.Copy()
		for other := range one.Programs {
			if other != name {
				delete(one.Programs, other)
			}
		}
		for _, m := range one.Maps {
			m.Contents = slices.DeleteFunc(slices.Clone(m.Contents), func(kv ebpf.MapKV) bool {
				s, ok := kv.Value.(string)
				return ok && s != name
			})
		}
		coll, err := ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{
			Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelInstruction, LogSizeStart: 1 << 24},
		})
		var v *ebpf.VerifierError
		switch {
		case err == nil:
			logs[name] = coll.Programs[name].VerifierLog
			coll.Close()
		case errors.As(err, &v):
			logs[name] = strings.Join(v.Log, "\n")
		default:
			t.Logf("%s: %v", name, err)
		}
	}
	return logs
}

// logObjects are the objects whose logs are compared.
func logObjects(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"../../docs/rejections/*.o", "../../caromtest/testdata/tailcall*.o", "../../caromtest/testdata/bpf2bpf*.o", "../../examples/*/*.o"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found...)
	}
	// A million instructions make a log of 200 MB.
	return slices.DeleteFunc(out, func(s string) bool { return strings.Contains(s, "loop_too_long") })
}

func TestLogOnLinux(t *testing.T) {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	if !strings.HasPrefix(string(release), "6.18.") || os.Geteuid() != 0 {
		t.Skip("the reference is Linux 6.18, as root")
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Skip(err)
	}
	for _, path := range logObjects(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".o"), func(t *testing.T) { compareLogs(t, path) })
	}
}

// compareLogs compares the logs of all programs of an object.
func compareLogs(t *testing.T, path string) {
	spec, err := ebpf.LoadCollectionSpec(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, linux := range linuxLogs(t, path) {
		var log bytes.Buffer
		v, err := userspace.NewVerifier(spec, userspace.VerifyOptions{Log: &log})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = v.Verify(name) // the log has the verdict
		ours, theirs := logLines(log.String()), logLines(linux)
		for i := 0; i < max(len(ours), len(theirs)); i++ {
			a, b := "", ""
			if i < len(ours) {
				a = ours[i]
			}
			if i < len(theirs) {
				b = theirs[i]
			}
			if a != b {
				t.Errorf("%s, line %d of %d\nours  %s\nlinux %s", name, i, len(theirs), a, b)
				break
			}
		}
	}
}
