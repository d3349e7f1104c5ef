package kernel

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// netns is a network namespace.
type netns struct {
	inode uint64
	path  string
	label string // empty for that of this process
}

// in names something in the namespace.
func (n netns) in(name string) string {
	if n.label == "" {
		return name
	}
	return name + " in " + n.label
}

// namespaces lists the network namespaces that have a mount (ip netns) or a thread that this
// process can see. That of the calling thread is first.
func namespaces() []netns {
	own := "/proc/thread-self/ns/net"
	all := []netns{{inode: nsInode(own), path: own}}
	seen := map[uint64]bool{all[0].inode: true}
	add := func(n netns) {
		if n.inode != 0 && !seen[n.inode] {
			seen[n.inode] = true
			all = append(all, n)
		}
	}
	for _, n := range mountedNamespaces() {
		add(n)
	}
	threads, _ := filepath.Glob("/proc/[0-9]*/task/[0-9]*/ns/net")
	for _, path := range threads {
		if inode := nsInode(path); !seen[inode] {
			pid := strings.Split(path, "/")[2]
			add(netns{inode, path, "netns of " + process(pid)})
		}
	}
	return all
}

// process names a process.
func process(pid string) string {
	comm, _ := os.ReadFile("/proc/" + pid + "/comm")
	return strings.TrimSpace(string(comm)) + " (pid " + pid + ")"
}

// nsInode reads a link such as net:[4026531840].
func nsInode(path string) uint64 {
	text, err := os.Readlink(path)
	if err != nil {
		return 0
	}
	return nsNumber(text)
}

func nsNumber(text string) uint64 {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "net:["), "]")
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

func mountedNamespaces() []netns {
	var all []netns
	_ = eachMount("nsfs", func(root, path string) {
		if strings.HasPrefix(root, "net:[") {
			all = append(all, netns{nsNumber(root), path, "netns " + filepath.Base(path)})
		}
	})
	return all
}

// eachMount calls f with the mounts of a type of file system, as /proc/self/mountinfo has them.
func eachMount(kind string, f func(root, path string)) error {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if len(fields) > 4 && strings.HasPrefix(after, kind+" ") {
			f(fields[3], strings.ReplaceAll(fields[4], `\040`, " "))
		}
	}
	return lines.Err()
}

// inEach calls f in each namespace that this process may enter, on a thread of its own.
func inEach(all []netns, f func(netns)) {
	// The paths of threads are good as long as those run: open them first.
	fds := make([]int, len(all))
	for i, n := range all {
		fd, err := unix.Open(n.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			fd = -1
		}
		fds[i] = fd
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread is not given back: it ends with this function, in whatever namespace it is.
		runtime.LockOSThread()
		for i, n := range all {
			if fds[i] < 0 {
				continue
			}
			if unix.Setns(fds[i], unix.CLONE_NEWNET) == nil || nsInode("/proc/thread-self/ns/net") == n.inode {
				f(n)
			}
			_ = unix.Close(fds[i])
		}
	}()
	<-done
}
