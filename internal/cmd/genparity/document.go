package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carom-bpf/carom/caromtest"
	"github.com/carom-bpf/carom/caromtest/corpus"
	"github.com/carom-bpf/carom/kernel"
)

// column is one engine in the tables. A further engine is a further line.
type column struct {
	engine string // as in caromtest.Case.Skip
	title  string
	about  string
}

func columns() []column {
	return []column{
		{"interpreter", "interpreter", "carom's interpreter"},
		{caromtest.Verifier, "verifier", "carom's verifier, which accepts or rejects the programs before they run in user space"},
		{kernel.Name, "kernel", "Linux, through BPF_PROG_TEST_RUN, or by hitting a probe in a process made for it"},
		{caromtest.EdgeCounts, "counted", "cases with tail calls, run once more in Linux with counters in the programs, " +
			"whose values for each call site must be those of user space"},
	}
}

// section is a group with its counts.
type section struct {
	corpus.Group
	cases []caromtest.Case
	sum   caromtest.Summary
}

const intro = `# What is checked against what

<!-- Written by internal/cmd/genparity from the cases. Do not edit. -->

One corpus of cases (` + "`caromtest/corpus`" + `) runs on every engine, and the engines must agree on everything that
can be seen: return value, packet, context, contents of all maps, perf event samples, ring buffer records,
printed lines, errno of refused inputs and operations, and how often each tail-call site was taken to which
program, or not and why. Most cases have literal expectations besides; they were measured on Linux 6.18 or
computed from RFC 9669.

` + "`go test ./caromtest/corpus -count=1 -v -run TestCorpus`" + ` as root runs all of it and ends with the totals below. A case
that is skipped on an engine is tried there all the same and must fail, so no reason outlives its cause.
Programs that may harm a live kernel are the exception: no kernel gets them.

`

// document is the whole file.
func document(testdata string) (string, error) {
	if _, err := os.Stat(testdata); err != nil {
		return "", err
	}
	engines := []string{}
	for _, c := range columns() {
		engines = append(engines, c.engine)
	}
	var sections []section
	var total caromtest.Summary
	for _, g := range corpus.Groups() {
		cases := g.Cases(filepath.ToSlash(testdata))
		s := section{g, cases, caromtest.Declared(engines, cases...)}
		sections = append(sections, s)
		total.Add(s.sum)
	}
	var b strings.Builder
	b.WriteString(intro)
	writeTotals(&b, sections, total)
	writeSkips(&b, sections)
	writeRows(&b)
	writeDifferences(&b)
	return b.String(), checkTests(testdata)
}

func writeTotals(b *strings.Builder, sections []section, total caromtest.Summary) {
	b.WriteString("## Cases\n\n")
	for _, c := range columns() {
		fmt.Fprintf(b, "- **%s**: %s.\n", c.title, c.about)
	}
	b.WriteString("\nCounts are of cases that run; those that are skipped are listed below.\n\n| group | about | files | cases |")
	for _, c := range columns() {
		fmt.Fprintf(b, " %s |", c.title)
	}
	b.WriteString("\n|---|---|---|---|" + strings.Repeat("---|", len(columns())) + "\n")
	line := func(name, about, files string, sum caromtest.Summary) {
		fmt.Fprintf(b, "| %s | %s | %s | %d |", name, about, files, sum.Cases)
		for _, c := range columns() {
			fmt.Fprintf(b, " %d |", sum.By[c.engine].Ran)
		}
		b.WriteString("\n")
	}
	for _, s := range sections {
		line(s.Name, s.About, s.Files, s.sum)
	}
	line("**all**", "", "", total)
	b.WriteString("\n")
}

// writeSkips lists the cases that are skipped by engine and reason.
func writeSkips(b *strings.Builder, sections []section) {
	b.WriteString("## Skipped, and why\n\n")
	for _, c := range columns() {
		by := map[string][]string{}
		n := 0
		for _, s := range sections {
			for i := range s.cases {
				k := &s.cases[i]
				why := k.Skipped(c.engine)
				if why == "" || c.engine == caromtest.EdgeCounts && !k.CountsEdges() {
					continue
				}
				by[why] = append(by[why], s.Name+"/"+k.Name)
				n++
			}
		}
		fmt.Fprintf(b, "### %s: %d\n\n", c.title, n)
		for _, why := range slices.Sorted(maps.Keys(by)) {
			fmt.Fprintf(b, "%d: %s.\n\n", len(by[why]), why)
			for _, name := range by[why] {
				fmt.Fprintf(b, "- %s\n", name)
			}
			b.WriteString("\n")
		}
	}
}

func writeRows(b *strings.Builder) {
	b.WriteString("## Tests of Linux about tail calls\n\nNames are those in tools/testing/selftests/bpf and lib/test_bpf.c. A row is covered when a case or test has it,\neven where the last column names a part that is left out.\n\n")
	for _, list := range corpus.Selftests() {
		covered := 0
		for _, r := range list.Rows {
			if len(r.Cases)+len(r.Tests) > 0 {
				covered++
			}
		}
		fmt.Fprintf(b, "### %s: %d of %d\n\n| test | covered by | not covered, and why |\n|---|---|---|\n", list.Source, covered, len(list.Rows))
		for _, r := range list.Rows {
			fmt.Fprintf(b, "| %s | %s | %s |\n", r.Name, strings.Join(append(slices.Clone(r.Cases), r.Tests...), ", "), r.Left)
		}
		b.WriteString("\n")
	}
}

func writeDifferences(b *strings.Builder) {
	b.WriteString("## Different on purpose\n\n| what | Linux 6.18 | carom in user space | why |\n|---|---|---|---|\n")
	for _, d := range corpus.Differences() {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", d.What, d.Linux, d.Carom, d.Why)
	}
}

// checkTests looks for the tests that rows name.
func checkTests(testdata string) error {
	root := filepath.Join(testdata, "..", "..")
	for _, list := range corpus.Selftests() {
		for _, r := range list.Rows {
			for _, name := range r.Tests {
				folder, test, _ := strings.Cut(name, ".")
				if ok, err := declares(filepath.Join(root, folder), test); err != nil || !ok {
					return fmt.Errorf("row %s: there is no test %s (%v)", r.Name, name, err)
				}
			}
		}
	}
	return nil
}

func declares(folder, test string) (bool, error) {
	files, err := fs.Glob(os.DirFS(folder), "*_test.go")
	if err != nil {
		return false, err
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(folder, f))
		if err != nil {
			return false, err
		}
		if strings.Contains(string(text), "func "+test+"(") {
			return true, nil
		}
	}
	return false, nil
}
