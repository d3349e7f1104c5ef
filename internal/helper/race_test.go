//go:build race

package helper

// raceEnabled says that the race detector is on, which makes sync.Pool forget some of what it is
// given.
const raceEnabled = true
