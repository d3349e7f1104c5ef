package corpus_test

import (
	"testing"

	"github.com/carom-bpf/carom/caromtest"
	"github.com/carom-bpf/carom/caromtest/corpus"
)

func TestProbes(t *testing.T) { caromtest.Run(t, corpus.Probes(testdata)...) }
