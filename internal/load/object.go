package load

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"

	"github.com/cilium/ebpf"
)

// ObjectError says what is wrong with an object file.
type ObjectError struct {
	Name    string // of the file
	Problem string
	Remedy  string // what to do
	Err     error  // cause, if another package found the problem
}

func (e *ObjectError) Error() string { return e.Name + ": " + e.Problem + "; " + e.Remedy }

// Unwrap gives the cause.
func (e *ObjectError) Unwrap() error { return e.Err }

const compileAgain = "compile it again with clang -target bpf -O2 -g -c"

// Object parses an object file that nobody checked. name is for errors, which are *ObjectError
// and have one line. It tells truncated, foreign and big-endian files apart before cilium/ebpf
// sees them, and turns a panic of the parser into an error.
func Object(name string, data []byte) (spec *ebpf.CollectionSpec, err error) {
	if problem, remedy := checkELF(data); problem != "" {
		return nil, &ObjectError{Name: name, Problem: problem, Remedy: remedy}
	}
	defer func() {
		if p := recover(); p != nil {
			spec, err = nil, &ObjectError{Name: name, Problem: fmt.Sprintf("the object is corrupt (%v)", p), Remedy: compileAgain}
		}
	}()
	spec, err = ebpf.LoadCollectionSpecFromReader(bytes.NewReader(data))
	if err != nil {
		return nil, &ObjectError{Name: name, Problem: "cannot be parsed: " + oneLine(err.Error()), Remedy: compileAgain, Err: err}
	}
	if len(spec.Programs) == 0 {
		return nil, &ObjectError{Name: name, Problem: "it has no programs", Remedy: "mark them with SEC(), for example SEC(\"xdp\")"}
	}
	return spec, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Layout of a 64-bit ELF file (System V ABI, ELF header and section header).
const (
	elfHeader      = 64
	elfSection     = 64
	elfMachineBPF  = uint16(elf.EM_BPF)
	maxZeroSection = 1 << 30 // a section that takes no room in the file, in bytes
)

// foreign files that people give by mistake.
var foreign = []struct{ magic, what, remedy string }{
	{"BC\xc0\xde", "it is LLVM bitcode", "compile it to an object: clang -target bpf -O2 -g -c"},
	{"\xde\xc0\x17\x0b", "it is LLVM bitcode", "compile it to an object: clang -target bpf -O2 -g -c"},
	{"!<arch>\n", "it is an archive", "extract the BPF object from it: ar x"},
	{"\xd4\xc3\xb2\xa1", "it is a packet capture", "give it with --pcap, and a BPF object first"},
	{"\x0a\x0d\x0d\x0a", "it is a packet capture", "give it with --pcap, and a BPF object first"},
	{"#include", "it is C source", "compile it: clang -target bpf -O2 -g -c"},
	{"// ", "it is source text", "compile it: clang -target bpf -O2 -g -c"},
	{"\x1f\x8b", "it is compressed with gzip", "decompress it: gunzip"},
}

// checkELF says what is wrong with the frame of the file, and what to do; nothing when it is fine.
func checkELF(b []byte) (problem, remedy string) {
	if len(b) == 0 {
		return "the file is empty", compileAgain
	}
	if !bytes.HasPrefix(b, []byte(elf.ELFMAG)) {
		for _, f := range foreign {
			if bytes.HasPrefix(b, []byte(f.magic)) {
				return f.what + ", not a BPF object", f.remedy
			}
		}
		return fmt.Sprintf("it is not an ELF object (it starts with %x)", b[:min(4, len(b))]), "give the .o file that clang -target bpf -c writes"
	}
	if len(b) < elfHeader {
		return fmt.Sprintf("the object is cut: it has %d of the %d bytes of an ELF header", len(b), elfHeader), "copy it or compile it again"
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if elf.Data(b[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	machine := order.Uint16(b[18:])
	switch {
	case machine != elfMachineBPF:
		return fmt.Sprintf("it is an ELF file for %s, not for BPF", strings.TrimPrefix(elf.Machine(machine).String(), "EM_")), compileAgain
	case order == binary.BigEndian:
		return "it is a big-endian BPF object", "compile it with -target bpfel"
	case elf.Class(b[elf.EI_CLASS]) != elf.ELFCLASS64:
		return "it is a 32-bit ELF file, BPF objects have 64 bits", compileAgain
	case elf.Type(order.Uint16(b[16:])) != elf.ET_REL:
		return "it is not a relocatable object", "give the .o file that clang -target bpf -c writes"
	}
	return checkSections(b)
}

// checkSections compares where sections claim to lie with the length of the file.
func checkSections(b []byte) (problem, remedy string) {
	table, size := binary.LittleEndian.Uint64(b[40:]), uint64(binary.LittleEndian.Uint16(b[58:]))
	count, names := uint64(binary.LittleEndian.Uint16(b[60:])), uint64(binary.LittleEndian.Uint16(b[62:]))
	if table == 0 || count == 0 {
		return "the object has no sections", compileAgain
	}
	if size != elfSection || names >= count {
		return "the object is corrupt: its section table makes no sense", compileAgain
	}
	end, carry := bits.Add64(table, count*size, 0)
	if carry != 0 || end > uint64(len(b)) {
		return fmt.Sprintf("the object is cut: its section table ends at byte %d, the file has %d", end, len(b)), "copy it or compile it again"
	}
	for i := range count {
		h := b[table+i*size:]
		typ := elf.SectionType(binary.LittleEndian.Uint32(h[4:]))
		from, length := binary.LittleEndian.Uint64(h[24:]), binary.LittleEndian.Uint64(h[32:])
		if typ == elf.SHT_NULL {
			continue
		}
		if typ == elf.SHT_NOBITS {
			if length > maxZeroSection {
				return fmt.Sprintf("the object is corrupt: section %d has %d bytes of zeros", i, length), compileAgain
			}
			continue
		}
		if end, carry := bits.Add64(from, length, 0); carry != 0 || end > uint64(len(b)) {
			return fmt.Sprintf("the object is corrupt: section %d ends at byte %d, the file has %d", i, end, len(b)), compileAgain
		}
	}
	return "", ""
}
