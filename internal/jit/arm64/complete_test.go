package arm64

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestEveryInstructionHasForms checks that no method that emits code is missing in the tables.
func TestEveryInstructionHasForms(t *testing.T) {
	noCode := map[string]bool{"Bind": true, "Finish": true, "Here": true, "LabelOffset": true,
		"Len": true, "NewLabel": true, "Reset": true}
	files, err := filepath.Glob("table_*_test.go")
	if err != nil || len(files) == 0 {
		t.Skip("the sources of the test are not here")
	}
	var tables strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tables.Write(text)
	}
	typ := reflect.TypeFor[*Assembler]()
	for i := range typ.NumMethod() {
		name := typ.Method(i).Name
		if !noCode[name] && !strings.Contains(tables.String(), "a."+name+"(") {
			t.Errorf("%s has no row in the tables", name)
		}
	}
}
