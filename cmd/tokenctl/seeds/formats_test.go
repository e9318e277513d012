package seeds

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestFormatsAreWhole: every type with a Detect is in formats, and has fixtures and a
// fuzz target.
func TestFormatsAreWhole(t *testing.T) {
	listed := map[string]format{}
	for _, f := range formats() {
		listed[reflect.TypeOf(f).Name()] = f
	}
	found, fuzzed := inSource(t)
	const least = 7
	if len(found) < least {
		t.Fatalf("%d formats were found in the source", len(found))
	}
	for _, name := range found {
		known, ok := listed[name]
		switch {
		case !ok:
			t.Errorf("%s is not in formats", name)
		case !slices.Contains(fuzzed, name):
			t.Errorf("%s has no fuzz target: func Fuzz…(f *testing.F) { fuzzFormat(f, %s{}) }", name, name)
		case !slices.ContainsFunc(fixtures(), func(x fixture) bool { return x.format == known.Name() && len(x.want) > 0 }):
			t.Errorf("%s has no fixture with a row", name)
		case !slices.ContainsFunc(fixtures(), func(x fixture) bool { return x.format == known.Name() && len(x.skips) > 0 }):
			t.Errorf("%s has no fixture with a skip", name)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("%s is in formats and not in the source", name)
	}
}

// inSource is the types that have a Detect, and those that a fuzz target takes.
func inSource(t *testing.T) (detect, fuzzed []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			switch {
			case !ok:
			case f.Recv != nil && f.Name.Name == "Detect":
				if id, ok := f.Recv.List[0].Type.(*ast.Ident); ok {
					detect = append(detect, id.Name)
				}
			case strings.HasPrefix(f.Name.Name, "Fuzz"):
				ast.Inspect(f.Body, func(n ast.Node) bool {
					if lit, ok := n.(*ast.CompositeLit); ok {
						if id, ok := lit.Type.(*ast.Ident); ok {
							fuzzed = append(fuzzed, id.Name)
						}
					}
					return true
				})
			}
		}
	}
	return detect, fuzzed
}

// TestFormatsAreTold: no two formats take a fixture for theirs with the same
// confidence; the order of the list decides nothing.
func TestFormatsAreTold(t *testing.T) {
	for _, x := range fixtures() {
		f, err := open([]byte(x.data))
		if err != nil {
			t.Fatal(err)
		}
		best, by := no, []string{}
		for _, known := range formats() {
			switch level := known.Detect(f); {
			case level > best:
				best, by = level, []string{known.Name()}
			case level == best && level > no:
				by = append(by, known.Name())
			}
		}
		if len(by) != 1 {
			t.Errorf("%s is taken by %v", x.name, by)
		}
	}
}

// TestOtherFiles: files that are no seed files are called what they are.
func TestOtherFiles(t *testing.T) {
	for name, x := range map[string]struct {
		data string
		kind Kind
	}{
		"nothing":        {"", Empty},
		"white space":    {" \r\n\t", Empty},
		"a mark alone":   {"\xff\xfe", Unknown},
		"zeros":          {"\x00\x00\x00", Empty},
		"a ZIP archive":  {"PK\x03\x04abc", Packed},
		"gzip":           {"\x1f\x8b\x08abc", Packed},
		"a PDF":          {"%PDF-1.7", Packed},
		"OpenPGP":        {"-----BEGIN PGP MESSAGE-----\n", Packed},
		"old Excel":      {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Packed},
		"a page":         {"<!DOCTYPE html>\n<html><body>Log in</body></html>", WebPage},
		"other XML":      {"<?xml version=\"1.0\"?><map><string>a</string></map>", Unknown},
		"broken XML":     {"<KeyContainer <", Damaged},
		"a letter":       {"Dear customer,\nhere are your fobs.\n", Unknown},
		"bytes":          {"\x01\x02\xff\xfe\x00\x90", Unknown},
		"names alone":    {"anna, smith\nbo, jones\n", Unknown},
		"addresses":      {"otpauth://totp/a?secret=" + b32(seed20) + "\n", Unknown},
		"a header alone": {"serial number,secret key\n", NoFobs},
	} {
		if _, err := readAll(t.Context(), []byte(x.data), Options{}); KindOf(err) != x.kind {
			t.Errorf("%s: %v; want %s", name, err, x.kind)
		}
	}
}

// TestOptions: options that fit no file are refused before it is read.
func TestOptions(t *testing.T) {
	for _, o := range []Options{{Type: "yubico"}, {Encoding: "rot13"}, {Algorithm: "MD5"}, {Digits: 9}, {Period: 301}, {Period: -1}, {MinSecret: 65}, {MinSecret: -1}} {
		if _, err := readAll(t.Context(), []byte("1,"+hx(seed20)), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
