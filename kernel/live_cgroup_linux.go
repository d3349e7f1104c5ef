package kernel

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// cgroupHooks are the attach types of programs of cgroups.
var cgroupHooks = map[ebpf.ProgramType][]ebpf.AttachType{
	ebpf.CGroupSKB: {ebpf.AttachCGroupInetIngress, ebpf.AttachCGroupInetEgress},
	ebpf.CGroupSock: {
		ebpf.AttachCGroupInetSockCreate, ebpf.AttachCGroupInet4PostBind, ebpf.AttachCGroupInet6PostBind,
		ebpf.AttachCgroupInetSockRelease,
	},
	ebpf.CGroupSockAddr: {
		ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet6Bind, ebpf.AttachCGroupInet4Connect,
		ebpf.AttachCGroupInet6Connect, ebpf.AttachCgroupUnixConnect, ebpf.AttachCGroupUDP4Sendmsg,
		ebpf.AttachCGroupUDP6Sendmsg, ebpf.AttachCgroupUnixSendmsg, ebpf.AttachCGroupUDP4Recvmsg,
		ebpf.AttachCGroupUDP6Recvmsg, ebpf.AttachCgroupUnixRecvmsg, ebpf.AttachCgroupInet4GetPeername,
		ebpf.AttachCgroupInet6GetPeername, ebpf.AttachCgroupUnixGetpeername, ebpf.AttachCgroupInet4GetSockname,
		ebpf.AttachCgroupInet6GetSockname, ebpf.AttachCgroupUnixGetsockname,
	},
	ebpf.SockOps:       {ebpf.AttachCGroupSockOps},
	ebpf.CGroupDevice:  {ebpf.AttachCGroupDevice},
	ebpf.CGroupSysctl:  {ebpf.AttachCGroupSysctl},
	ebpf.CGroupSockopt: {ebpf.AttachCGroupGetsockopt, ebpf.AttachCGroupSetsockopt},
	ebpf.LSM:           {ebpf.AttachLSMCgroup},
}

func cgroupKey(cgroup uint64, at ebpf.AttachType, program ebpf.ProgramID) string {
	return fmt.Sprint("cgroup ", cgroup, at, program)
}

// lookAtCgroups asks all cgroups below the mounts of cgroup v2 for their own programs; those that
// they get from above are not repeated.
func (p *places) lookAtCgroups() {
	var hooks []ebpf.AttachType
	for t, list := range cgroupHooks {
		if p.types[t] {
			hooks = append(hooks, list...)
		}
	}
	if len(hooks) == 0 {
		return
	}
	slices.Sort(hooks)
	_ = eachMount("cgroup2", func(_, mount string) {
		_ = filepath.WalkDir(mount, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil
			}
			info, err := d.Info()
			if err != nil {
				return nil // it went meanwhile
			}
			// The number of the directory is the id of the cgroup (kernfs).
			s, ok := info.Sys().(*syscall.Stat_t)
			if !ok || p.cgroups[s.Ino] != "" {
				return nil
			}
			p.cgroups[s.Ino] = path
			p.lookAtCgroup(path, s.Ino, hooks)
			return nil
		})
	})
}

func (p *places) lookAtCgroup(path string, id uint64, hooks []ebpf.AttachType) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	for _, at := range hooks {
		p.query(fd, at, Place{Hook: at.String(), Target: path}, func(program ebpf.ProgramID) string {
			return cgroupKey(id, at, program)
		})
	}
}
