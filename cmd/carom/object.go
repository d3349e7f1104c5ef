package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carom-bpf/carom/internal/load"
	"github.com/cilium/ebpf"
)

// maxObject is the largest object file that is read, in bytes.
const maxObject = 256 << 20

// readObject reads and parses an object file.
func readObject(path string) (*ebpf.CollectionSpec, error) {
	spec, _, err := readObjectFile(path)
	return spec, err
}

// readObjectFile is readObject, with the bytes of the file.
func readObjectFile(path string) (*ebpf.CollectionSpec, []byte, error) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, nil, fileError(path, err, "give the .o file that clang -target bpf -c wrote")
	case st.IsDir():
		return nil, nil, fmt.Errorf("%s: it is a directory; give an object file in it", path)
	case st.Size() > maxObject:
		return nil, nil, fmt.Errorf("%s: it has %d bytes, objects may have %d; strip it", path, st.Size(), maxObject)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fileError(path, err, "check the file")
	}
	spec, err := load.Object(filepath.Base(path), data)
	return spec, data, err
}

// fileError names the file once and says what to do.
func fileError(path string, err error, remedy string) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("%s: %w; %s", path, err, remedy)
}

// names lists names for an error.
func names[V any](m map[string]V) string {
	if len(m) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

// findProgram returns the program of that name, or an error that lists those there are.
func findProgram(spec *ebpf.CollectionSpec, name string) (*ebpf.ProgramSpec, error) {
	if p := spec.Programs[name]; p != nil {
		return p, nil
	}
	return nil, usagef("the object has no program %q; it has %s", name, names(spec.Programs))
}
