// Command carom runs eBPF programs that chain each other with tail calls, in user space, and
// shows what happened at every hop.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/carom-bpf/carom"
	"github.com/cilium/ebpf"
	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1 // a file, an object or a run went wrong
	exitUsage       = 2 // the command line is wrong
	exitRejected    = 3 // the verifier rejected a program
	exitUnsupported = 4 // not supported on this system
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with everything it needs. It returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(errOut, "carom:", oneLine(err.Error()))
	return exitCode(err)
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func exitCode(err error) int {
	var usage usageError
	var kernelRejected *ebpf.VerifierError
	var rejected *carom.VerifierError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &kernelRejected), errors.As(err, &rejected), errors.Is(err, errRejected):
		return exitRejected
	case errors.Is(err, carom.ErrUnsupported):
		return exitUnsupported
	}
	return exitFailed
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "carom",
		Short: "Run eBPF programs that chain each other with tail calls",
		Long: "carom runs unmodified eBPF objects whose programs tail-call each other in user space,\n" +
			"without root, kernel or clang, and shows what happened at every hop.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("command %q is not known; see carom --help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see %s --help", err, cmd.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newRun(), newVerify(), newSlots(), newAttach(), newDisasm(), newBench(), newVersion())
	return root
}

// oneObject checks that a command got one object file.
func oneObject(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return usagef("no object file; give the .o file that clang -target bpf -c wrote: %s OBJ", cmd.CommandPath())
	case 1:
		return nil
	}
	return usagef("one object file is expected, %q is one more; see %s --help", args[1], cmd.CommandPath())
}
