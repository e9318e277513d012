package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// wipe overwrites every ipc.Secret that v leads to.
func wipe(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			wipe(v.Elem())
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[ipc.Time]() {
			return
		}
		for i := range v.NumField() {
			wipe(v.Field(i))
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[ipc.Secret]() {
			clear(v.Bytes())
			return
		}
		if holdsStructs(v.Type()) {
			for i := range v.Len() {
				wipe(v.Index(i))
			}
		}
	}
}

// secretsIn finds every ipc.Secret that v leads to.
func secretsIn(v reflect.Value, found []*ipc.Secret) []*ipc.Secret {
	switch {
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			found = secretsIn(v.Elem(), found)
		}
	case v.Type() == reflect.TypeFor[ipc.Secret]():
		if s, ok := v.Addr().Interface().(*ipc.Secret); ok {
			found = append(found, s)
		}
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[ipc.Time]():
		for i := range v.NumField() {
			found = secretsIn(v.Field(i), found)
		}
	case v.Kind() == reflect.Slice && holdsStructs(v.Type()):
		for i := range v.Len() {
			found = secretsIn(v.Index(i), found)
		}
	}
	return found
}

// secretFields finds the names, in quotes, of the fields in a value of type t
// that are secrets.
func secretFields(t reflect.Type, found [][]byte) [][]byte {
	switch {
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice:
		return secretFields(t.Elem(), found)
	case t.Kind() != reflect.Struct || t == reflect.TypeFor[ipc.Time]():
		return found
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type != reflect.TypeFor[ipc.Secret]() {
			found = secretFields(f.Type, found)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		found = append(found, []byte(`"`+name+`"`))
	}
	return found
}

// holdsSecret says whether body has one of the fields. Their names can be
// written in one way only, see shape.check; where one is a value, nothing is lost.
func holdsSecret(body []byte, fields [][]byte) bool {
	for _, f := range fields {
		if len(body) > len(f) && bytes.Contains(body, f) {
			return true
		}
	}
	return false
}

// encodeSecrets writes what the pointer out leads to as a line of JSON, filled
// up with spaces to at least size bytes. encoding/json works in buffers that it
// keeps, where the secrets would stay: so it is shown others in their place. The
// caller wipes what is returned.
func encodeSecrets(out any, size int) ([]byte, error) {
	secrets := secretsIn(reflect.ValueOf(out), nil)
	real := make([]ipc.Secret, len(secrets))
	for i, s := range secrets {
		real[i] = *s
		size += 6 * len(*s)
		if len(*s) > 0 { // one that is left out when it is empty stays so
			*s = ipc.Secret("\x00" + strconv.Itoa(i) + "\x00")
		}
	}
	rest, err := json.Marshal(out)
	for i, s := range secrets {
		*s = real[i]
	}
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, len(rest)+size+1)
	for i, s := range real {
		if len(s) == 0 {
			continue
		}
		before, after, ok := bytes.Cut(rest, []byte(`"\u0000`+strconv.Itoa(i)+`\u0000"`))
		if !ok {
			clear(body)
			return nil, errors.New("a secret has lost its place")
		}
		body = s.AppendJSON(append(body, before...))
		rest = after
	}
	body = append(body, rest...)
	for len(body) < size {
		body = append(body, ' ')
	}
	return append(body, '\n'), nil
}

func holdsStructs(t reflect.Type) bool { return t.Elem().Kind() == reflect.Struct }

// hasSecret says whether wipe can find something in a value of type t.
func hasSecret(t reflect.Type) bool {
	return has(t, func(t reflect.Type, _ reflect.StructTag) bool { return t == reflect.TypeFor[ipc.Secret]() })
}

// hasList says whether a value of type t can hold a list that is always there.
func hasList(t reflect.Type) bool { return has(t, isList) }

// isList is a slice that JSON shows even when it is empty.
func isList(t reflect.Type, tag reflect.StructTag) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 && !omits(tag)
}

func omits(tag reflect.StructTag) bool {
	name := tag.Get("json")
	for i := range len(name) {
		if name[i] == ',' {
			return true
		}
	}
	return false
}

func has(t reflect.Type, want func(reflect.Type, reflect.StructTag) bool) bool {
	switch {
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice:
		return has(t.Elem(), want)
	case t.Kind() != reflect.Struct || t == reflect.TypeFor[ipc.Time]():
		return false
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if want(f.Type, f.Tag) || has(f.Type, want) {
			return true
		}
	}
	return false
}

// fillLists makes absent lists empty ones, so that a client reads [] and never
// null where the document promises an array.
func fillLists(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fillLists(v.Elem())
		}
	case reflect.Slice:
		if holdsStructs(v.Type()) {
			for i := range v.Len() {
				fillLists(v.Index(i))
			}
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[ipc.Time]() {
			return
		}
		for i := range v.NumField() {
			f := v.Field(i)
			if isList(f.Type(), v.Type().Field(i).Tag) && f.IsNil() {
				f.Set(reflect.MakeSlice(f.Type(), 0, 0))
				continue
			}
			fillLists(f)
		}
	}
}
