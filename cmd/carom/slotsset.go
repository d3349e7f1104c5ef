package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/carom-bpf/carom/kernel"
	"github.com/cilium/ebpf"
	"github.com/spf13/cobra"
)

const slotsSetLong = `Put a program into a slot of a program array of the running kernel. A program that is there is
replaced in one step: packets see the old one or the new one, never an empty slot.

MAP is a name, id:N or pinned:PATH. A name means an array that a program uses or somebody holds
rather than one that is left over, and must mean one. The program is one of an object file, which is loaded, or
id:N or pinned:PATH. A program of an object uses the maps of the programs around the array where
names, types and sizes agree; global data is its own. --fresh MAP gives it a new map.

Linux empties an array when the last process that has it open ends, unless it is pinned.`

const slotsSetExample = `  carom slots set prog_array[1]=xdp_dispatch.o:port22_prog
  carom slots set id:12[0]=id:40
  carom slots set pinned:/sys/fs/bpf/calls[3]=pinned:/sys/fs/bpf/target
  carom slots set prog_array[1]=id:40 --pin /sys/fs/bpf/prog_array`

// setFlags are the flags of carom slots set.
type setFlags struct {
	pin   string
	fresh []string
}

func newSlotsSet() *cobra.Command {
	f := &setFlags{}
	cmd := &cobra.Command{
		Use:     "set MAP[INDEX]=PROGRAM",
		Short:   "Put a program into a slot",
		Long:    slotsSetLong,
		Example: slotsSetExample,
		Args:    oneArgument("MAP[INDEX]=PROGRAM, for example prog_array[1]=next.o:port22_prog"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return setSlot(args[0], f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&f.pin, "pin", "", "give the array a file on bpffs, `PATH`, that keeps its slots")
	cmd.Flags().StringArrayVar(&f.fresh, "fresh", nil, "a new `MAP` for the program of an object; may be repeated")
	return cmd
}

func newSlotsClear() *cobra.Command {
	return &cobra.Command{
		Use:     "clear MAP[INDEX]",
		Short:   "Empty a slot",
		Long:    "Empty a slot of a program array of the running kernel. MAP is a name, id:N or pinned:PATH.",
		Example: "  carom slots clear prog_array[1]\n  carom slots clear pinned:/sys/fs/bpf/calls[3]",
		Args:    oneArgument("MAP[INDEX], for example prog_array[1]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return clearSlot(args[0], cmd.OutOrStdout())
		},
	}
}

func oneArgument(form string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("%s takes one argument, %s", cmd.CommandPath(), form)
		}
		return nil
	}
}

// liveSlot is MAP[INDEX] of a command line.
type liveSlot struct {
	live  *kernel.Live
	array *kernel.Array
	index uint32
}

// String is how messages name the slot.
func (s *liveSlot) String() string {
	return fmt.Sprintf("%s[%d] (id %d)", s.array.Name(), s.index, s.array.ID())
}

// openSlot opens the array of MAP[INDEX].
func openSlot(text string) (*liveSlot, error) {
	text = strings.TrimSpace(text)
	bracket := strings.LastIndexByte(text, '[')
	if bracket < 1 || !strings.HasSuffix(text, "]") {
		return nil, usagef("%s: write the slot as MAP[INDEX], for example prog_array[1]", text)
	}
	name, key := text[:bracket], text[bracket+1:len(text)-1]
	index, err := strconv.ParseUint(key, 0, 32)
	if err != nil {
		return nil, usagef("%s: the index %q is not a number of 32 bits", text, key)
	}
	live, err := look()
	if err != nil {
		return nil, err
	}
	a, err := openArray(live, name)
	if err != nil {
		return nil, errors.Join(err, live.Close())
	}
	return &liveSlot{live, a, uint32(index)}, nil
}

// openArray opens a name, id:N or pinned:PATH.
func openArray(live *kernel.Live, text string) (*kernel.Array, error) {
	if id, ok := strings.CutPrefix(text, "id:"); ok {
		return openByID(live, id)
	}
	if path, ok := strings.CutPrefix(text, "pinned:"); ok {
		return live.OpenPinned(path)
	}
	a, err := live.One(text)
	if errors.As(err, new(*kernel.AmbiguousArrayError)) {
		return nil, usageError{err}
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, noArray(text)
	}
	return a, err
}

func setSlot(text string, f *setFlags, out, errOut io.Writer) error {
	// An index in brackets comes before the program; a path may have a '=', too.
	end := strings.Index(text, "]=")
	if end < 0 {
		return usagef("%s: write it as MAP[INDEX]=PROGRAM", text)
	}
	s, err := openSlot(text[:end+1])
	if err != nil {
		return err
	}
	defer s.live.Close()
	shared, err := putProgram(s, text[end+2:], f.fresh)
	if err != nil {
		return loadError(err)
	}
	if f.pin != "" {
		if err := s.array.Pin(f.pin); err != nil {
			return fmt.Errorf("--pin %s: %w; the slot is set, give a new path on a bpffs such as /sys/fs/bpf/%s", f.pin, err, s.array.Name())
		}
	}
	with := ""
	if len(shared) > 0 {
		with = ", which shares " + strings.Join(shared, ", ")
	}
	if _, err := fmt.Fprintf(out, "%s = %s%s\n", s, text[end+2:], with); err != nil {
		return err
	}
	return warnUnheld(s.array, errOut)
}

// putProgram stores OBJ:PROG, id:N or pinned:PATH.
func putProgram(s *liveSlot, program string, fresh []string) (shared []string, err error) {
	if id, ok := strings.CutPrefix(program, "id:"); ok {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, usagef("the id %q is not a number of 32 bits", id)
		}
		return nil, s.array.SetID(s.index, ebpf.ProgramID(n))
	}
	if path, ok := strings.CutPrefix(program, "pinned:"); ok {
		return nil, s.array.SetPinned(s.index, path)
	}
	colon := strings.LastIndexByte(program, ':')
	if colon < 1 {
		return nil, usagef("the program %q is neither OBJ:PROGRAM nor id:N nor pinned:PATH", program)
	}
	spec, err := readObject(program[:colon])
	if err != nil {
		return nil, err
	}
	name := program[colon+1:]
	if _, err := findProgram(spec, name); err != nil {
		return nil, err
	}
	for _, m := range fresh {
		if _, err := findMap(spec, m, "--fresh "+m); err != nil {
			return nil, err
		}
	}
	return s.array.Set(s.index, spec, name, kernel.SetOptions{Fresh: fresh})
}

// warnUnheld says when the slots will be gone with this process.
func warnUnheld(a *kernel.Array, errOut io.Writer) error {
	holders, err := a.Holders()
	if err != nil || len(holders) > 0 {
		return err
	}
	_, err = fmt.Fprintf(errOut, "carom: nobody else holds %s (id %d), so Linux empties it now; pin it with --pin /sys/fs/bpf/%s\n",
		a.Name(), a.ID(), a.Name())
	return err
}

func clearSlot(text string, out io.Writer) error {
	s, err := openSlot(text)
	if err != nil {
		return err
	}
	defer s.live.Close()
	if err := s.array.Clear(s.index); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is empty\n", s)
	return err
}
