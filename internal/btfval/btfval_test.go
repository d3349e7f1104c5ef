package btfval

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

var (
	u8       = &btf.Int{Name: "unsigned char", Size: 1}
	char     = &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed}
	u16      = &btf.Typedef{Name: "__u16", Type: &btf.Int{Name: "unsigned short", Size: 2}}
	u32      = &btf.Int{Name: "unsigned int", Size: 4}
	s32      = &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	u64      = &btf.Int{Name: "unsigned long", Size: 8}
	s64      = &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed}
	u128     = &btf.Int{Name: "unsigned __int128", Size: 16}
	boolean  = &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}
	pointer  = &btf.Pointer{Target: u8}
	float32t = &btf.Float{Name: "float", Size: 4}
	float64t = &btf.Float{Name: "double", Size: 8}
	verdict  = &btf.Enum{Name: "verdict", Size: 4, Values: []btf.EnumValue{{Name: "PASS", Value: 2}, {Name: "DROP", Value: 1}}}
	level    = &btf.Enum{Name: "level", Size: 4, Signed: true, Values: []btf.EnumValue{{Name: "LOW", Value: math.MaxUint64}, {Name: "ZERO", Value: 0}}}
	name     = &btf.Array{Index: u32, Type: char, Nelems: 8}
	ports    = &btf.Array{Index: u32, Type: u16, Nelems: 3}

	// struct flow { __u16 ports[3]; char name[8]; union { unsigned int v4; unsigned char b[4]; };
	//               enum verdict verdict; int lo:3, hi:5; unsigned int rest:24; };
	flow = &btf.Struct{Name: "flow", Size: 28, Members: []btf.Member{
		{Name: "ports", Type: ports, Offset: 0},
		{Name: "name", Type: name, Offset: 6 * 8},
		{Type: &btf.Union{Size: 4, Members: []btf.Member{
			{Name: "v4", Type: u32},
			{Name: "b", Type: &btf.Array{Index: u32, Type: u8, Nelems: 4}},
		}}, Offset: 16 * 8},
		{Name: "verdict", Type: &btf.Const{Type: verdict}, Offset: 20 * 8},
		{Name: "lo", Type: s32, Offset: 24 * 8, BitfieldSize: 3},
		{Name: "hi", Type: s32, Offset: 24*8 + 3, BitfieldSize: 5},
		{Name: "rest", Type: u32, Offset: 24*8 + 8, BitfieldSize: 24},
	}}
	flowBytes = "0100" + "901f" + "ffff" + "6574683000000000" + "0000" + "0a000001" + "02000000" + "7d563412"
	flowText  = `{"ports": [1, 8080, 65535], "name": "eth0", "v4": 16777226, "b": [10, 0, 0, 1], "verdict": "PASS", "lo": -3, "hi": 15, "rest": 1193046}`
	flowJSON  = `{"ports":[1,8080,65535],"name":"eth0","v4":16777226,"b":[10,0,0,1],"verdict":"PASS","lo":-3,"hi":15,"rest":1193046}`

	section = &btf.Datasec{Name: ".bss", Size: 12, Vars: []btf.VarSecinfo{
		{Type: &btf.Var{Name: "count", Type: u64}, Offset: 0, Size: 8},
		{Type: &btf.Var{Name: "on", Type: boolean}, Offset: 8, Size: 1},
	}}
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name string
		typ  btf.Type
		data string
		text string
		json string // when it isn't the text
	}{
		{"u8", u8, "ff", "255", ""},
		{"char", char, "ff", "-1", ""},
		{"u16", u16, "0180", "32769", ""},
		{"u32", u32, "ffffffff", "4294967295", ""},
		{"s32", s32, "feffffff", "-2", ""},
		{"u64", u64, "ffffffffffffffff", "18446744073709551615", ""},
		{"s64", s64, "0000000000000080", "-9223372036854775808", ""},
		{"u128", u128, "01000000000000000200000000000000", "0x20000000000000001", `"0x20000000000000001"`},
		{"u128 small", u128, "ff000000000000000000000000000000", "0xff", `"0xff"`},
		{"bool", boolean, "01", "true", ""},
		{"bool 2", boolean, "02", "true", ""},
		{"bool 0", boolean, "00", "false", ""},
		{"pointer", pointer, "7856341200000000", "0x12345678", `"0x12345678"`},
		{"float", float32t, "0000c03f", "1.5", ""},
		{"float 0.1", float32t, "cdcccc3d", "0.1", ""},
		{"double", float64t, "9a9999999999b93f", "0.1", ""},
		{"NaN", float64t, "000000000000f87f", "NaN", `"NaN"`},
		{"enum", verdict, "01000000", `"DROP"`, ""},
		{"enum without name", verdict, "07000000", "7", ""},
		{"signed enum", level, "ffffffff", `"LOW"`, ""},
		{"signed enum without name", level, "feffffff", "-2", ""},
		{"array", ports, "010002000300", "[1, 2, 3]", "[1,2,3]"},
		{"string", name, "6865790000000000", `"hey"`, ""},
		{"empty string", name, "0000000000000000", `""`, ""},
		{"string with rest", name, "6865790041424344", `"hey"`, ""},
		{"string without NUL", name, "6162636465666768", "[97, 98, 99, 100, 101, 102, 103, 104]", "[97,98,99,100,101,102,103,104]"},
		{"string not printable", name, "61ff000000000000", "[97, -1, 0, 0, 0, 0, 0, 0]", "[97,-1,0,0,0,0,0,0]"},
		{"quotes", name, "6122620000000000", `"a\"b"`, ""},
		{"bytes are no string", &btf.Array{Type: u8, Nelems: 2}, "4100", "[65, 0]", "[65,0]"},
		{"flexible array", &btf.Array{Type: u32, Nelems: 0}, "", "[]", ""},
		{"array of empty structs", &btf.Array{Type: &btf.Struct{}, Nelems: 1 << 31}, "", "[]", ""},
		{"struct", flow, flowBytes, flowText, flowJSON},
		{"data section", section, "05000000000000000100 0000", `{"count": 5, "on": true}`, `{"count":5,"on":true}`},
		{"variable", &btf.Var{Name: "x", Type: s32}, "ffffffff", "-1", ""},
		{"typedef of volatile", &btf.Typedef{Name: "t", Type: &btf.Volatile{Type: u16}}, "0500", "5", ""},
		{"no type", nil, "0aff00", "0a ff 00", `["0x0a","0xff","0x00"]`},
		{"more bytes than the type", u16, "05000000", "5", ""},
		{"bit-field over bytes", &btf.Struct{Name: "s", Size: 8, Members: []btf.Member{
			{Name: "a", Type: u64, Offset: 4, BitfieldSize: 60},
		}}, "f0ffffffffffffff", `{"a": 1152921504606846975}`, `{"a":1152921504606846975}`},
		{"bit-field enum and bool", &btf.Struct{Name: "s", Size: 4, Members: []btf.Member{
			{Name: "v", Type: verdict, Offset: 0, BitfieldSize: 2}, {Name: "f", Type: boolean, Offset: 2, BitfieldSize: 1},
			{Name: "l", Type: level, Offset: 3, BitfieldSize: 2},
		}}, "1e000000", `{"v": "PASS", "f": true, "l": "LOW"}`, `{"v":"PASS","f":true,"l":"LOW"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := unhex(t, c.data)
			got, err := Format([]byte("> "), c.typ, data)
			if err != nil || string(got) != "> "+c.text {
				t.Errorf("Format: got %s, %v, want %s", got, err, c.text)
			}
			v, err := Value(c.typ, data)
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(v)
			want := c.json
			if want == "" {
				want = c.text
			}
			if err != nil || string(b) != want {
				t.Errorf("JSON: got %s, %v, want %s", b, err, want)
			}
		})
	}
}

func TestObjectGet(t *testing.T) {
	v, err := Value(section, make([]byte, 12))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := v.(Object).Get("on"); !ok || got != false {
		t.Errorf("on = %v, %v", got, ok)
	}
	if _, ok := v.(Object).Get("off"); ok {
		t.Error("there is no member off")
	}
}

func TestDecodeErrors(t *testing.T) {
	loop := &btf.Struct{Name: "loop", Size: 1}
	loop.Members = []btf.Member{{Name: "in", Type: loop}, {Name: "in2", Type: loop}}
	anonymous := &btf.Struct{Size: 1}
	anonymous.Members = []btf.Member{{Type: anonymous}, {Type: anonymous}}
	for _, c := range []struct {
		name string
		typ  btf.Type
		data string
		want string
	}{
		{"short", u32, "0000", "unsigned int: the type has 4 bytes, 2 are there"},
		{"no size", &btf.Fwd{Name: "f"}, "", "f: the type has no size"},
		{"member outside", &btf.Struct{Name: "s", Size: 4, Members: []btf.Member{{Name: "a", Type: u32, Offset: 16}}}, "00000000", "a (unsigned int): the type has 4 bytes, 2 are there"},
		{"member far outside", &btf.Struct{Name: "s", Size: 4, Members: []btf.Member{{Name: "a", Type: u32, Offset: 640}}}, "00000000", "a (unsigned int): it begins at byte 80 of 4"},
		{"bit-field outside", &btf.Struct{Name: "s", Size: 4, Members: []btf.Member{{Name: "a", Type: u32, Offset: 30, BitfieldSize: 3}}}, "00000000", "a (unsigned int): its bits 30 to 33 are outside of 4 bytes"},
		{"loop", loop, "00", strings.Repeat("in.", 64) + "in (struct loop): the type is nested too deeply or has too many members"},
		{"anonymous loop", anonymous, "00", "struct: the type is nested too deeply or has too many members"},
	} {
		if _, err := Value(c.typ, unhex(t, c.data)); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		typ  btf.Type
		size int
		text string
		want string
	}{
		{u8, 1, "255", "ff"},
		{u8, 0, "'A'", "41"},
		{char, 0, "-128", "80"},
		{u16, 0, "0x1f90", "901f"},
		{u16, 0, "0b11", "0300"},
		{u16, 0, "010", "0a00"},
		{u16, 0, "0o10", "0800"},
		{u32, 4, "  +7 ", "07000000"},
		{s32, 0, "-2", "feffffff"},
		{u64, 0, "18446744073709551615", "ffffffffffffffff"},
		{s64, 0, "-9223372036854775808", "0000000000000080"},
		{u128, 0, "0x20000000000000001", "01000000000000000200000000000000"},
		{boolean, 0, "true", "01"},
		{boolean, 0, "0", "00"},
		{pointer, 0, "0xffff888000000000", "00000000 8088ffff"},
		{float32t, 0, "1.5", "0000c03f"},
		{float64t, 0, "0.1", "9a9999999999b93f"},
		{verdict, 0, "PASS", "02000000"},
		{verdict, 0, `"DROP"`, "01000000"},
		{verdict, 0, "9", "09000000"},
		{level, 0, "LOW", "ffffffff"},
		{level, 0, "-5", "fbffffff"},
		{ports, 6, "[1, 0x2]", "010002000000"},
		{ports, 6, "[]", "000000000000"},
		{name, 8, "eth0", "6574683000000000"},
		{name, 8, "a, {b", "612c207b62000000"},
		{name, 8, `"a\"\u0001"`, "6122010000000000"},
		{name, 8, "12345678", "3132333435363738"},
		{name, 8, "[97, -1]", "61ff000000000000"},
		{name, 8, "", "0000000000000000"},
		{name, 8, "hex:0102030405060708", "0102030405060708"},
		{flow, 28, "{}", strings.Repeat("00", 28)},
		{flow, 28, `{"ports": [1, 8080, 65535], name: eth0, v4: 16777226, "verdict": PASS, lo: -3, hi: 15, rest: 0x123456}`, flowBytes},
		{flow, 28, `{b:[10,0,0,1]}`, "00000000000000000000000000000000" + "0a000001" + "0000000000000000"},
		{flow, 28, `{b:hex:0a000001,lo:1}`, "00000000000000000000000000000000" + "0a000001" + "00000000" + "01000000"},
		{flow, 28, flowText, flowBytes},
		{flow, 28, flowJSON, flowBytes},
		{section, 12, "{count: 5, on: true}", "05000000000000000100 0000"},
		{&btf.Var{Name: "x", Type: s32}, 4, "-1", "ffffffff"},
		{nil, 4, "1", "01000000"},
		{nil, 4, "-1", "ffffffff"},
		{nil, 4, "4294967295", "ffffffff"},
		{nil, 2, "0a 0B", "0a0b"},
		{nil, 2, "0x0a 0x0b", "0a0b"},
		{nil, 3, "hex:0a0b0c", "0a0b0c"},
		{nil, 20, "258", "0201" + strings.Repeat("00", 18)},
		{nil, 130, "-1", strings.Repeat("ff", 130)},
	} {
		got, err := Parse(c.typ, c.size, c.text)
		if want := unhex(t, c.want); err != nil || !bytes.Equal(got, want) {
			t.Errorf("Parse(%s, %q) = %x, %v, want %x", typeName(c.typ), c.text, got, err, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		typ  btf.Type
		size int
		text string
		want string
	}{
		{u8, 1, "256", "unsigned char: 256 is out of range (0 to 255)"},
		{u8, 1, "-1", "unsigned char: -1 is out of range (0 to 255)"},
		{char, 1, "128", "char: 128 is out of range (-128 to 127)"},
		{u16, 2, "65536", "__u16: 65536 is out of range (0 to 65535)"},
		{s64, 8, "9223372036854775808", "long: 9223372036854775808 is out of range (-9223372036854775808 to 9223372036854775807)"},
		{boolean, 1, "2", "_Bool: 2 is out of range (0 to 1)"},
		{boolean, 1, "yes", `_Bool: "yes" is not true or false`},
		{u32, 4, "five", `unsigned int: "five" is not an integer (42, -1, 0x2a)`},
		{u32, 4, "1_000", `unsigned int: "1_000" is not an integer (42, -1, 0x2a)`},
		{u32, 4, "", "syntax: expected a value, found the end"},
		{u32, 4, "1 2", `syntax: expected the end at byte 2, found "2"`},
		{u32, 4, "[1]", "unsigned int: give one number"},
		{u32, 2, "1", "unsigned int: the type has 4 bytes, the map says 2"},
		{u32, 4, "hex:0a", "unsigned int: 1 bytes given, the type has 4"},
		{u32, 4, "hex:0", `unsigned int: "0" is not an even number of hex digits`},
		{pointer, 8, "-1", "pointer: -1 is out of range (0 to 18446744073709551615)"},
		{float32t, 4, "1e99", `float: "1e99" is not a number that fits 4 bytes`},
		{verdict, 4, "REJECT", `enum verdict: "REJECT" is not a number or one of PASS, DROP`},
		{verdict, 4, `"REJECT"`, `enum verdict: "REJECT" is not one of PASS, DROP`},
		{verdict, 4, "-1", "enum verdict: -1 is out of range (0 to 4294967295)"},
		{ports, 6, "[1,2,3,4]", "__u16[3]: 4 elements given, at most 3 fit"},
		{ports, 6, "[1,70000]", "[1] (__u16): 70000 is out of range (0 to 65535)"},
		{ports, 6, "7", "__u16[3]: give a list: [1, 2]"},
		{name, 8, "123456789", `char[8]: "123456789" has 9 bytes, at most 8 fit`},
		{flow, 28, "5", `struct flow: give its members: {"name": 1}`},
		{flow, 28, "{port: 1}", "port (struct flow): there is no such member; there are ports, name, v4, b, verdict, lo, hi, rest"},
		{flow, 28, "{lo: 1, lo: 2}", "lo (struct flow): the member is given twice"},
		{flow, 28, "{lo: 4}", "lo (int): 4 is out of range (-4 to 3)"},
		{flow, 28, "{ports: [0, 99999]}", "ports[1] (__u16): 99999 is out of range (0 to 65535)"},
		{flow, 28, "{lo 4}", `syntax: expected ':' at byte 4, found "4}"`},
		{flow, 28, "{lo: 4", "syntax: expected ',' or '}', found the end"},
		{flow, 28, `{"lo`, `syntax: expected a string in JSON's form at byte 1, found "\"lo"`},
		{nil, 2, "65536", "bytes: 65536 does not fit 2 bytes"},
		{nil, 2, "-32769", "bytes: -32769 does not fit 2 bytes"},
		{nil, 2, "0a 0b 0c", "bytes: 3 bytes given, 2 are needed"},
		{nil, 2, "0a zz", `bytes: "zz" is not a byte of two hex digits`},
		{nil, 2, "x", `bytes: "x" is not an integer (42, -1, 0x2a) or bytes (hex:0a0b, 0a 0b)`},
		{nil, 2, "hex:0a", "bytes: 1 bytes given, the type has 2"},
		{&btf.Fwd{Name: "f"}, 0, "1", "f: the type has no size"},
	} {
		_, err := Parse(c.typ, c.size, c.text)
		if err == nil || err.Error() != c.want {
			t.Errorf("Parse(%s, %q): got %v, want %s", typeName(c.typ), c.text, err, c.want)
		}
		if _, ok := err.(*Error); !ok {
			t.Errorf("Parse(%s, %q): %T is not *Error", typeName(c.typ), c.text, err)
		}
	}
}

func TestDeepText(t *testing.T) {
	if _, err := Parse(flow, 28, strings.Repeat("[", 1000)); err == nil || !strings.HasPrefix(err.Error(), "syntax: expected less nesting at byte 65") {
		t.Errorf("got %v", err)
	}
}

var fuzzTypes = []btf.Type{u8, char, u16, s64, u128, boolean, pointer, float32t, float64t, verdict, level, name, ports, flow, section,
	&btf.Array{Type: flow, Nelems: 2}}

// FuzzParse checks that no text makes Parse panic, and that what it makes can
// be printed, and read again, as the same bytes.
func FuzzParse(f *testing.F) {
	for _, s := range []string{flowText, flowJSON, "eth0", "[1,2]", "-1", "hex:00", `"a\"b"`, "{b:hex:0a000001,lo:1}", "'A'", "1e3", "NaN"} {
		for i := range fuzzTypes {
			f.Add(uint8(i), s)
		}
	}
	f.Fuzz(func(t *testing.T, index uint8, text string) {
		Parse(nil, int(index), text)
		typ := fuzzTypes[int(index)%len(fuzzTypes)]
		data, err := Parse(typ, 0, text)
		if err != nil {
			if _, ok := err.(*Error); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		checkRoundTrip(t, typ, data)
	})
}

// FuzzDecode checks the same for bytes.
func FuzzDecode(f *testing.F) {
	f.Add(uint8(13), unhex(f, flowBytes))
	f.Fuzz(func(t *testing.T, index uint8, data []byte) {
		typ := fuzzTypes[int(index)%len(fuzzTypes)]
		if size, _ := sizeof(typ); len(data) >= size {
			checkRoundTrip(t, typ, data[:size])
		} else if _, err := Value(typ, data); err == nil {
			t.Fatalf("%d bytes are enough for %s", len(data), typeName(typ))
		}
	})
}

func checkRoundTrip(t *testing.T, typ btf.Type, data []byte) {
	text, err := Format(nil, typ, data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(typ, len(data), string(text))
	if err != nil {
		t.Fatalf("%s of %x: %v", text, data, err)
	}
	text2, err := Format(nil, typ, again)
	if err != nil || !bytes.Equal(text, text2) {
		t.Fatalf("%x prints %s, read again %x prints %s, %v", data, text, again, text2, err)
	}
	v, err := Value(typ, data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(v); err != nil {
		t.Fatal(err)
	}
}
