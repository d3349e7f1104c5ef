//go:build !linux

package kernel

import "github.com/cilium/ebpf"

// Array is an open PROG_ARRAY of the running kernel; there are none on this system.
type Array struct{}

// Programs are the programs of the running kernel at one time.
type Programs struct{}

// Live is what the running kernel has in PROG_ARRAYs and programs; there are none on this system.
type Live struct{}

// Look reports that the system has no PROG_ARRAYs.
func Look() (*Live, error) { return nil, available() }

// Close does nothing.
func (*Live) Close() error { return nil }

// Open reports that the system has no PROG_ARRAYs.
func (*Live) Open(ebpf.MapID) (*Array, error) { return nil, available() }

// OpenPinned reports that the system has no PROG_ARRAYs.
func (*Live) OpenPinned(string) (*Array, error) { return nil, available() }

// All reports that the system has no PROG_ARRAYs.
func (*Live) All() ([]*Array, error) { return nil, available() }

// Named reports that the system has no PROG_ARRAYs.
func (*Live) Named(string) ([]*Array, error) { return nil, available() }

// One reports that the system has no PROG_ARRAYs.
func (*Live) One(string) (*Array, error) { return nil, available() }

// Info reports that the system has no PROG_ARRAYs.
func (*Live) Info(*Array) (*ArrayInfo, error) { return nil, available() }

// ListPrograms reports that the system has no programs.
func ListPrograms() (*Programs, error) { return nil, available() }

// ListHolders reports that the system has no maps.
func ListHolders() (map[ebpf.MapID][]Holder, error) { return nil, available() }

// OpenArray reports that the system has no PROG_ARRAYs.
func OpenArray(ebpf.MapID) (*Array, error) { return nil, available() }

// OpenPinnedArray reports that the system has no PROG_ARRAYs.
func OpenPinnedArray(string) (*Array, error) { return nil, available() }

// Close does nothing.
func (*Array) Close() error { return nil }

// Name is empty.
func (*Array) Name() string { return "" }

// ID is 0.
func (*Array) ID() ebpf.MapID { return 0 }

// Pin reports that the system has no PROG_ARRAYs.
func (*Array) Pin(string) error { return available() }

// Info reports that the system has no PROG_ARRAYs.
func (*Array) Info(*Programs) (*ArrayInfo, error) { return nil, available() }

// Clear reports that the system has no PROG_ARRAYs.
func (*Array) Clear(uint32) error { return available() }

// SetID reports that the system has no PROG_ARRAYs.
func (*Array) SetID(uint32, ebpf.ProgramID) error { return available() }

// SetPinned reports that the system has no PROG_ARRAYs.
func (*Array) SetPinned(uint32, string) error { return available() }

// Set reports that the system has no PROG_ARRAYs.
func (*Array) Set(uint32, *ebpf.CollectionSpec, string, SetOptions) ([]string, error) {
	return nil, available()
}

// Holders reports that the system has no PROG_ARRAYs.
func (*Array) Holders() ([]Holder, error) { return nil, available() }

// ReplaceAll reports that the system has no PROG_ARRAYs.
func ReplaceAll(*ebpf.CollectionSpec, string, ReplaceOptions) (*Replacement, error) {
	return nil, available()
}
