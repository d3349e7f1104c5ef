package load

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Kconfig holds the values of an object's extern __kconfig variables.
type Kconfig struct {
	Data    []byte // value of the .kconfig map
	offsets map[string]uint32
}

// Offset returns where a variable lies in Data. A nil Kconfig has none.
func (k *Kconfig) Offset(name string) (uint32, bool) {
	if k == nil {
		return 0, false
	}
	off, ok := k.offsets[name]
	return off, ok
}

// referenceKernel is LINUX_KERNEL_VERSION of the reference profile, 6.18.0.
const referenceKernel = 6<<16 | 18<<8

// NewKconfig resolves the extern __kconfig variables of a spec from config, or from the running
// kernel's configuration when config is nil. It returns nil when there are no such variables.
func NewKconfig(spec *ebpf.CollectionSpec, config map[string]string) (*Kconfig, error) {
	if spec.Types == nil {
		return nil, nil
	}
	var ds *btf.Datasec
	if err := spec.Types.TypeByName(".kconfig", &ds); err != nil {
		if errors.Is(err, btf.ErrNotFound) {
			return nil, nil
		}
		return nil, fmt.Errorf("section .kconfig: %w", err)
	}
	if ds.Size > 1<<20 {
		return nil, fmt.Errorf("section .kconfig has %d bytes: %w", ds.Size, linux.EINVAL)
	}
	k := &Kconfig{Data: make([]byte, ds.Size), offsets: map[string]uint32{}}
	var cfgErr error
	for _, v := range ds.Vars {
		variable, ok := v.Type.(*btf.Var)
		if !ok || uint64(v.Offset)+uint64(v.Size) > uint64(len(k.Data)) {
			return nil, fmt.Errorf("section .kconfig: %v is no variable: %w", v.Type, linux.EINVAL)
		}
		dst := k.Data[v.Offset:][:v.Size]
		if config == nil && strings.HasPrefix(variable.Name, "CONFIG_") {
			if config, cfgErr = runningConfig(); cfgErr != nil {
				return nil, fmt.Errorf("extern %s: %w; supply values in Kconfig", variable.Name, cfgErr)
			}
		}
		if err := setKconfig(dst, variable, config); err != nil {
			return nil, fmt.Errorf("extern %s: %w", variable.Name, err)
		}
		k.offsets[variable.Name] = v.Offset
	}
	return k, nil
}

func setKconfig(dst []byte, v *btf.Var, config map[string]string) error {
	text, ok := config[v.Name]
	if !ok {
		switch v.Name {
		case "LINUX_KERNEL_VERSION":
			text = strconv.Itoa(referenceKernel)
		case "LINUX_HAS_SYSCALL_WRAPPER", "LINUX_HAS_BPF_COOKIE":
			text = "1"
		default:
			if v.Linkage == btf.ExternVar {
				return fmt.Errorf("the kernel configuration does not set it; supply a value in Kconfig: %w", linux.ENOENT)
			}
			return nil
		}
	}
	return parseKconfig(dst, btf.UnderlyingType(v.Type), text)
}

// parseKconfig converts a value of the configuration: y, m and n for bool and enum libbpf_tristate,
// numbers, and quoted strings for char arrays.
func parseKconfig(dst []byte, typ btf.Type, text string) error {
	if a, ok := typ.(*btf.Array); ok && a != nil {
		s, err := strconv.Unquote(text)
		if err != nil {
			s = text
		}
		if len(s) >= len(dst) {
			s = s[:max(len(dst)-1, 0)]
		}
		clear(dst)
		copy(dst, s)
		return nil
	}
	if len(dst) > 8 {
		return fmt.Errorf("%d bytes are too many for a number: %w", len(dst), linux.EINVAL)
	}
	n, err := kconfigNumber(typ, text)
	if err != nil {
		return err
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	copy(dst, b[:])
	return nil
}

// kconfigNumber is set_kcfg_value_tri and set_kcfg_value_num of libbpf: a bool has no m, a char
// gets the letter, and a number must fit.
func kconfigNumber(typ btf.Type, text string) (uint64, error) {
	i, isInt := typ.(*btf.Int)
	isBool := isInt && i.Encoding == btf.Bool
	if letters := "nym"; len(text) == 1 && strings.Contains(letters, text) {
		switch {
		case isBool && text == "m":
			return 0, fmt.Errorf("a bool cannot hold m; declare it as enum libbpf_tristate: %w", linux.EINVAL)
		case isInt && !isBool && i.Size == 1:
			return uint64(text[0]), nil
		}
		return uint64(strings.Index(letters, text)), nil
	}
	var n uint64
	v, err := strconv.ParseInt(text, 0, 64)
	if n = uint64(v); err != nil {
		if n, err = strconv.ParseUint(text, 0, 64); err != nil {
			return 0, fmt.Errorf("%q is neither a number nor y, m or n: %w", text, linux.EINVAL)
		}
	}
	if isInt && i.Size < 8 {
		unused := 64 - 8*i.Size
		signed := i.Encoding == btf.Signed || i.Encoding == btf.Char
		if signed && int64(n)<<unused>>unused != int64(n) || !signed && n<<unused>>unused != n {
			return 0, fmt.Errorf("%s does not fit into %d bytes: %w", text, i.Size, linux.ERANGE)
		}
	}
	return n, nil
}

// runningConfig reads the configuration of the running kernel.
func runningConfig() (map[string]string, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("there is no running Linux to ask")
	}
	f, err := os.Open("/proc/config.gz")
	if err != nil {
		return bootConfig(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("/proc/config.gz: %w", err)
	}
	return readConfig(z)
}

func bootConfig(cause error) (map[string]string, error) {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return nil, err
	}
	f, err := os.Open("/boot/config-" + strings.TrimSpace(string(release)))
	if err != nil {
		return nil, fmt.Errorf("the running kernel's configuration is not readable (%w, %w)", cause, err)
	}
	defer f.Close()
	return readConfig(f)
}

func readConfig(r io.Reader) (map[string]string, error) {
	config := map[string]string{}
	s := bufio.NewScanner(r)
	for s.Scan() {
		line := s.Text()
		if name, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, "CONFIG_") {
			config[name] = value
		} else if name, ok := strings.CutSuffix(line, " is not set"); ok {
			config[strings.TrimPrefix(name, "# ")] = "n"
		}
	}
	return config, s.Err()
}

// Ksyms returns a lookup of kernel symbols in a table, then in /proc/kallsyms where that shows
// addresses.
func Ksyms(table map[string]uint64) func(name string) (uint64, bool) {
	var running map[string]uint64
	return func(name string) (uint64, bool) {
		if addr, ok := table[name]; ok {
			return addr, true
		}
		if running == nil {
			running = kallsyms()
		}
		addr, ok := running[name]
		return addr, ok
	}
}

func kallsyms() map[string]uint64 {
	syms := map[string]uint64{}
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return syms
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		fields := strings.Fields(s.Text())
		if len(fields) < 3 {
			continue
		}
		if addr, err := strconv.ParseUint(fields[0], 16, 64); err == nil && addr != 0 {
			syms[fields[2]] = addr
		}
	}
	return syms
}
