package main

import (
	"strings"

	"github.com/carom-bpf/carom/internal/gen"
	"github.com/cilium/ebpf"
)

// knownClass is a difference that is there on purpose.
type knownClass struct {
	name string
	why  string
	is   func(p *gen.VerifyProg, k, c answer) bool
}

// knownClasses are the differences between carom and Linux 6.18 that are there on purpose.
func knownClasses() []knownClass {
	return []knownClass{
		{
			name: "reads in front of a tracepoint's record",
			why: "tp_prog_is_valid_access compares a signed offset with an unsigned size, so Linux takes loads at " +
				"negative offsets of the context and reads memory that is not the record. carom refuses them.",
			is: func(p *gen.VerifyProg, k, c answer) bool {
				return p.Type == ebpf.TracePoint && strings.HasPrefix(c.reason, "invalid bpf_context access off=-")
			},
		},
		{
			name: "upper halves of fields of struct bpf_tcp_sock",
			why: "Linux takes 4-byte loads of the upper half of bytes_received and bytes_acked, and fails with EFAULT " +
				"when it translates them. carom refuses them where they are checked, so other mistakes are reported later.",
			is: func(p *gen.VerifyProg, k, c answer) bool {
				return strings.Contains(c.reason, "invalid tcp_sock access off=84 size=4") ||
					strings.Contains(c.reason, "invalid tcp_sock access off=92 size=4")
			},
		},
		{
			name: "errors of Linux's verifier in front of carom's",
			why:  "Linux reports an error of its own (\"verifier bug\"), which carom does not have.",
			is:   func(p *gen.VerifyProg, k, c answer) bool { return k.ownFault() },
		},
	}
}

// known is the name of the class that a difference belongs to, empty for none.
func known(p *gen.VerifyProg, k, c answer) string {
	for _, class := range knownClasses() {
		if class.is(p, k, c) {
			return class.name
		}
	}
	return ""
}
