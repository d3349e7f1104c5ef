package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/world"
)

// maxEventLine is the longest line of an --event file, in bytes.
const maxEventLine = 16 << 20

// probeEvent is one line of an --event file: one call of a probed function.
type probeEvent struct {
	Regs    map[string]json.RawMessage `json:"regs"`
	Strings map[string]string          `json:"strings"`
	Memory  map[string]string          `json:"memory"`
	PID     uint32                     `json:"pid"`
	TID     *uint32                    `json:"tid"`
	UID     uint32                     `json:"uid"`
	GID     uint32                     `json:"gid"`
	Comm    string                     `json:"comm"`
}

// eventSource reads probe events, one JSON object a line. Empty lines are skipped.
type eventSource struct {
	name string
	in   *bufio.Scanner
	line int
}

func newEventSource(name string, r io.Reader) *eventSource {
	s := &eventSource{name: name, in: bufio.NewScanner(r)}
	s.in.Buffer(nil, maxEventLine)
	return s
}

func (s *eventSource) next(in *carom.Input) error {
	for s.in.Scan() {
		s.line++
		line := bytes.TrimSpace(s.in.Bytes())
		if len(line) == 0 {
			continue
		}
		e, err := parseEvent(line)
		if err == nil {
			err = e.fill(in)
		}
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", s.name, s.line, err)
		}
		return nil
	}
	if err := s.in.Err(); err != nil {
		return fmt.Errorf("%s: line %d: %w; an event is one line of at most %d bytes", s.name, s.line+1, err, maxEventLine)
	}
	return io.EOF
}

func parseEvent(line []byte) (*probeEvent, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	e := &probeEvent{}
	if err := d.Decode(e); err != nil {
		var te *json.UnmarshalTypeError
		switch {
		case errors.As(err, &te):
			return nil, fmt.Errorf("%s cannot be a %s", te.Field, te.Value)
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errors.New("the JSON object is cut; write one event a line")
		}
		return nil, fmt.Errorf("%s; an event has regs, strings, memory, pid, tid, uid, gid and comm", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more behind the event; write one event a line")
	}
	if len(e.Comm) > 15 {
		return nil, fmt.Errorf("comm %q has %d bytes, a command name has at most 15", e.Comm, len(e.Comm))
	}
	return e, nil
}

// fill makes a run's input of the event.
func (e *probeEvent) fill(in *carom.Input) error {
	in.Registers, in.Memory = in.Registers[:0], in.Memory[:0]
	for _, name := range sortedKeys(e.Strings) {
		in.Memory = append(in.Memory, carom.Memory{Name: name, Data: append([]byte(e.Strings[name]), 0)})
	}
	for _, name := range sortedKeys(e.Memory) {
		if _, twice := e.Strings[name]; twice {
			return fmt.Errorf("%q is in strings and in memory; give them different names", name)
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(e.Memory[name]), ""))
		if err != nil {
			return fmt.Errorf("memory %q: %w; write bytes in hexadecimal", name, err)
		}
		in.Memory = append(in.Memory, carom.Memory{Name: name, Data: b})
	}
	for _, name := range sortedKeys(e.Regs) {
		r, err := e.register(name, e.Regs[name])
		if err != nil {
			return err
		}
		in.Registers = append(in.Registers, r)
	}
	t := world.Task{PID: e.PID, TGID: e.PID, UID: e.UID, GID: e.GID, Comm: e.Comm}
	if e.TID != nil {
		t.PID = *e.TID
	}
	in.World = &world.World{Task: t}
	return nil
}

// register reads 5, "0x7f00", "-1", "&line" or "&line+4".
func (e *probeEvent) register(name string, raw json.RawMessage) (carom.Register, error) {
	r := carom.Register{Name: name}
	text := string(raw)
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return r, fmt.Errorf("register %s: %w", name, err)
		}
	}
	number := text
	if ref, ok := strings.CutPrefix(text, "&"); ok {
		r.Ref, number, ok = strings.Cut(ref, "+")
		if !ok {
			number = "0"
		}
		_, isString := e.Strings[r.Ref]
		_, isMemory := e.Memory[r.Ref]
		if !isString && !isMemory {
			return r, fmt.Errorf("register %s: the event places nothing named %q; add it to strings or memory", name, r.Ref)
		}
	}
	v, err := parseNumber(number)
	if err != nil {
		return r, fmt.Errorf("register %s: %s is neither a number of 64 bits nor an address such as \"&line+4\"", name, raw)
	}
	r.Value = v
	return r, nil
}

// parseNumber reads 64 bits, signed or unsigned, in decimal or with a prefix (0x, 0b, 0o).
func parseNumber(text string) (uint64, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "-") {
		v, err := strconv.ParseInt(text, 0, 64)
		return uint64(v), err
	}
	return strconv.ParseUint(text, 0, 64)
}
