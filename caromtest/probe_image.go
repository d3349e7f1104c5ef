package caromtest

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/carom-bpf/carom"
)

// The probed process is an executable of its own, made for one hit: no runtime is in it that needs
// registers or memory for itself. It names itself, waits for a byte on its standard input, loads
// all registers, executes the probed instruction and exits.
const (
	imageBase  = 0x400000
	pieceBase  = 0x10000000
	pieceSpace = 0x1000000 // between the addresses of two pieces
	pageSize   = 4096
	codeOffset = 1024 // in the file, behind the headers
	headerSize = 64
	phdrSize   = 56
	maxPieces  = (codeOffset - headerSize - phdrSize) / phdrSize // without the scratch piece
	commSize   = 16
)

// System calls of x86-64 and prctl's option.
const (
	sysRead   = 0
	sysExit   = 60
	sysPrctl  = 157
	prSetName = 15
)

// registerNumbers are the encodings of the registers that an executable can load. sp is the last
// one so that nothing is in the way.
var registerNumbers = []struct {
	name, long string
	number     byte
}{
	{"ax", "rax", 0}, {"cx", "rcx", 1}, {"dx", "rdx", 2}, {"bx", "rbx", 3}, {"bp", "rbp", 5},
	{"si", "rsi", 6}, {"di", "rdi", 7}, {"r8", "r8", 8}, {"r9", "r9", 9}, {"r10", "r10", 10},
	{"r11", "r11", 11}, {"r12", "r12", 12}, {"r13", "r13", 13}, {"r14", "r14", 14}, {"r15", "r15", 15},
	{"sp", "rsp", 4},
}

// trigger is the instruction that hits.
type trigger uint8

const (
	triggerNop     trigger = iota // a uprobe is on it
	triggerReturn                 // a function that returns at once
	triggerSyscall                // a tracepoint sees it
)

// image is an executable and the file offset of its probed place.
type image struct {
	file   []byte
	target uint64
}

// code is x86-64 machine code.
type code struct{ bytes.Buffer }

// load is mov r64, imm64.
func (c *code) load(reg byte, v uint64) {
	c.Write([]byte{0x48 | reg>>3, 0xb8 | reg&7})
	c.Write(binary.LittleEndian.AppendUint64(nil, v))
}

// syscall loads the number and the arguments in rdi, rsi and rdx.
func (c *code) syscall(number uint64, args ...uint64) {
	c.load(0, number)
	for i, a := range args {
		c.load([]byte{7, 6, 2}[i], a)
	}
	c.Write([]byte{0x0f, 0x05})
}

// touch reads a byte of each page, because a program at a probe cannot wait for a page that is not
// there yet.
func (c *code) touch(addr uint64, size int) {
	for off := 0; off < size; off += pageSize {
		c.load(0, addr+uint64(off))
		c.Write([]byte{0x8a, 0x00}) // mov al, [rax]
	}
}

// buildImage makes the executable of a probe.
func buildImage(p *Probe, what trigger) (*image, error) {
	if len(p.Memory) > maxPieces {
		return nil, fmt.Errorf("%d pieces of memory, at most %d fit", len(p.Memory), maxPieces)
	}
	addrs := map[string]uint64{}
	for i, m := range p.Memory {
		if len(m.Data) > pieceSpace/2 {
			return nil, fmt.Errorf("memory %s has %d bytes, at most %d fit", m.Name, len(m.Data), pieceSpace/2)
		}
		addrs[m.Name] = pieceBase + uint64(i+1)*pieceSpace
	}
	values, err := registerValues(p, what, addrs)
	if err != nil {
		return nil, err
	}
	var c code
	c.syscall(sysPrctl, prSetName, pieceBase)
	c.syscall(sysRead, 0, pieceBase+commSize, 1)
	for _, m := range p.Memory {
		c.touch(addrs[m.Name], len(m.Data))
	}
	for _, r := range registerNumbers {
		if v, ok := values[r.name]; ok {
			c.load(r.number, v)
		}
	}
	target := c.Len()
	switch what {
	case triggerNop:
		c.WriteByte(0x90)
	case triggerReturn:
		// call over a jump; the function is the ret.
		c.Write([]byte{0xe8, 2, 0, 0, 0, 0xeb, 1, 0xc3})
		target += 7
	case triggerSyscall:
		c.Write([]byte{0x0f, 0x05})
	}
	c.syscall(sysExit, 0)
	pieces, err := pieceData(p, addrs)
	if err != nil {
		return nil, err
	}
	return &image{file: linkImage(c.Bytes(), pieces), target: uint64(codeOffset + target)}, nil
}

// registerValues are what the registers hold; those that are not given are 0, but sp stays.
func registerValues(p *Probe, what trigger, addrs map[string]uint64) (map[string]uint64, error) {
	values, short := map[string]uint64{}, map[string]string{}
	for _, r := range registerNumbers {
		short[r.name], short[r.long] = r.name, r.name
		if r.name != "sp" {
			values[r.name] = 0
		}
	}
	for _, r := range p.Registers {
		name, ok := short[r.Name]
		if !ok || name == "sp" && what == triggerReturn {
			return nil, fmt.Errorf("a probed process cannot load register %s", r.Name)
		}
		v := r.Value
		if r.Ref != "" {
			base, ok := addrs[r.Ref]
			if !ok {
				return nil, fmt.Errorf("register %s refers to memory %q, which there is not", r.Name, r.Ref)
			}
			v += base
		}
		values[name] = v
	}
	return values, nil
}

// pieceData is the memory with its pointers, and first the scratch piece with the task's name.
func pieceData(p *Probe, addrs map[string]uint64) ([][]byte, error) {
	scratch := make([]byte, commSize+1)
	copy(scratch[:commSize-1], p.comm())
	pieces := [][]byte{scratch}
	for _, m := range p.Memory {
		data := bytes.Clone(m.Data)
		if err := connect(data, m, addrs); err != nil {
			return nil, err
		}
		pieces = append(pieces, data)
	}
	return pieces, nil
}

func connect(data []byte, m carom.Memory, addrs map[string]uint64) error {
	for _, ptr := range m.Pointers {
		to, ok := addrs[ptr.Ref]
		if !ok || ptr.Offset < 0 || ptr.Offset+8 > len(data) {
			return fmt.Errorf("a pointer at offset %d of memory %s to %q is wrong", ptr.Offset, m.Name, ptr.Ref)
		}
		binary.LittleEndian.PutUint64(data[ptr.Offset:], to)
	}
	return nil
}

// linkImage writes an ELF executable: one segment of code, and one for each piece of memory.
func linkImage(text []byte, pieces [][]byte) []byte {
	le := binary.LittleEndian
	b := []byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	b = le.AppendUint16(b, 2)  // ET_EXEC
	b = le.AppendUint16(b, 62) // EM_X86_64
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, imageBase+codeOffset) // entry
	b = le.AppendUint64(b, headerSize)           // program headers
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{headerSize, phdrSize, uint16(1 + len(pieces)), headerSize, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	segment := func(flags uint32, off, addr uint64, size int) {
		b = le.AppendUint32(b, 1) // PT_LOAD
		b = le.AppendUint32(b, flags)
		for _, v := range []uint64{off, addr, addr, uint64(size), uint64(size), pageSize} {
			b = le.AppendUint64(b, v)
		}
	}
	const readExec, readWrite = 5, 6
	segment(readExec, 0, imageBase, codeOffset+len(text))
	end := round(codeOffset + len(text))
	for i, p := range pieces {
		segment(readWrite, uint64(end), pieceBase+uint64(i)*pieceSpace, max(len(p), 1))
		end += round(max(len(p), 1))
	}
	file := make([]byte, end)
	copy(file, b)
	copy(file[codeOffset:], text)
	end = round(codeOffset + len(text))
	for _, p := range pieces {
		copy(file[end:], p)
		end += round(max(len(p), 1))
	}
	return file
}

// round gives the number of bytes in whole pages.
func round(n int) int { return (n + pageSize - 1) &^ (pageSize - 1) }
