package verifier

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestTypedPointersOnLinux(t *testing.T) {
	needKernel618(t)
	kernel := runningTypes(t)
	fds := kernelMaps(t, typedMaps())
	for _, c := range typedCases() {
		t.Run(c.name, func(t *testing.T) {
			d, got := besideLinux(t, c.program(t, kernel), fds)
			if os.Getenv("TYPED_CASES") != "" {
				fmt.Printf("CASE\t%s\t%s\n", c.name, got)
			}
			if c.ksym != "" && strings.HasPrefix(got, "ENOENT: ldimm64 failed to find the address") {
				t.Skip("this kernel has no addresses of variables (CONFIG_KALLSYMS_ALL)")
			}
			if want := offsets(t, c.want, kernel); got != want {
				t.Errorf("Linux says %s\nwant       %s", got, want)
			}
			if d != "" && logExceptions[c.name] == "" {
				t.Error(d)
			}
		})
	}
}
