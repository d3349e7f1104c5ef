// Package world is what a run may ask of its environment: time, randomness and the current
// task. Everything has a useful default, and everything can be fixed so that two runs give the
// same bytes.
package world

import (
	"time"
)

// ClockID selects one of the clocks that helpers read.
type ClockID uint8

// Clocks (include/uapi/linux/bpf.h: ktime_get_ns, ktime_get_boot_ns, ktime_get_tai_ns,
// ktime_get_coarse_ns).
const (
	Monotonic ClockID = iota
	Boot
	TAI
	Coarse
)

// Clock tells the time.
type Clock interface {
	// Now returns nanoseconds since the clock's origin.
	Now(ClockID) uint64
}

// ClockFunc makes a function a Clock.
type ClockFunc func(ClockID) uint64

// Now implements Clock.
func (f ClockFunc) Now(id ClockID) uint64 { return f(id) }

// Fixed is a clock that stands still.
type Fixed uint64

// Now implements Clock.
func (f Fixed) Now(ClockID) uint64 { return uint64(f) }

// RealClock counts nanoseconds since it was made, plus an offset; TAI is wall-clock time.
func RealClock() Clock {
	origin := time.Now()
	return ClockFunc(func(id ClockID) uint64 {
		if id == TAI {
			return uint64(time.Now().UnixNano()) + 37e9
		}
		return uint64(time.Since(origin))
	})
}

// Task is the task that a program finds itself in.
type Task struct {
	PID  uint32 // thread, the lower half of bpf_get_current_pid_tgid
	TGID uint32 // process, the upper half
	UID  uint32
	GID  uint32
	Comm string // up to 15 bytes
}

// World is the environment of a run. The zero value of each field means the default.
type World struct {
	Clock Clock  // default: RealClock
	Seed  uint64 // of bpf_get_prandom_u32; 0 draws a random seed
	Task  Task
	// CgroupID is what bpf_get_current_cgroup_id returns.
	CgroupID uint64
	// CgroupParents are the ids of the cgroups above it, in any order.
	CgroupParents []uint64
	NetnsID       uint64 // bpf_get_netns_cookie
	// UserStack and KernelStack are the addresses that bpf_get_stack and bpf_get_stackid find, the
	// innermost first. Without a UserStack, programs with registers get what their frame pointers
	// lead to.
	UserStack, KernelStack []uint64
}
