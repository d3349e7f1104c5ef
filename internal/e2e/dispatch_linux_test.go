package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"testing"
	"time"
)

const examples = "../../examples/"

// serve echoes one line of every connection on these ports of the server.
func (w *wire) serve(t *testing.T, ports ...int) {
	t.Helper()
	within(t, w.server, func() error {
		for _, port := range ports {
			l, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", serverAddr, port))
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						_, _ = io.Copy(c, c)
					}()
				}
			}()
		}
		return nil
	})
}

// talk connects to a port of the server, sends five bytes and gets them back.
func (w *wire) talk(t *testing.T, port int, patience time.Duration) (err error) {
	t.Helper()
	within(t, w.client, func() error {
		var c net.Conn
		if c, err = net.DialTimeout("tcp4", fmt.Sprintf("%s:%d", serverAddr, port), patience); err != nil {
			return nil
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err = c.Write([]byte("hello")); err != nil {
			return nil
		}
		var b [5]byte
		_, err = io.ReadFull(c, b[:])
		return nil
	})
	return err
}

// TestDispatch attaches examples/xdp-dispatch to an interface and connects through it: port 22 is
// dropped, 8080 is seen, and 80 is none of its business.
func TestDispatch(t *testing.T) {
	needKernel(t)
	w := newWire(t)
	w.serve(t, 22, 80, 8080)
	if err := w.talk(t, 22, patience); err != nil {
		t.Fatalf("port 22 before attaching: %v", err)
	}
	for _, mode := range []string{"generic", "native"} {
		t.Run(mode, func(t *testing.T) {
			a := attach(t, in(w.server), examples+"xdp-dispatch/xdp_dispatch.o",
				"--xdp", w.serverIface, "--xdp-mode", mode,
				"--slot", "prog_array[0]=port8080_prog", "--slot", "prog_array[1]=port22_prog")
			for _, port := range []int{80, 8080} {
				if err := w.talk(t, port, patience); err != nil {
					t.Errorf("port %d: %v", port, err)
				}
			}
			// Linux sends the first packet of a connection again after a second.
			var timeout net.Error
			if err := w.talk(t, 22, time.Second/2); !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("port 22: %v, want a timeout", err)
			}
			dropped := a.wait("line of port 22", func(l line) bool { return l.From == "port22_prog" })
			// Ethernet, IPv4 and TCP with the options of a SYN: 14 + 20 + 40 bytes.
			if dropped.Text != "port 22: drop 74 bytes" {
				t.Errorf("got %+v", dropped)
			}
			lines := a.stop()
			passed := regexp.MustCompile(`^port 8080: pass \d+ bytes$`)
			n := count(lines, func(l line) bool { return l.From == "port8080_prog" && passed.MatchString(l.Text) })
			if n < 3 { // SYN, ACK, data
				t.Errorf("%d packets to port 8080 were seen: %+v", n, lines)
			}
			for _, l := range lines {
				// Other tests print at the same time; a line of a program that is gone by the time
				// it is read cannot be told apart and has no name.
				if l.Kind == "printk" && l.From != "" && l.From != "port8080_prog" && l.From != "port22_prog" {
					t.Errorf("a line of something else: %+v", l)
				}
			}
			if err := w.talk(t, 22, patience); err != nil {
				t.Errorf("port 22 after detaching: %v", err)
			}
		})
	}
}
