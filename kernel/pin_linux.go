package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
)

// pinSet is the files and directories that PinAll made, in this order.
type pinSet struct {
	mu   sync.Mutex
	dir  string // empty when nothing is pinned
	made []string
}

// pinName is the name of a file on bpffs, which has no names with dots (kernel/bpf/inode.c,
// bpf_lookup).
func pinName(name string) string { return strings.ReplaceAll(name, ".", "_") }

// pinning is one file to be made.
type pinning struct {
	kind, name, path string
	pin              func(path string) error
}

// PinAll implements engine.Pinner.
func (c *collection) PinAll(dir string) error {
	c.pins.mu.Lock()
	defer c.pins.mu.Unlock()
	if c.pins.dir != "" {
		return &engine.PinError{Path: dir, Err: &hintError{"it is pinned in " + c.pins.dir + " already, unpin it first", os.ErrExist}}
	}
	todo, err := c.pinnings(dir)
	if err != nil {
		return err
	}
	made, err := makePinDir(dir)
	if err != nil {
		return errors.Join(&engine.PinError{Path: dir, Err: err}, removePins(made))
	}
	for _, p := range todo {
		if err := p.pin(p.path); err != nil {
			err = &engine.PinError{Path: p.path, Kind: p.kind, Name: p.name, Err: pinReason(wrap(err))}
			return errors.Join(err, removePins(made))
		}
		made = append(made, p.path)
	}
	c.pins.dir, c.pins.made = dir, made
	c.setPinned(true)
	return nil
}

// UnpinAll implements engine.Pinner. What it cannot remove it tries again when it is called again.
func (c *collection) UnpinAll() error {
	c.pins.mu.Lock()
	defer c.pins.mu.Unlock()
	if err := removePins(c.pins.made); err != nil {
		return &engine.PinError{Path: c.pins.dir, Err: err}
	}
	c.pins.dir, c.pins.made = "", nil
	c.setPinned(false)
	return nil
}

// setPinned tells the handles.
func (c *collection) setPinned(yes bool) {
	for _, m := range c.maps {
		m.pinned.Store(yes)
	}
	for _, p := range c.programs {
		p.pinned.Store(yes)
	}
}

// pinnings lists what has to be pinned, after a look at what is there.
func (c *collection) pinnings(dir string) ([]pinning, error) {
	var todo []pinning
	for _, name := range c.MapNames() {
		todo = append(todo, pinning{"map", name, filepath.Join(dir, pinName(name)), c.maps[name].pinAnew})
	}
	for _, name := range c.ProgramNames() {
		todo = append(todo, pinning{"program", name, filepath.Join(dir, pinName(name)), c.programs[name].pinAnew})
	}
	taken := map[string]string{}
	for _, p := range todo {
		err := error(nil)
		if other, twice := taken[p.path]; twice {
			err = &hintError{"its name is that of " + other, os.ErrExist}
		} else if _, e := os.Lstat(p.path); e == nil {
			err = pinReason(os.ErrExist)
		}
		if err != nil {
			return nil, &engine.PinError{Path: p.path, Kind: p.kind, Name: p.name, Err: err}
		}
		taken[p.path] = p.kind + " " + p.name
	}
	return todo, nil
}

// pinAnew pins a duplicate: cilium/ebpf moves the pin of a handle that has one.
func (m *kmap) pinAnew(path string) error {
	dup, err := m.m.Clone()
	if err != nil {
		return err
	}
	return errors.Join(dup.Pin(path), dup.Close())
}

func (p *program) pinAnew(path string) error {
	dup, err := p.p.Clone()
	if err != nil {
		return err
	}
	return errors.Join(dup.Pin(path), dup.Close())
}

// pinReason puts a remedy in front of what went wrong.
func pinReason(err error) error {
	switch {
	case errors.Is(err, os.ErrExist):
		return &hintError{"a file of that name is there; remove it or choose another directory", err}
	case errors.Is(err, os.ErrPermission):
		return &hintError{"writing to bpffs is not permitted; bpffs belongs to root unless it was mounted otherwise", err}
	case errors.Is(err, os.ErrClosed), errors.Is(err, linux.EBADF):
		return &hintError{"it is closed", err}
	}
	return err
}

// makePinDir makes a directory on bpffs and those above it that are missing, and returns them.
func makePinDir(dir string) (made []string, err error) {
	if dir == "" {
		return nil, errors.New("no directory is named")
	}
	var missing []string
	at := filepath.Clean(dir)
	for {
		_, err := os.Lstat(at)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) || at == filepath.Dir(at) {
			return nil, err
		}
		missing, at = append(missing, at), filepath.Dir(at)
	}
	if err := onBPFFS(at); err != nil {
		return nil, err
	}
	for _, d := range slices.Backward(missing) {
		if err := os.Mkdir(d, 0o700); err != nil {
			return made, pinReason(wrap(err))
		}
		made = append(made, d)
	}
	return made, nil
}

// onBPFFS returns an error when a directory is on another file system.
func onBPFFS(dir string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return wrap(err)
	}
	if uint32(fs.Type) != unix.BPF_FS_MAGIC {
		return &hintError{"it is not on a bpf file system; mount one with mount -t bpf bpf /sys/fs/bpf and use a directory there",
			linux.EINVAL}
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return &hintError{dir + " is not a directory", unix.ENOTDIR}
	}
	return nil
}

// removePins removes files and directories from the last to the first. A file that is gone is no
// error, and a directory into which somebody else put something stays.
func removePins(made []string) error {
	var errs []error
	for _, path := range slices.Backward(made) {
		err := os.Remove(path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) {
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
