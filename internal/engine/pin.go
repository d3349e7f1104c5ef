package engine

import "fmt"

// Pinner is a Collection that can leave its maps and programs behind as files.
type Pinner interface {
	// PinAll gives all maps and programs files in a directory, or none. Errors are *PinError.
	PinAll(dir string) error
	// UnpinAll removes what PinAll made.
	UnpinAll() error
}

// PinError says what could not be pinned, or unpinned, and why. What was pinned before it is
// unpinned again.
type PinError struct {
	Path string // of the file, or of the directory when Kind is empty
	Kind string // map, program or link; empty when the directory is at fault
	Name string // of the map or program
	Err  error
}

func (e *PinError) Error() string {
	if e.Kind == "" {
		return fmt.Sprintf("pin in %s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("pin %s %s as %s: %v", e.Kind, e.Name, e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *PinError) Unwrap() error { return e.Err }
