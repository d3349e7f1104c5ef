package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/carom-bpf/carom/kernel"
	"github.com/cilium/ebpf/link"
	"github.com/spf13/cobra"
)

const slotsReplaceLong = `Replace all programs of a chain in the running kernel at once. The new generation is loaded from an
object, with program arrays of its own, while the old one goes on working. Then the link of the
entry program is switched, so that every packet sees one generation from end to end. On an error
nothing has changed.

The link is the only one of a program with the name and the type of the entry, which uses one of the
object's arrays; when there are several they are listed, and --link ID chooses.

Slots that the object does not fill get its program with the name of the one that is there now.
Other maps than program arrays and global data go on where names, types and sizes agree; --fresh
MAP makes a new one. The new arrays are pinned in --pin-dir under their names.`

// replaceFlags are the flags of carom slots replace-all.
type replaceFlags struct {
	program, pinDir string
	link            uint32
	fresh           []string
}

func newSlotsReplace() *cobra.Command {
	f := &replaceFlags{}
	cmd := &cobra.Command{
		Use:     "replace-all OBJ --pin-dir DIR",
		Short:   "Replace a whole chain in one step",
		Long:    slotsReplaceLong,
		Example: "  carom slots replace-all xdp_dispatch.o --pin-dir /sys/fs/bpf/dispatch",
		Args:    oneObject,
		RunE: func(cmd *cobra.Command, args []string) error {
			return replaceAll(args[0], f, cmd.OutOrStdout())
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.pinDir, "pin-dir", "", "`DIR` on bpffs that keeps the new program arrays")
	fl.StringVar(&f.program, "prog", "", "entry `PROGRAM` (default: the one nobody tail-calls)")
	fl.Uint32Var(&f.link, "link", 0, "switch the link with this `ID` (default: that of the program named like the entry)")
	fl.StringArrayVar(&f.fresh, "fresh", nil, "a new `MAP` for the new programs; may be repeated")
	return cmd
}

func replaceAll(object string, f *replaceFlags, out io.Writer) error {
	if f.pinDir == "" {
		return usagef("--pin-dir is missing; without a pin Linux empties the new program arrays when carom ends")
	}
	spec, err := readObject(object)
	if err != nil {
		return err
	}
	entry, err := chooseEntry(spec, f.program, nil)
	if err != nil {
		return err
	}
	for _, m := range f.fresh {
		if _, err := findMap(spec, m, "--fresh "+m); err != nil {
			return err
		}
	}
	if err := kernel.Available(); err != nil {
		return &unavailable{err}
	}
	done, err := kernel.ReplaceAll(spec, entry, kernel.ReplaceOptions{Link: link.ID(f.link), PinDir: f.pinDir, Fresh: f.fresh})
	if errors.As(err, new(*kernel.AmbiguousLinkError)) {
		return usagef("%w\nfor example: carom slots replace-all %s --pin-dir %s --link ID", err, object, f.pinDir)
	}
	if err != nil {
		return loadError(err)
	}
	shared := ""
	if len(done.Shared) > 0 {
		shared = ", which goes on with " + strings.Join(done.Shared, ", ")
	}
	_, err = fmt.Fprintf(out, "%s is the entry of a new chain%s\npinned at %s\n", entry, shared, strings.Join(done.Pins, ", "))
	return err
}
