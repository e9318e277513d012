package httpapi

import (
	"reflect"

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
