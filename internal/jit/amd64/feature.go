package amd64

import "strings"

// Feature is a set of abilities that not every x86-64 processor has.
type Feature uint32

// The abilities that a BPF compiler can use.
const (
	BMI1         Feature = 1 << iota // andn, bextr, tzcnt
	BMI2                             // shlx, shrx, sarx, rorx, bzhi
	MOVBE                            // movbe
	RDTSCP                           // rdtscp
	InvariantTSC                     // the time-stamp counter runs at one rate in all states
)

// Has tells whether all abilities of another set are in this one.
func (f Feature) Has(all Feature) bool { return f&all == all }

// String returns the names, as Linux has them in /proc/cpuinfo, with commas between.
func (f Feature) String() string {
	var names []string
	for _, row := range features() {
		if f.Has(row.feature) {
			names = append(names, row.name)
		}
	}
	return strings.Join(names, ",")
}

// CPUID is what the cpuid instruction answers: EAX, EBX, ECX, EDX.
type CPUID [4]uint32

// Registers of an answer.
const (
	eax = iota
	ebx
	ecx
	edx
)

// featureBit is where cpuid tells of a feature.
type featureBit struct {
	feature  Feature
	name     string
	leaf     uint32
	register int
	bit      int
}

// features follows the description of cpuid in Intel's manual, volume 2.
func features() []featureBit {
	return []featureBit{
		{BMI1, "bmi1", 7, ebx, 3},
		{BMI2, "bmi2", 7, ebx, 8},
		{MOVBE, "movbe", 1, ecx, 22},
		{RDTSCP, "rdtscp", 0x8000_0001, edx, 27},
		{InvariantTSC, "nonstop_tsc", 0x8000_0007, edx, 8},
	}
}

// Detect returns the features of a processor. cpuid executes that instruction with EAX = leaf
// and ECX = subleaf.
func Detect(cpuid func(leaf, subleaf uint32) CPUID) Feature {
	var f Feature
	for _, row := range features() {
		// Leaf 0 of each range tells its last leaf; leaves after it answer nonsense.
		if cpuid(row.leaf&^0xFFFF, 0)[eax] < row.leaf {
			continue
		}
		if cpuid(row.leaf, 0)[row.register]>>row.bit&1 != 0 {
			f |= row.feature
		}
	}
	return f
}
