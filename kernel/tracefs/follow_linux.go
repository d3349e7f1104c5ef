package tracefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Follower reads a trace instance as a stream, with the kernel's stack at each call, which tells
// the program that printed. It must not be used concurrently.
type Follower struct {
	instance *Instance
	stream   stream
}

// Follow makes a trace instance that is read as a stream. It needs root.
func Follow() (*Follower, error) {
	i, err := Open()
	if err != nil {
		return nil, err
	}
	for _, o := range []struct{ file, value string }{
		{"options/stacktrace", "1"},
		{"options/sym-addr", "1"},
		// poll(2) reports the first event; by default it waits until the buffer is half full.
		{"buffer_percent", "0"},
	} {
		err := os.WriteFile(filepath.Join(i.dir, o.file), []byte(o.value), 0)
		// Without them lines come later or without a stack.
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("set up the trace instance: %w", err), i.Close())
		}
	}
	return &Follower{instance: i, stream: stream{stack: -1}}, nil
}

// maxRead limits what one call of Read takes, in bytes, so that it returns under any load.
const maxRead = 1 << 20

// Read waits at most so long for a line and returns what was printed. An empty batch says that
// nothing was.
func (f *Follower) Read(wait time.Duration) (Batch, error) {
	if f.stream.waited {
		wait = min(wait, 10*time.Millisecond)
	}
	fds := []unix.PollFd{{Fd: int32(f.instance.pipe), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, int(wait.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
		return Batch{}, fmt.Errorf("wait for trace_pipe: %w", err)
	}
	for read := 0; read < maxRead; {
		n, err := unix.Read(f.instance.pipe, f.instance.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) || err == nil && n == 0 {
			break
		}
		if err != nil {
			return Batch{}, fmt.Errorf("read trace_pipe: %w", err)
		}
		f.stream.feed(string(f.instance.buf[:n]))
		read += n
	}
	return f.stream.take(true), nil
}

// Close removes the instance.
func (f *Follower) Close() error { return f.instance.Close() }
