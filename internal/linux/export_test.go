package linux

import "slices"

// symbols lists what the sets and the changes of older kernels name.
func symbols() []string {
	var all []string
	for _, set := range helperSets() {
		all = append(all, set.add...)
		for _, c := range set.when {
			all = append(all, c.add...)
		}
	}
	for _, c := range helperChanges() {
		all = append(all, c.had...)
	}
	return all
}

// UnknownSymbols are those in sets that are no prototypes.
func UnknownSymbols() []string {
	return slices.DeleteFunc(symbols(), func(s string) bool { return protos().bySymbol[s] != nil })
}

// UnusedSymbols are the prototypes that no set has.
func UnusedSymbols() []string {
	used := symbols()
	var unused []string
	for _, p := range protos().rows {
		if !slices.Contains(used, p.Symbol) {
			unused = append(unused, p.Symbol)
		}
	}
	return unused
}
