package main

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/carom-bpf/carom/packet"
	"github.com/cilium/ebpf"
)

// refusal tells an input that BPF_PROG_TEST_RUN does not take from a program that went wrong.
func refusal(err error) (refusedKey, bool) {
	var fault *carom.RuntimeError
	var errno linux.Errno
	if errors.As(err, &fault) || !errors.As(err, &errno) {
		return refusedKey{}, false
	}
	text := err.Error()
	if i := strings.Index(text, "input: "); i >= 0 {
		text = text[i+len("input: "):]
	}
	return refusedKey{errno.Name(), strings.TrimSuffix(text, ": "+errno.Error())}, true
}

// runError names the input of a run that went wrong, the source line, and what to do about it.
func runError(input uint64, err error) error {
	var fault *carom.RuntimeError
	if !errors.As(err, &fault) {
		return fmt.Errorf("input %d: %w", input, err)
	}
	more := ""
	if fault.Source != "" {
		more = "; source: " + strings.TrimSuffix(fault.Source, ";")
	}
	if r := remedy(fault); r != "" {
		more += "; " + r
	}
	return fmt.Errorf("input %d: %w%s", input, err, more)
}

// remedy says what to do about a fault whose reason does not say it.
func remedy(fault *carom.RuntimeError) string {
	switch fault.Code {
	case vm.ErrAccess:
		if strings.HasPrefix(fault.Disasm, "call ") {
			return "give the helper as many bytes as it uses (key_size and value_size of a map)"
		}
		return "check the bounds before the access"
	case vm.ErrContextAccess:
		return "use a field of the context of this program type, in its size"
	case vm.ErrMisaligned:
		return "align the address to the size of the operation"
	case vm.ErrCallDepth:
		return "nest at most 8 functions"
	case vm.ErrBadOpcode, vm.ErrBadJump:
		return "compile the object again"
	}
	return ""
}

// bytesLine is a packet or context after a run for --json.
type bytesLine struct {
	Kind  string `json:"kind"` // data_out or ctx_out
	Bytes int    `json:"bytes"`
	Data  string `json:"data"` // in hexadecimal
}

// writeJSON writes one line.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// contextFor is the context of a run for which the caller gave none, but wants it back: an XDP
// context with the whole packet, because BPF_PROG_TEST_RUN takes the packet's end from it.
func contextFor(t ebpf.ProgramType, data []byte) []byte {
	if t != ebpf.XDP {
		return nil
	}
	b := make([]byte, 24) // struct xdp_md
	binary.LittleEndian.PutUint32(b[4:], uint32(len(data)))
	return b
}

// packetWriter writes packets after their runs. A nil writer does nothing.
type packetWriter struct {
	file *os.File
	w    *packet.Writer
	xdp  bool
}

func newPacketWriter(path string, t ebpf.ProgramType) (*packetWriter, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fileError(path, err, "check where --write points")
	}
	w, err := packet.NewWriter(f, packet.LinkEthernet)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &packetWriter{file: f, w: w, xdp: t == ebpf.XDP}, nil
}

// needsContext says that the context after the run tells where the packet starts.
func (p *packetWriter) needsContext() bool { return p != nil && p.xdp }

func (p *packetWriter) write(res *carom.Result, src source) error {
	if p == nil {
		return nil
	}
	data := res.Data
	if p.xdp && len(res.Context) >= 4 {
		// The metadata of an XDP packet comes before it; xdp_md.data is its length.
		if n := binary.LittleEndian.Uint32(res.Context); int64(n) <= int64(len(data)) {
			data = data[n:]
		}
	}
	at := time.Time{}
	if s, ok := src.(*pcapSource); ok {
		at = s.p.Time
	}
	return p.w.Write(packet.Packet{Data: data, Time: at, LinkType: packet.LinkEthernet})
}

func (p *packetWriter) close() error {
	if p == nil {
		return nil
	}
	return p.file.Close()
}

// writeBytes writes bytes to a file, or prints them when the path is -.
func writeBytes(out io.Writer, path, name string, b []byte, asJSON bool) error {
	switch {
	case path == "":
		return nil
	case path != "-":
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return fileError(path, err, "check where --"+strings.ReplaceAll(name, "_", "-")+" points")
		}
		return nil
	case asJSON:
		return writeJSON(out, bytesLine{name, len(b), hex.EncodeToString(b)})
	}
	if _, err := fmt.Fprintf(out, "%s: %d bytes\n", name, len(b)); err != nil {
		return err
	}
	hexDump(out, b)
	return nil
}

// progress shows on a terminal that a long run is going on.
type progress struct {
	w     io.Writer // nil: nobody watches
	next  time.Time
	shown bool
}

func newProgress(errOut io.Writer) progress {
	f, ok := errOut.(*os.File)
	if !ok {
		return progress{}
	}
	st, err := f.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return progress{}
	}
	return progress{w: f, next: time.Now().Add(2 * time.Second)}
}

func (p *progress) show(n uint64) {
	if p.w == nil || n%1024 != 0 || time.Now().Before(p.next) {
		return
	}
	p.shown, p.next = true, time.Now().Add(time.Second/2)
	fmt.Fprintf(p.w, "\r%d inputs", n)
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
