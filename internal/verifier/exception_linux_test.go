package verifier

import "testing"

func TestExceptionsOnLinux(t *testing.T) {
	needKernel618(t)
	for _, c := range exceptionCases() {
		t.Run(c.name, func(t *testing.T) {
			if got, log := loadOnLinux(t, c.program(t), nil, 4); got != c.want {
				t.Errorf("Linux says %s\nwant       %s\n%s", got, c.want, log)
			}
		})
	}
}
