package verifier

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// deadCallback is followed by the number of an instruction, which Linux says of the program as it
// has changed it.
const deadCallback = "EFAULT: verifier bug: No program to jit"

func TestObjectsOnLinux(t *testing.T) {
	needKernel618(t)
	fds := kernelMaps(t, objectMaps())
	for _, c := range objectCases() {
		t.Run(c.name, func(t *testing.T) {
			p := c.program(t)
			got, log := loadOnLinux(t, p, fds, 4)
			const endless = "EINVAL: infinite loop"
			if strings.HasPrefix(c.want, endless) && strings.Contains(log, c.want[len("EINVAL: "):]) {
				got = c.want // the states follow
			}
			if strings.HasPrefix(got, deadCallback) && strings.HasPrefix(c.want, deadCallback) {
				got = c.want
			}
			insns := 0
			_, _ = fmt.Sscanf(statsLine.FindString(log), "processed %d insns", &insns)
			if os.Getenv("OBJECT_CASES") != "" {
				fmt.Printf("CASE\t%s\t%s\t%d\n", c.name, got, insns)
			}
			if got != c.want || got == "ok" && insns != c.insns {
				_, log := loadOnLinux(t, p, fds, 2)
				t.Errorf("Linux says %s (%d instructions)\nwant       %s (%d)\n%s", got, insns, c.want, c.insns, log)
			}
		})
	}
}
