package verifier_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/carom-bpf/carom/internal/userspace"
	"github.com/carom-bpf/carom/internal/verifier"
)

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
		if diff := verifier.DiffLogs(log.String(), linux); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
