package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

// noTrace has a trace of a million lines; the kernel is asked for the reason alone.
const noTrace = "loop_too_long"

// maxLines is how many lines of a log are kept, the last ones.
const maxLines = 12

// reference says that the running kernel is of the version whose logs are recorded, and that it can
// be asked.
func reference() bool {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	return err == nil && strings.HasPrefix(string(release), "6.18.") && os.Geteuid() == 0
}

// logs asks the running kernel about every program, and records or compares its log.
func logs(dir string, check bool) error {
	if err := rlimit.RemoveMemlock(); err != nil {
		return err
	}
	for _, p := range programs {
		level := ebpf.LogLevelBranch
		if p.name == noTrace {
			level = ebpf.LogLevelStats
		}
		log, err := kernelLog(filepath.Join(dir, p.name+".o"), level)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		name := filepath.Join(dir, p.name+".log")
		if !check {
			if err := os.WriteFile(name, []byte(log), 0o644); err != nil {
				return err
			}
			continue
		}
		committed, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if string(committed) != log {
			return fmt.Errorf("%s: the running kernel now says\n%s", name, log)
		}
	}
	return nil
}

// Addresses of maps differ from run to run.
var address = regexp.MustCompile(`(\(18\) r\d+ = )0xffff[0-9a-f]{12} *`)

// statistics are the lines below a log.
var statistics = regexp.MustCompile(`^(processed |verification time |stack depth )`)

// kernelLog loads an object, which must be rejected, and returns the end of the log.
func kernelLog(object string, level ebpf.LogLevel) (string, error) {
	spec, err := ebpf.LoadCollectionSpec(object)
	if err != nil {
		return "", err
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogLevel: level}})
	if err == nil {
		coll.Close()
		return "", errors.New("the kernel accepts it")
	}
	var v *ebpf.VerifierError
	if !errors.As(err, &v) {
		return "", err
	}
	var out []string
	for _, l := range v.Log {
		if l = strings.TrimRight(l, " "); l != "" && !statistics.MatchString(l) {
			out = append(out, address.ReplaceAllString(l, "${1}0x… "))
		}
	}
	if len(out) > maxLines {
		out = append([]string{"…"}, out[len(out)-maxLines:]...)
	}
	return strings.Join(out, "\n") + "\n", nil
}
