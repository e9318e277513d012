package httpapi

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// FuzzBody holds check against encoding/json: what check lets through must be
// read without an error but for values out of range, must mean the same when it
// is written and read again, and must pass again then.
func FuzzBody(f *testing.F) {
	entries, err := os.ReadDir("testdata/fuzz/FuzzBody")
	if err != nil || len(entries) == 0 {
		f.Fatalf("the fuzz target has no seeds: %v", err)
	}
	for _, s := range []string{
		``, `{}`, `null`, `[]`, `{"auth":{"pin":"1"}}`, `{"auth":{"pin":"1","pin":"2"}}`, `{"auth":null}`,
		`{"accounts":[{"uri":"otpauth://totp/a?secret=AAAA"}],"allow_duplicate":true}`, `{"accounts":[null]}`,
		`{"position":1e3}`, `{"position":-0}`, `{"data":"AAAA"}`, `{"label":"\ud83d\ude00"}`, `{"label":"\ud83d"}`, "{\"label\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	type target struct {
		t reflect.Type
		s *shape
	}
	var targets []target
	for _, r := range Routes() {
		if r.Request != nil {
			targets = append(targets, target{r.Request, shapeOf(r.Request)})
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, target := range targets {
			if target.s.check(body) != nil {
				continue
			}
			in := reflect.New(target.t)
			if err := unmarshal(body, in.Interface()); err != nil {
				continue
			}
			again, err := json.Marshal(in.Interface())
			if err != nil {
				t.Fatalf("%s: %v", target.t, err)
			}
			if e := target.s.check(again); e != nil {
				t.Fatalf("%s: %s passes, %s does not: %v", target.t, body, again, e)
			}
			in2 := reflect.New(target.t)
			if err := unmarshal(again, in2.Interface()); err != nil {
				t.Fatalf("%s: %v", target.t, err)
			}
			third, err := json.Marshal(in2.Interface())
			if err != nil || string(third) != string(again) {
				t.Fatalf("%s: %s became %s (%v)", target.t, again, third, err)
			}
			wipe(in)
		}
	})
}

func TestWipeReachesEverySecret(t *testing.T) {
	for _, r := range Routes() {
		for _, typ := range []reflect.Type{r.Request, r.Response} {
			if typ == nil || !hasSecret(typ) {
				continue
			}
			v := reflect.New(typ)
			var secrets [][]byte
			plant(v.Elem(), &secrets, 0)
			if len(secrets) == 0 {
				t.Errorf("%s: no secret planted", typ)
			}
			wipe(v)
			for i, s := range secrets {
				if string(s) != "\x00\x00\x00" {
					t.Errorf("%s: secret %d of %d is left", typ, i, len(secrets))
				}
			}
		}
	}
}

// plant fills every secret of v, and every list with one element.
func plant(v reflect.Value, secrets *[][]byte, depth int) {
	if depth > 6 {
		return
	}
	switch {
	case v.Type().String() == "ipc.Secret":
		s := []byte("abc")
		*secrets = append(*secrets, s)
		v.SetBytes(s)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		plant(v.Elem(), secrets, depth+1)
	case v.Kind() == reflect.Struct && v.Type().String() != "time.Time":
		for i := range v.NumField() {
			plant(v.Field(i), secrets, depth+1)
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		plant(v.Index(0), secrets, depth+1)
	}
}
