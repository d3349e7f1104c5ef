// Command verifydiff gives programs to carom's verifier and to Linux's and compares verdicts, reasons
// and numbers.
//
//	go run ./internal/cmd/verifydiff -objects 'examples/*/*.o'
//	go run ./internal/cmd/verifydiff -random -count 100000 -seed 1 -out /tmp/differences
//
// With -random the programs are generated, and many of them break a rule. A program is named by its
// seed and number: -seed SEED -start NUMBER -count 1 -v makes it again.
//
// With -sound, programs that carom accepts run on the interpreter, which checks every access, with
// packets, contexts and map contents of all kinds; -count is how many are run.
//
//	go run ./internal/cmd/verifydiff -sound -contain -count 100000 -seed 1
//
// It needs root, but for -sound. The exit code is 1 when the verdicts differ.
package main

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/carom-bpf/carom/internal/verifier"
	"github.com/carom-bpf/carom/kernel"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// differ counts what was compared.
type differ struct {
	out     io.Writer
	verbose bool
	cpus    int
	kernel  *verifier.KernelTypes

	programs, accepted      int // by Linux
	verdicts, reasons       int // that agree
	unsupported             int
	unsafe                  int // accepted by carom, refused by Linux
	messages                map[string]*count
	kernelInsns, caromInsns int
	kernelTime, caromTime   time.Duration
	worst                   []ratio
}

// count is what was seen of one message of Linux.
type count struct{ seen, verdict, reason int }

// ratio is how the numbers of processed instructions compare.
type ratio struct {
	name          string
	kernel, carom int
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("verifydiff", flag.ContinueOnError)
	flags.SetOutput(stderr)
	objects := flags.String("objects", "", "pattern of object files, several divided by commas")
	verbose := flags.Bool("v", false, "print every program")
	r := &random{stdout: stdout}
	r.flags(flags)
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if r.sound {
		return r.soundRun(stderr)
	}
	if err := kernel.Available(); err != nil {
		fmt.Fprintln(stderr, "verifydiff:", err)
		return 2
	}
	if r.on {
		return r.run(stderr)
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		fmt.Fprintln(stderr, "verifydiff:", err)
		return 2
	}
	d := &differ{out: stdout, verbose: *verbose, cpus: cpus, kernel: verifier.NewKernelTypes(btf.LoadKernelSpec), messages: map[string]*count{}}
	for _, pattern := range strings.Split(*objects, ",") {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			fmt.Fprintln(stderr, "verifydiff:", err)
			return 2
		}
		for _, path := range paths {
			if err := d.object(path); err != nil {
				fmt.Fprintln(stderr, "verifydiff:", err)
			}
		}
	}
	d.summary()
	if d.verdicts+d.unsupported < d.programs {
		return 1
	}
	return 0
}

// compare counts one program and prints it where the sides differ.
func (d *differ) compare(name string, k, c answer) {
	d.programs++
	d.kernelTime += k.took
	d.caromTime += c.took
	if k.accepted {
		d.accepted++
	} else {
		m := d.messages[shape(k.reason)]
		if m == nil {
			m = &count{}
			d.messages[shape(k.reason)] = m
		}
		m.seen++
		if k.agrees(c) {
			m.verdict++
		}
		if k.sameReason(c) {
			m.reason++
		}
	}
	switch {
	case c.unsupported:
		d.unsupported++
	case k.agrees(c):
		d.verdicts++
	}
	if k.sameReason(c) {
		d.reasons++
	}
	if c.accepted && !k.accepted {
		d.unsafe++
	}
	if k.accepted && c.accepted {
		d.kernelInsns += k.insns
		d.caromInsns += c.insns
		if k.insns != c.insns {
			d.worst = append(d.worst, ratio{name, k.insns, c.insns})
		}
	}
	if d.verbose || !k.sameReason(c) {
		fmt.Fprintf(d.out, "%-50s kernel %v; carom %v\n", short(name, 50), k, c)
	}
}

// shape is a message without its numbers.
func shape(message string) string {
	var b strings.Builder
	digit := false
	for _, r := range message {
		if r >= '0' && r <= '9' {
			if !digit {
				b.WriteByte('#')
			}
			digit = true
			continue
		}
		digit = false
		b.WriteRune(r)
	}
	return b.String()
}

func (d *differ) summary() {
	fmt.Fprintf(d.out, "\n%d programs, %d accepted by Linux; verdicts agree: %d, not supported: %d, reasons agree: %d, accepted by carom only: %d\n",
		d.programs, d.accepted, d.verdicts, d.unsupported, d.reasons, d.unsafe)
	fmt.Fprintf(d.out, "instructions processed: Linux %d, carom %d; time: BPF_PROG_LOAD %v, carom %v\n",
		d.kernelInsns, d.caromInsns, d.kernelTime.Round(time.Millisecond), d.caromTime.Round(time.Millisecond))
	sort.Slice(d.worst, func(i, j int) bool { return d.worst[i].off() > d.worst[j].off() })
	for _, r := range d.worst[:min(10, len(d.worst))] {
		fmt.Fprintf(d.out, "  processed %-50s Linux %d, carom %d\n", short(r.name, 50), r.kernel, r.carom)
	}
	keys := slices.Collect(maps.Keys(d.messages))
	sort.Slice(keys, func(i, j int) bool { return d.messages[keys[i]].seen > d.messages[keys[j]].seen })
	for _, k := range keys {
		m := d.messages[k]
		fmt.Fprintf(d.out, "  %6d verdict %6d reason %6d  %s\n", m.seen, m.verdict, m.reason, k)
	}
}

// off is how far apart the numbers are.
func (r ratio) off() float64 {
	a, b := float64(r.kernel), float64(r.carom)
	return max(a/max(b, 1), b/max(a, 1))
}
