// Package layers has no code: its test keeps the packages in their layers.
package layers

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/carom-bpf/carom"

// layer says how high a package stands. Imports go only to a lower layer; a package may import
// its own subfolders, which stand where it stands unless they are listed themselves.
var layer = map[string]int{
	"cmd/carom":             60,
	"cmd/carom-conformance": 60,
	"caromtest":             50,
	"kernel":                40,
	"chain":                 40,
	"packet":                40,
	"internal/gen":          40,
	"":                      30,
	"internal/userspace":    25,
	"internal/load":         20,
	"internal/verifier":     20,
	"internal/jit":          20,
	"internal/helper":       20,
	"internal/vm":           10,
	"internal/maps":         10,
	"internal/engine":       0,
	"internal/isa":          0,
	"internal/facts":        0,
	"internal/linux":        0,
	"internal/mem":          0,
	"internal/btfval":       0,
	"world":                 0,
	"trace":                 0,
}

// shared are packages of layer 0 that others of layer 0 may build on.
var shared = map[string]bool{"world": true, "trace": true, "internal/isa": true}

// tools build, generate or test the repository and are imported by nothing.
var tools = []string{"internal/cmd", "internal/layers", "internal/stress", "internal/e2e", "examples"}

type pkg struct {
	ImportPath string
	Imports    []string
}

func goList(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("go list is not available: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// home returns the listed package that a path is, or lies below.
func home(path string) (string, bool) {
	for path != "" {
		if _, ok := layer[path]; ok {
			return path, true
		}
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			return "", false
		}
		path = path[:i]
	}
	return "", true
}

func relative(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

func isTool(path string) bool {
	for _, tool := range tools {
		if path == tool || strings.HasPrefix(path, tool+"/") {
			return true
		}
	}
	return false
}

func TestImportsGoDown(t *testing.T) {
	for _, p := range goList(t) {
		from, _ := relative(p.ImportPath)
		if isTool(from) {
			continue
		}
		fromHome, ok := home(from)
		if !ok {
			t.Errorf("package %s has no layer", p.ImportPath)
			continue
		}
		for _, i := range p.Imports {
			to, own := relative(i)
			if !own {
				checkForeign(t, from, i)
				continue
			}
			if isTool(to) {
				t.Errorf("%s imports %s, which only serves the repository", p.ImportPath, i)
				continue
			}
			toHome, ok := home(to)
			switch {
			case !ok:
				t.Errorf("package %s has no layer", i)
			case fromHome == toHome: // own subfolders
			case layer[toHome] == 0 && layer[fromHome] == 0 && shared[toHome] && !shared[fromHome]:
			case layer[toHome] >= layer[fromHome]:
				t.Errorf("%s (layer %d) imports %s (layer %d)", p.ImportPath, layer[fromHome], i, layer[toHome])
			}
		}
	}
}

// checkForeign keeps libraries where they belong.
func checkForeign(t *testing.T, from, path string) {
	t.Helper()
	switch {
	case strings.HasPrefix(path, "github.com/spf13/") && !strings.HasPrefix(from, "cmd/"):
		t.Errorf("%s imports the CLI library %s; only commands may", from, path)
	case path == "unsafe" && from != "internal/mem" && !strings.HasPrefix(from, "internal/jit"):
		t.Errorf("%s imports unsafe; only internal/mem and internal/jit may", from)
	case from == "trace" && strings.Contains(strings.SplitN(path, "/", 2)[0], "."):
		t.Errorf("trace imports %s; it uses the standard library only", path)
	}
}
