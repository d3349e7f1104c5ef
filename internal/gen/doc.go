// Package gen makes random programs that Linux accepts, runs them on two engines, compares
// everything that can be observed, and makes a small case of what differs.
//
// A Case is maps, programs in kernel syntax, slots of PROG_ARRAYs and runs. Generate makes one from
// a seed: the same seed gives the same case. Code comes in operations (Op) that can be left out one
// by one: each leaves every register either a scalar or unreadable, so that no address gets into
// anything that is compared, whatever else is left out. All stack bytes are written at the start of
// a function, because what a frame holds before that is up to the engine.
//
// Programs hold no callbacks that call anything, so no callback can reach a tail call, which Linux
// must never be given. Compare runs a case in user space first, under a budget of instructions, and
// only one that ends is given to the kernel.
package gen
