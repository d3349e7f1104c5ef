package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/carom-bpf/carom/internal/gen"
	"github.com/carom-bpf/carom/internal/isa"
)

// Names of helpers and types in messages, which do not make a new kind of message.
var names = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`type=\S+ expected=.*`), "type=T expected=..."},
	{regexp.MustCompile(`bpf_[a-z0-9_]+#\d+`), "bpf_helper#N"},
	{regexp.MustCompile(`unknown#-?\d+`), "bpf_helper#N"},
	{regexp.MustCompile(`func '?[a-z_]+`), "func F"},
	{regexp.MustCompile(`\('[a-z_0-9]+'\)`), "('F')"},
	{regexp.MustCompile(`'[a-z_]+'`), "'T'"},
	{regexp.MustCompile(`(0x|opcode )[0-9a-f]+`), "${1}N"},
	{regexp.MustCompile(`-?\d+`), "N"},
}

// kind is what an answer has in common with others: the message without numbers and names.
func (a answer) kind() string {
	switch {
	case a.accepted:
		return "accepted"
	case a.reason == "":
		return a.errno.Name() + " without a message"
	}
	s := a.reason
	for _, n := range names {
		s = n.from.ReplaceAllString(s, n.to)
	}
	return s
}

// ownFault says that Linux reports an error in its verifier.
func (a answer) ownFault() bool {
	return strings.Contains(a.log, "verifier bug") || strings.Contains(a.log, "REG INVARIANTS VIOLATION") ||
		strings.Contains(a.log, "BUG")
}

// attempts and longest bound the work on one difference.
const (
	attempts = 3000
	longest  = 10 * time.Second
)

// minimise leaves out instructions while both answers stay of their kinds.
func (r *random) minimise(p *gen.VerifyProg) *gen.VerifyProg {
	k, c := r.kernel.ask(p), r.askCarom(p)
	tries, begin := 0, time.Now()
	same := func(q *gen.VerifyProg) bool {
		tries++
		if !q.Loadable() {
			return false
		}
		nc := r.askCarom(q)
		if nc.kind() != c.kind() {
			return false
		}
		nk := r.kernel.ask(q)
		return nk.kind() == k.kind() && !nk.ownFault() && !nk.sameReason(nc)
	}
	enough := func() bool { return tries >= attempts || time.Since(begin) > longest }
	for progress := true; progress && !enough(); {
		progress = false
		for at := len(p.Insns) - 1; at >= 0 && !enough(); at-- {
			if at >= len(p.Insns) {
				continue
			}
			if q, ok := p.Without(at); ok && same(q) {
				p, progress = q, true
			}
		}
	}
	return p
}

// text shows a program and both answers.
func (r *random) text(number uint64, p *gen.VerifyProg) string {
	var b strings.Builder
	k, c := r.kernel.ask(p), r.askCarom(p)
	fmt.Fprintf(&b, "// seed %d number %d: %s\n", r.seed, number, strings.Join(p.Made, " "))
	fmt.Fprintf(&b, "// type %v, attach type %d, flags %#x, licence %q", p.Type, p.Attach, p.Flags, p.License)
	for _, f := range p.Funcs {
		fmt.Fprintf(&b, ", func_info %d %s", f.Insn, r.convert.funcs[f.Func].Name)
	}
	fmt.Fprintf(&b, "\n// Linux: %v\n// carom: %v\n// log of Linux:\n", k, c)
	for _, l := range strings.Split(strings.TrimSpace(k.log), "\n") {
		fmt.Fprintf(&b, "//   %s\n", l)
	}
	fmt.Fprint(&b, disassemble(p))
	return b.String()
}

func disassemble(p *gen.VerifyProg) string {
	var b strings.Builder
	for i := 0; i < len(p.Insns); i++ {
		var next isa.Insn
		if i+1 < len(p.Insns) {
			next = p.Insns[i+1]
		}
		text := isa.Disassemble(p.Insns[i], next, isa.Names{PC: i, Map: func(l isa.Insn) string {
			if maps := p.MapSpecs(); int(l.Imm) < len(maps) && l.Imm >= 0 {
				return maps[l.Imm].Name
			}
			return ""
		}})
		fmt.Fprintf(&b, "%3d: %s\n", i, text)
		if p.Insns[i].IsWide() {
			i++
		}
	}
	return b.String()
}

// save minimises and writes what differs.
func (r *random) save() error {
	if r.dir == "" {
		return nil
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	keys := slices.Collect(maps.Keys(r.groups))
	sort.Slice(keys, func(i, j int) bool { return r.groups[keys[i]].seen > r.groups[keys[j]].seen })
	for i, key := range keys {
		g := r.groups[key]
		text := fmt.Sprintf("// %d times: Linux | carom: %s\n", g.seen, key)
		for n, p := range g.progs {
			text += "\n" + r.text(g.numbers[n], r.minimise(p))
		}
		if err := os.WriteFile(filepath.Join(r.dir, fmt.Sprintf("%02d-%s.txt", i+1, slug(key))), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// slug makes a file name of a message.
func slug(s string) string {
	s = regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(s, "-")
	return strings.Trim(s[:min(len(s), 60)], "-")
}
