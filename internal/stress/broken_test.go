package stress

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var brokenBuilds = flag.Bool("stress.broken", false, "also build the maps broken on purpose, and expect that the stress test fails")

// breaks are changes of one line that take away what the stress test is about. Each is compiled
// in for one build only, by go test -overlay.
var breaks = []struct {
	name, file string
	from, to   string
	report     string // what the stress test has to complain about
}{
	{
		"program array: delete then put", "internal/maps/progarray.go",
		"mem.AtomicStore64(p.slot(index), prog.Desc())",
		"mem.AtomicStore64(p.slot(index), 0); for range 2000 { mem.AtomicLoad64(p.slot(index)) }; mem.AtomicStore64(p.slot(index), prog.Desc())",
		`entry: 0 torn, [1-9]\d* empty`,
	},
	{
		"hash: delete then put", "internal/maps/hash.go",
		"mem.AtomicStore64(link, e)\n",
		"if old != 0 { mem.AtomicStore64(link, mem.AtomicLoad64(old+hashNext)); for range 2000 { mem.AtomicLoad64(link) } }; mem.AtomicStore64(link, e)\n",
		`read_hash: \d+ torn, [1-9]\d* empty`,
	},
	{
		"hash: replaced elements are used again at once", "internal/maps/elems.go",
		"if p.host.Epochs.Safe(tag) {",
		"if true {",
		`read_(hash|lru): [1-9]\d* torn`,
	},
	{
		"torn write", "internal/mem/access.go",
		"AtomicStore64(dst+i, le64(src[i:]))",
		"Store32(dst+i, uint32(le64(src[i:]))); for range 2000 { Load32(dst+i) }; Store32(dst+i+4, uint32(le64(src[i:])>>32))",
		`read_array: [1-9]\d* torn`,
	},
}

// TestBrokenBuilds runs TestStress on builds that are broken on purpose.
func TestBrokenBuilds(t *testing.T) {
	if !*brokenBuilds {
		t.Skip("compiles the packages several times; give -stress.broken")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range breaks {
		t.Run(b.name, func(t *testing.T) {
			overlay := breakFile(t, filepath.Join(root, b.file), b.from, b.to)
			cmd := exec.Command("go", "test", "-overlay", overlay, "-run", "^TestStress$", "-stress.time=3s", ".")
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("the stress test passes on a broken build:\n%s", out)
			}
			if !regexp.MustCompile(b.report).Match(out) {
				t.Errorf("the stress test does not report %q:\n%s", b.report, out)
			}
			t.Log(regexp.MustCompile(b.report).FindString(string(out)))
		})
	}
}

// breakFile returns an overlay in which a file is changed.
func breakFile(t *testing.T, file, from, to string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), from); n != 1 {
		t.Fatalf("%s has %d times %q, want once; adapt the list of breaks", file, n, from)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, "changed.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), from, to, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	spec, err := json.Marshal(map[string]any{"Replace": map[string]string{file: changed}})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, spec, 0o644); err != nil {
		t.Fatal(err)
	}
	return overlay
}
