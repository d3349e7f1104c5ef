package verifier

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
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
	{regexp.MustCompile(`^\(\d+(,\d+)*\) (frame \d+ insn \d+ |live stack update done).*$`), ""},
	// Linux shows the address of a map.
	{regexp.MustCompile(`\(18\) r(\d+) = (0x[0-9a-f]+|(?:map|subprog)\[[^;]*?)\s*(;|$)`), "(18) r$1 = map $3"},
	{regexp.MustCompile(`\(18\) r(\d+) = (0x[0-9a-f]+|(?:map|subprog)\[[^;]*?)\s*$`), "(18) r$1 = map"},
}

// LogLines splits a log into lines that can be compared.
func LogLines(log string) []string {
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

// DiffLogs says where two logs differ first, empty if they do not.
func DiffLogs(ours, linux string) string {
	a, b := LogLines(ours), LogLines(linux)
	for i := 0; i < max(len(a), len(b)); i++ {
		x, y := "", ""
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf("line %d of %d\nours  %s\nlinux %s", i, len(b), x, y)
		}
	}
	return ""
}

// Reasons for which logs differ.
const (
	unnamedInner = "Linux does not keep the name of the map that stands for those in a map of maps"
	nullPrecise  = "carom follows null arguments back, as Linux 6.12.117 does and 6.18.44 does not"
)

// logExceptions are the cases whose logs differ, and why.
var logExceptions = map[string]string{
	"socket or NULL":                nullPrecise,
	"storage, no task":              nullPrecise,
	"kptr exchanged with NULL":      nullPrecise,
	"inner map":                     unnamedInner,
	"inner map of any size":         unnamedInner,
	"tail call, R2 an array":        "Linux does not end the line",
	"two storages":                  "carom checks maps before it looks for functions",
	"packet as memory":              nullPrecise,
	"packet as memory, too much":    nullPrecise,
	"null or memory: null, size 8":  nullPrecise,
	"null or memory: null, size 0":  nullPrecise,
	"null or memory: value or null": nullPrecise,
	"loop":                          nullPrecise,
	"loop, return value":            nullPrecise,
	"for each":                      nullPrecise,
	"for each, key written":         nullPrecise,
	"for each of a queue":           nullPrecise,
}

func TestLogsOfCallsOnLinux(t *testing.T) {
	needKernel618(t)
	fds := kernelMaps(t, callMaps())
	for _, c := range callCases() {
		t.Run(c.name, func(t *testing.T) {
			p := c.program(t)
			var ours bytes.Buffer
			_, err := Verify(p, &Options{Log: &ours})
			_, linux := loadOnLinux(t, p, fds, 2)
			diff := DiffLogs(ours.String(), linux)
			switch why := logExceptions[c.name]; {
			case diff != "" && why == "":
				t.Errorf("%v: %s", err, diff)
			case diff == "" && why != "":
				t.Errorf("the logs are the same: the exception is not needed (%s)", why)
			}
		})
	}
}
