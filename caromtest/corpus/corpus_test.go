package corpus_test

import (
	"testing"

	"github.com/carom-bpf/carom/caromtest"
	"github.com/carom-bpf/carom/caromtest/corpus"
)

const testdata = "../testdata"

func TestTailCalls(t *testing.T) { caromtest.Run(t, corpus.TailCalls(testdata)...) }
func TestPrograms(t *testing.T)  { caromtest.Run(t, corpus.Programs(testdata)...) }
func TestRules(t *testing.T)     { caromtest.Run(t, corpus.Rules(testdata)...) }
func TestOwners(t *testing.T)    { caromtest.Run(t, corpus.Owners(testdata)...) }
func TestRefusals(t *testing.T)  { caromtest.Run(t, corpus.Refusals(testdata)...) }

func TestInstructionSet(t *testing.T) { caromtest.Run(t, corpus.InstructionSet()...) }

func TestTestRun(t *testing.T) { caromtest.Run(t, corpus.TestRun()...) }

func TestMaps(t *testing.T) { caromtest.Run(t, corpus.Maps()...) }

func TestFaults(t *testing.T) { caromtest.Run(t, corpus.Faults()...) }

func TestContexts(t *testing.T) { caromtest.Run(t, corpus.Contexts()...) }

func TestFound(t *testing.T) { caromtest.Run(t, corpus.Found()...) }

func TestTargets(t *testing.T) { caromtest.Run(t, corpus.Targets()...) }

func TestStorage(t *testing.T) { caromtest.Run(t, corpus.Storage()...) }

func TestSockets(t *testing.T) { caromtest.Run(t, corpus.Sockets()...) }

func TestOutput(t *testing.T) { caromtest.Run(t, corpus.Output()...) }
