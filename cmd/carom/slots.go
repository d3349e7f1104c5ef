package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/carom-bpf/carom/kernel"
	"github.com/cilium/ebpf"
	"github.com/spf13/cobra"
)

const slotsLong = `Show the program arrays of the running kernel: what every slot holds, when that was loaded,
which programs use the array and where they are attached, and which processes and pins hold it:
Linux empties an array when the last of those goes. Without a flag, all arrays are shown.

Names are what the kernel keeps of them, 15 bytes. It needs root.`

// slotsFlags choose arrays.
type slotsFlags struct {
	ids   []uint
	names []string
	pins  []string
	json  bool
}

func newSlots() *cobra.Command {
	f := &slotsFlags{}
	cmd := &cobra.Command{
		Use:   "slots",
		Short: "Show and change the program arrays of the running kernel",
		Long:  slotsLong,
		Example: `  carom slots --name prog_array
  carom slots set prog_array[1]=xdp_dispatch.o:port22_prog
  carom slots clear id:12[1]`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%q is none of set, clear and replace-all; use --name %s to see one array", args[0], args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return showSlots(f, cmd.OutOrStdout()) },
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.UintSliceVar(&f.ids, "id", nil, "the array with this `ID`; may be repeated")
	fl.StringArrayVar(&f.names, "name", nil, "arrays with this `NAME`; may be repeated")
	fl.StringArrayVar(&f.pins, "pin", nil, "the array that is pinned at `PATH`; may be repeated")
	fl.BoolVar(&f.json, "json", false, "print JSON lines, one for each array")
	cmd.AddCommand(newSlotsSet(), newSlotsClear(), newSlotsReplace())
	return cmd
}

// openArrays opens what the flags choose.
func (f *slotsFlags) openArrays() ([]*kernel.Array, error) {
	if len(f.ids)+len(f.names)+len(f.pins) == 0 {
		return openNamed("")
	}
	var all []*kernel.Array
	for _, id := range f.ids {
		a, err := openByID(strconv.FormatUint(uint64(id), 10))
		if err != nil {
			return all, err
		}
		all = append(all, a)
	}
	for _, name := range f.names {
		named, err := openNamed(name)
		if err == nil && len(named) == 0 {
			err = noArray(name)
		}
		all = append(all, named...)
		if err != nil {
			return all, err
		}
	}
	for _, path := range f.pins {
		a, err := kernel.OpenPinnedArray(path)
		if err != nil {
			return all, err
		}
		all = append(all, a)
	}
	return all, nil
}

func openByID(text string) (*kernel.Array, error) {
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return nil, usagef("the id %q is not a number of 32 bits", text)
	}
	return kernel.OpenArray(ebpf.MapID(id))
}

// openNamed opens all arrays of a name, of any name when it is empty.
func openNamed(name string) ([]*kernel.Array, error) {
	ids, err := kernel.ArrayIDs()
	if err != nil {
		return nil, err
	}
	var all []*kernel.Array
	for _, id := range ids {
		a, err := kernel.OpenArray(id)
		if err != nil {
			continue // it went meanwhile
		}
		if name != "" && a.Name() != name[:min(len(name), 15)] {
			_ = a.Close()
			continue
		}
		all = append(all, a)
	}
	return all, nil
}

func noArray(name string) error {
	return fmt.Errorf("the kernel has no program array named %q; carom slots lists those there are", name)
}

func closeArrays(all []*kernel.Array) {
	for _, a := range all {
		_ = a.Close()
	}
}

func showSlots(f *slotsFlags, out io.Writer) error {
	if err := kernel.Available(); err != nil {
		return &unavailable{err}
	}
	arrays, err := f.openArrays()
	defer closeArrays(arrays)
	if err != nil {
		return err
	}
	programs, err := kernel.ListPrograms()
	if err != nil {
		return err
	}
	holders, err := kernel.ListHolders()
	if err != nil {
		return err
	}
	write := writeArray
	if f.json {
		write = writeArrayJSON
	} else if len(arrays) == 0 {
		_, err := fmt.Fprintln(out, "the kernel has no program arrays")
		return err
	}
	for _, a := range arrays {
		info, err := a.Info(programs)
		if err != nil {
			return err
		}
		if err := write(out, info, holders[info.ID]); err != nil {
			return err
		}
	}
	return nil
}

// writeArray prints one array as text.
func writeArray(out io.Writer, a *kernel.ArrayInfo, holders []kernel.Holder) error {
	owner := "no owner yet"
	if a.Owned {
		owner = "for " + a.Owner.String()
		if a.Jited {
			owner += ", jited"
		}
	}
	if a.Frozen {
		owner += ", frozen"
	}
	users := make([]string, len(a.Users))
	for i, p := range a.Users {
		users[i] = programName(p)
		for _, at := range p.Attached {
			users[i] += ", " + at
		}
	}
	if len(users) == 0 {
		users = []string{"no program"}
	}
	held := make([]string, len(holders))
	for i, h := range holders {
		held[i] = h.String()
	}
	if len(held) == 0 {
		held = []string{"no other process and no pin"}
	}
	_, err := fmt.Fprintf(out, "%s (id %d), %d of %s filled, %s\nused by %s\nheld by %s\n\n",
		a.Name, a.ID, len(a.Slots), plural(uint64(a.MaxEntries), "slot"), owner, strings.Join(users, "\n        "), strings.Join(held, ", "))
	t := &table{head: []string{">slot", "program", ">id", "tag", "loaded"}}
	for _, s := range a.Slots {
		t.add(number(uint64(s.Index)), s.Program.Name, number(uint64(s.Program.ID)), s.Program.Tag, loadedAt(s.Program))
	}
	return errors.Join(err, t.write(out))
}

func programName(p kernel.LiveProgram) string { return fmt.Sprintf("%s (id %d)", p.Name, p.ID) }

func loadedAt(p kernel.LiveProgram) string {
	if p.Loaded.IsZero() {
		return "unknown"
	}
	return p.Loaded.Format(time.DateTime)
}

// arrayLine is a program array for --json.
type arrayLine struct {
	Kind       string        `json:"kind"` // prog_array
	ID         uint32        `json:"id"`
	Name       string        `json:"name"`
	MaxEntries uint32        `json:"max_entries"`
	Owner      string        `json:"owner_prog_type,omitempty"`
	Jited      bool          `json:"owner_jited"`
	Frozen     bool          `json:"frozen"`
	Slots      []filledLine  `json:"slots"`
	Users      []programLine `json:"used_by"`
	Holders    []string      `json:"held_by"`
}

type filledLine struct {
	Index   uint32      `json:"index"`
	Program programLine `json:"program"`
}

type programLine struct {
	ID     uint32     `json:"id"`
	Name   string     `json:"name"`
	Type   string     `json:"type"`
	Tag    string     `json:"tag"`
	Loaded *time.Time `json:"loaded_at,omitempty"`
	// Attached is where links attach the program.
	Attached []string `json:"attached,omitempty"`
}

func newProgramLine(p kernel.LiveProgram) programLine {
	l := programLine{ID: uint32(p.ID), Name: p.Name, Type: p.Type.String(), Tag: p.Tag, Attached: p.Attached}
	if !p.Loaded.IsZero() {
		l.Loaded = &p.Loaded
	}
	return l
}

func writeArrayJSON(out io.Writer, a *kernel.ArrayInfo, holders []kernel.Holder) error {
	l := arrayLine{
		Kind: "prog_array", ID: uint32(a.ID), Name: a.Name, MaxEntries: a.MaxEntries, Jited: a.Jited, Frozen: a.Frozen,
		Slots: []filledLine{}, Users: []programLine{}, Holders: []string{},
	}
	if a.Owned {
		l.Owner = a.Owner.String()
	}
	for _, h := range holders {
		l.Holders = append(l.Holders, h.String())
	}
	for _, s := range a.Slots {
		l.Slots = append(l.Slots, filledLine{s.Index, newProgramLine(s.Program)})
	}
	for _, p := range a.Users {
		l.Users = append(l.Users, newProgramLine(p))
	}
	return writeJSON(out, l)
}
