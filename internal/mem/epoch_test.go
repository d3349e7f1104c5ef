package mem

import "testing"

func TestRetire(t *testing.T) {
	e := NewEpochs()
	a, b := e.NewReader(), e.NewReader()
	freed := ""
	retire := func(name string) { e.Retire(func() { freed += name }) }
	check := func(step, want string) {
		t.Helper()
		if freed != want {
			t.Errorf("%s: freed %q, want %q", step, freed, want)
		}
	}
	retire("1")
	check("nobody runs", "1")
	e.Enter(a)
	retire("2")
	check("a runs since before", "1")
	e.Enter(b)
	e.Leave(b)
	check("b came later and left", "1")
	e.Enter(b)
	retire("3")
	e.Leave(a)
	check("a left, b holds 3", "12")
	e.RemoveReader(a)
	e.Leave(b)
	check("all left", "123")
	e.Enter(b)
	e.Retire(func() { freed += "4"; retire("5") })
	e.Leave(b)
	check("retired while freeing", "12345")
	if n := e.pending.Load(); n != 0 || len(e.retired) != 0 {
		t.Errorf("%d objects pending, %d on the list, want none", n, len(e.retired))
	}
}

func TestSafeBut(t *testing.T) {
	e := NewEpochs()
	a, b := e.NewReader(), e.NewReader()
	e.Enter(a)
	tag := e.Tag()
	e.Enter(b)
	if e.Safe(tag) || !e.SafeBut(tag, a) || e.SafeBut(tag, b) {
		t.Errorf("a entered before the tag: Safe %v, but a %v, but b %v; want false, true, false",
			e.Safe(tag), e.SafeBut(tag, a), e.SafeBut(tag, b))
	}
	e.Leave(a)
	if !e.Safe(tag) {
		t.Error("b entered after the tag and is no reason to wait")
	}
}

func TestGenerationChangesBeforeReuse(t *testing.T) {
	e := NewEpochs()
	before := e.Generation()
	e.Retire(func() {
		if e.Generation() == before {
			t.Error("memory is used again before readers are told to forget it")
		}
	})
}

// Again is like leaving and entering: what was unlinked before it may be freed, what is unlinked
// after it may not.
func TestAgain(t *testing.T) {
	e := NewEpochs()
	r := e.NewReader()
	e.Enter(r)
	freed := 0
	e.Retire(func() { freed++ })
	e.Reclaim()
	if freed != 0 {
		t.Fatal("freed under a reader")
	}
	e.Again(r)
	e.Reclaim()
	if freed != 1 {
		t.Fatal("not freed after Again")
	}
	e.Again(r) // nothing was unlinked
	e.Retire(func() { freed++ })
	e.Reclaim()
	if freed != 1 {
		t.Fatal("freed under a reader that was there")
	}
	e.Leave(r)
	if freed != 2 {
		t.Fatal("not freed after Leave")
	}
}
