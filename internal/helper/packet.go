package helper

import "github.com/carom-bpf/carom/internal/vm"

// packetHelpers work on the packet of the run.
func packetHelpers() []vm.Helper { return nil }
