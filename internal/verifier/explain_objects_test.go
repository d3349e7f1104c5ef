package verifier

import (
	"errors"
	"testing"
)

// TestObjectExplanations says of cases of objects what is wrong and what to do.
func TestObjectExplanations(t *testing.T) {
	want := map[string][2]string{
		"ring dynptr kept": {
			"The program ends while it holds the dynptr that bpf_ringbuf_reserve_dynptr() made (insn 6).",
			"Release it with bpf_ringbuf_submit_dynptr or bpf_ringbuf_discard_dynptr on every path.",
		},
		"ring dynptr given back twice": {
			"bpf_ringbuf_submit_dynptr() gives back a dynptr of a ring buffer, and there is none at fp-16: it was given back before, or never reserved.",
			"Submit or discard what bpf_ringbuf_reserve_dynptr made exactly once.",
		},
		"ring dynptr used after it": {
			"bpf_dynptr_read() uses a dynptr at fp-16, and on this path there is none: it was not made, was given back, or its bytes were written to.",
			"Make it on every path before the call (bpf_dynptr_from_mem, bpf_dynptr_from_skb, bpf_ringbuf_reserve_dynptr, …), and pass the address of the variable itself.",
		},
		"ring dynptr overwritten": {
			"This store writes where a dynptr of a ring buffer is, which must be given back first.",
			"Call bpf_ringbuf_submit_dynptr or bpf_ringbuf_discard_dynptr before, also where the reservation has failed.",
		},
		"ring dynptr made again": {
			"This call makes a dynptr where a dynptr of a ring buffer is, which must be given back first.",
			"Call bpf_ringbuf_submit_dynptr or bpf_ringbuf_discard_dynptr before, also where the reservation has failed.",
		},
		"local dynptr of the stack": {
			"Argument 1 of bpf_dynptr_from_mem() is a pointer to the stack, and a dynptr of memory can be made of map values only.",
			"Pass the value of a map, checked for NULL, or a global variable.",
		},
		"dynptr at an odd place": {
			"bpf_dynptr_from_mem() makes a dynptr, which needs 16 bytes of the program's stack, at a constant offset that is a multiple of 8.",
			"Pass the address of a variable of type struct bpf_dynptr: struct bpf_dynptr ptr; … &ptr.",
		},
		"dynptr as memory to write": {
			"bpf_probe_read_kernel() would write over the bytes of a dynptr on the stack.",
			"Pass memory of its own; what a dynptr points to is written with bpf_dynptr_write or through bpf_dynptr_data.",
		},
		"drain, sample given back": {
			"The dynptr that a function was given may not be changed or given back by it; bpf_ringbuf_discard_dynptr() would.",
			"Read and write through it, and leave it to who made it. bpf_dynptr_clone makes a copy that may be changed.",
		},
		"timer at a wrong offset": {
			"Argument 1 of bpf_timer_init() is a pointer to a value of map timers, but not to its struct bpf_timer.",
			"Pass the address of the member: &value->timer.",
		},
		"timer at a variable offset": {
			"Argument 1 of bpf_timer_init() must point to the struct bpf_timer in a map value, and its offset is not known.",
			"Pass the address of the member: &value->timer.",
		},
		"timer in a map without timers": {
			"Argument 1 of bpf_timer_init() is a pointer to a value of map typed, which has no struct bpf_timer that Linux knows of.",
			"Declare the map with __type(value, struct …) and struct bpf_timer as a member of that structure.",
		},
		"timer of another map": {
			"Argument 2 of bpf_timer_init() must be the map in whose value the struct bpf_timer is, and is map hash.",
			"Pass the map that the value was looked up in; of a map of maps, the result of the same lookup.",
		},
		"timer callback, result": {
			"The callback may return 1, and must return 0.",
			"Return 0 on every path.",
		},
		"iterator not destroyed": {
			"The program ends while it holds the iterator that bpf_iter_num_new() made (insn 4).",
			"Release it with bpf_iter_num_destroy on every path.",
		},
		"iterator destroyed twice": {
			"bpf_iter_num_destroy() uses an iterator at fp-8, and on this path there is none: it was not made, was destroyed, or its bytes were written to.",
			"Call the new function first, and destroy the iterator once, behind the loop. The macros bpf_for, bpf_repeat and bpf_for_each do all of it.",
		},
		"iterator made twice": {
			"bpf_iter_num_new() makes an iterator at fp-8, where it has no place: an iterator is there that was not destroyed, or the offset is not a constant multiple of 8.",
			"Pass the address of an iterator variable, and call the destroy function of an iterator before its variable is used again.",
		},
		"iterator in a map value": {
			"Argument 1 of bpf_iter_num_new() is a pointer to a value of map array, which bpf_iter_num_new() does not take.",
			"It takes a pointer to struct bpf_iter_num; the parameter is called it.",
		},
		"element not compared with NULL": {
			"bpf_iter_num_next() (insn 7) returns NULL when there are no more elements, and the result is used without a check.",
			"Check it first, and leave the loop: if (!p) break; the macros bpf_for and bpf_for_each do that.",
		},
		"slice of unknown size": {
			"Argument 4 of bpf_dynptr_slice() must be a constant, and may be 0 to 7.",
			"Pass a number that is known when the program is compiled, such as sizeof of the buffer.",
		},
		"callback that no round calls": {
			"The address of cb() is taken, and no path calls it: Linux removes the function and then does not find it.",
			"Remove the call that it is for, or make it possible: bpf_loop with 0 rounds calls nothing.",
		},
	}
	for _, c := range objectCases() {
		w, ok := want[c.name]
		if !ok {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			_, err := Verify(c.program(t), nil)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatal("accepted")
			}
			if e.Explanation != w[0] || e.Suggestion != w[1] {
				t.Errorf("%s\nexplained as %s\n%s\nwant %s\n%s", e.Reason.Message, e.Explanation, e.Suggestion, w[0], w[1])
			}
		})
	}
}
