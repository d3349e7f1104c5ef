package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
)

// childEnv names the address that the test binary, started again, sends a datagram to.
const childEnv = "CAROM_E2E_SEND_TO"

func TestMain(m *testing.M) {
	if to := os.Getenv(childEnv); to != "" {
		os.Exit(sendDatagram(to))
	}
	os.Exit(runTests(m))
}

// dirEnv names the directory for what the tests build.
const dirEnv = "CAROM_E2E_DIR"

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "carom-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv(dirEnv, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// sendDatagram is the child that is moved into a cgroup: it waits until standard input ends, then
// sends one datagram.
func sendDatagram(to string) int {
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return 1
	}
	conn, err := net.Dial("udp4", to)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
