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
which programs use the array and where they are attached, which attached programs reach it over
the slots of other arrays, and which processes and pins hold it: Linux empties an array when the
last of those goes. Without a flag, all arrays are shown.

Attachments are found by their links, and without links in the network namespaces, cgroups and
processes that carom may see: XDP and tc filters, cgroups, perf events of probes and tracepoints.

Names are what the kernel keeps of them, 15 bytes. --name leaves out arrays that no program uses
and nobody holds, unless there are no others. It needs root.`

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
func (f *slotsFlags) openArrays(live *kernel.Live) ([]*kernel.Array, error) {
	if len(f.ids)+len(f.names)+len(f.pins) == 0 {
		return live.All()
	}
	var all []*kernel.Array
	for _, id := range f.ids {
		a, err := openByID(live, strconv.FormatUint(uint64(id), 10))
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	for _, name := range f.names {
		named, err := live.Named(name)
		if err == nil && len(named) == 0 {
			err = noArray(name)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, named...)
	}
	for _, path := range f.pins {
		a, err := live.OpenPinned(path)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func openByID(live *kernel.Live, text string) (*kernel.Array, error) {
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return nil, usagef("the id %q is not a number of 32 bits", text)
	}
	return live.Open(ebpf.MapID(id))
}

func noArray(name string) error {
	return fmt.Errorf("the kernel has no program array named %q; carom slots lists those there are", name)
}

// look reads the state of the kernel.
func look() (*kernel.Live, error) {
	if err := kernel.Available(); err != nil {
		return nil, &unavailable{err}
	}
	return kernel.Look()
}

func showSlots(f *slotsFlags, out io.Writer) (err error) {
	live, err := look()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, live.Close()) }()
	arrays, err := f.openArrays(live)
	if err != nil {
		return err
	}
	chosen := len(f.ids)+len(f.names)+len(f.pins) > 0
	var idle []string
	shown := 0
	for _, a := range arrays {
		info, err := live.Info(a)
		switch {
		case err != nil:
			return err
		case f.json:
			err = writeArrayJSON(out, info)
		case !chosen && len(info.Users)+len(info.Holders)+len(info.Slots) == 0:
			idle = append(idle, fmt.Sprintf("%s (id %d)", info.Name, info.ID))
		default:
			if shown++; shown > 1 {
				_, err = fmt.Fprintln(out)
			}
			err = errors.Join(err, writeArray(out, info))
		}
		if err != nil {
			return err
		}
	}
	if f.json {
		return nil
	}
	return writeIdle(out, idle, shown)
}

// writeIdle prints the arrays that are left of chains that are gone.
func writeIdle(out io.Writer, idle []string, shown int) error {
	if len(idle) == 0 {
		if shown == 0 {
			_, err := fmt.Fprintln(out, "the kernel has no program arrays")
			return err
		}
		return nil
	}
	const most = 5
	names := strings.Join(idle[:min(len(idle), most)], ", ")
	if len(idle) > most {
		names += ", …"
	}
	if shown > 0 {
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "%s that no program uses and nobody holds: %s\n", plural(uint64(len(idle)), "empty array"), names)
	return err
}

// writeArray prints one array as text.
func writeArray(out io.Writer, a *kernel.ArrayInfo) error {
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
		users[i] = kernel.Path{Entry: p}.String()
	}
	if len(users) == 0 {
		users = []string{"no program"}
	}
	reached := ""
	for _, p := range a.Reached {
		if len(p.Via) > 0 { // others are among the users
			reached += "reached from " + p.String() + "\n"
		}
	}
	held := make([]string, len(a.Holders))
	for i, h := range a.Holders {
		held[i] = h.String()
	}
	if len(held) == 0 {
		held = []string{"no other process and no pin"}
	}
	_, err := fmt.Fprintf(out, "%s (id %d), %d of %s filled, %s\nused by %s\n%sheld by %s\n",
		a.Name, a.ID, len(a.Slots), plural(uint64(a.MaxEntries), "slot"), owner, strings.Join(users, "\n        "), reached, strings.Join(held, ", "))
	if len(a.Slots) == 0 {
		return err
	}
	_, blank := fmt.Fprintln(out)
	t := &table{head: []string{">slot", "program", ">id", "tag", "loaded"}}
	for _, s := range a.Slots {
		t.add(number(uint64(s.Index)), s.Program.Name, number(uint64(s.Program.ID)), s.Program.Tag, loadedAt(s.Program))
	}
	return errors.Join(err, blank, t.write(out))
}

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
	Reached    []pathLine    `json:"reached_from"`
	Holders    []string      `json:"held_by"`
}

// pathLine is how an attached program gets to an array.
type pathLine struct {
	Entry programLine `json:"entry"`
	Via   []hopLine   `json:"via"` // slots in the order of the calls
}

type hopLine struct {
	ID    uint32 `json:"id"`
	Name  string `json:"name"`
	Index uint32 `json:"index"`
}

type placeLine struct {
	Hook   string `json:"hook"`
	Target string `json:"target,omitempty"`
	Link   uint32 `json:"link,omitempty"`
	By     string `json:"by,omitempty"` // what attaches it when there is no link
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
	// Attached is where the program is attached.
	Attached []placeLine `json:"attached,omitempty"`
}

func newProgramLine(p kernel.LiveProgram) programLine {
	l := programLine{ID: uint32(p.ID), Name: p.Name, Type: p.Type.String(), Tag: p.Tag}
	for _, at := range p.Attached {
		l.Attached = append(l.Attached, placeLine{at.Hook, at.Target, uint32(at.Link), at.By})
	}
	if !p.Loaded.IsZero() {
		l.Loaded = &p.Loaded
	}
	return l
}

func writeArrayJSON(out io.Writer, a *kernel.ArrayInfo) error {
	l := arrayLine{
		Kind: "prog_array", ID: uint32(a.ID), Name: a.Name, MaxEntries: a.MaxEntries, Jited: a.Jited, Frozen: a.Frozen,
		Slots: []filledLine{}, Users: []programLine{}, Reached: []pathLine{}, Holders: []string{},
	}
	if a.Owned {
		l.Owner = a.Owner.String()
	}
	for _, h := range a.Holders {
		l.Holders = append(l.Holders, h.String())
	}
	for _, s := range a.Slots {
		l.Slots = append(l.Slots, filledLine{s.Index, newProgramLine(s.Program)})
	}
	for _, p := range a.Users {
		l.Users = append(l.Users, newProgramLine(p))
	}
	for _, p := range a.Reached {
		path := pathLine{newProgramLine(p.Entry), []hopLine{}}
		for _, h := range p.Via {
			path.Via = append(path.Via, hopLine{uint32(h.Array), h.Name, h.Index})
		}
		l.Reached = append(l.Reached, path)
	}
	return writeJSON(out, l)
}
