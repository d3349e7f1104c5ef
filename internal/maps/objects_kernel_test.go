//go:build linux

package maps

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

func TestLocalStorageMatchesLinux(t *testing.T) {
	open := map[ebpf.MapType]func() (int, error){
		ebpf.SkStorage:    func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0) },
		ebpf.TaskStorage:  func() (int, error) { return unix.PidfdOpen(os.Getpid(), 0) },
		ebpf.InodeStorage: func() (int, error) { return unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0) },
		ebpf.CgroupStorage: func() (int, error) {
			dir := t.TempDir()
			if err := unix.Mount("none", dir, "cgroup2", 0, ""); err != nil {
				return 0, err
			}
			defer unix.Unmount(dir, unix.MNT_DETACH)
			return unix.Open(dir, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		},
	}
	for _, typ := range localStorageTypes() {
		t.Run(typ.String(), func(t *testing.T) {
			fd, err := open[typ]()
			if err != nil {
				t.Skipf("no object: %v", err)
			}
			defer unix.Close(fd)
			liveScript(t, storageScript(typ, uint32(fd)))
		})
	}
}
