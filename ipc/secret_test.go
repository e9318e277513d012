package ipc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestSecretInJSON(t *testing.T) {
	for in, want := range map[string]string{
		`""`: "", `"123456"`: "123456", `"pässwörd"`: "pässwörd", `"a\"b\\c"`: `a"b\c`, `"\u0031"`: "1", `null`: "", "\"\xff\"": "\ufffd",
	} {
		var s Secret
		if err := json.Unmarshal([]byte(in), &s); err != nil || string(s) != want {
			t.Errorf("%s: %q, %v", in, string(s), err)
		}
		out, err := json.Marshal(s)
		var back string
		if err != nil || json.Unmarshal(out, &back) != nil || back != want {
			t.Errorf("%s became %s (%v)", in, out, err)
		}
	}
	for _, in := range []string{`123456`, `["hunter2"]`, `{"a":"hunter2"}`, `true`} {
		var s Secret
		err := json.Unmarshal([]byte(in), &s)
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "123456") {
			t.Errorf("%s: %v", in, err)
		}
	}
	// Called past encoding/json, it still takes nothing but one string.
	for _, in := range []string{`"a"b"`, "\"a\nb\"", `"`, ``} {
		var s Secret
		if err := s.UnmarshalJSON([]byte(in)); err == nil {
			t.Errorf("%q was taken", in)
		}
	}
}

func TestSecretPrintsAsNothing(t *testing.T) {
	s := Secret("hunter2")
	for _, got := range []string{fmt.Sprint(s), fmt.Sprintf("%v %s %q %x %d %#v %+v", s, s, s, s, s, s, Auth{PIN: s}), s.String(), s.GoString()} {
		if strings.Contains(got, "hunter2") || strings.Contains(got, "68756e74") || strings.Contains(got, "104") {
			t.Errorf("printed %s", got)
		}
	}
	s.Wipe()
	if string(s) != "\x00\x00\x00\x00\x00\x00\x00" {
		t.Error("not wiped")
	}
}

// FuzzSecretInJSON holds the reading of secrets against encoding/json's.
func FuzzSecretInJSON(f *testing.F) {
	for _, s := range []string{`"plain"`, `"\u0041\n\"\\\/\b\f\r\t"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ud83dx"`, `"\ud83d\u0041"`,
		`"\ude00\ud83d\ude00"`, "\"\xff\xc3\"", `null`, `"`, `""`, ` "x"`, `"x" `, `12`, `"a"b"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var want string
		var got struct{ S Secret }
		doc := append(append([]byte(`{"S":`), b...), '}')
		wantErr := json.Unmarshal(doc, &struct{ S *string }{&want})
		err := json.Unmarshal(doc, &got)
		if (err == nil) != (wantErr == nil) || err == nil && string(got.S) != want {
			t.Errorf("%q: %q (%v), encoding/json reads %q (%v)", b, string(got.S), err, want, wantErr)
		}
	})
}

func TestAppendJSON(t *testing.T) {
	for _, s := range []string{"", "123456", `a"b\c`, "tab\tend", "ä€😀", "bro\xffken", "\x00\x1f\x7f"} {
		got := Secret(s).AppendJSON([]byte("x"))
		var back string
		if err := json.Unmarshal(got[1:], &back); err != nil || got[0] != 'x' || back != strings.ToValidUTF8(s, "\ufffd") {
			t.Errorf("%q is written as %s, read as %q, %v", s, got, back, err)
		}
	}
}
