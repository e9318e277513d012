package transfer

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

// TestFormatsAreWhole: a format is a file with a type; what belongs to it besides
// must not be forgotten. Its place in formats, a fuzz target and a fixture, which
// seeds that target, are found here by the type alone.
func TestFormatsAreWhole(t *testing.T) {
	found := typesWithDetect(t)
	if len(found) < 25 {
		t.Fatalf("%d formats were found in the source", len(found))
	}
	listed := map[string]Format{}
	for _, f := range formats() {
		listed[reflect.TypeOf(f).Name()] = f
	}
	fuzzed := fuzzTargets(t)
	for _, name := range found {
		format, ok := listed[name]
		switch {
		case !ok:
			t.Errorf("%s is not in formats", name)
		case !slices.Contains(fuzzed, name):
			t.Errorf("%s has no fuzz target: func Fuzz…(f *testing.F) { fuzzFormat(f, %s{}) }", name, name)
		case !slices.ContainsFunc(fixtures(t), func(x fixture) bool { return format.Detect(&File{Data: x.data}) > No }):
			t.Errorf("%s has no fixture", name)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("%s is in formats and not in the source", name)
	}
}

// parsed is the package's files whose names pass.
func parsed(t *testing.T, pass func(name string) bool) []ast.Decl {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var decls []ast.Decl
	for _, name := range files {
		if !pass(name) {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		decls = append(decls, f.Decls...)
	}
	return decls
}

// typesWithDetect are the types of the package that implement Format.
func typesWithDetect(t *testing.T) []string {
	var names []string
	for _, d := range parsed(t, func(name string) bool { return !strings.HasSuffix(name, "_test.go") }) {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv == nil || f.Name.Name != "Detect" {
			continue
		}
		if id, ok := f.Recv.List[0].Type.(*ast.Ident); ok {
			names = append(names, id.Name)
		}
	}
	slices.Sort(names)
	return names
}

// fuzzTargets are the types that a fuzz target hands to fuzzFormat.
func fuzzTargets(t *testing.T) []string {
	var names []string
	for _, d := range parsed(t, func(name string) bool { return strings.HasSuffix(name, "_test.go") }) {
		f, ok := d.(*ast.FuncDecl)
		if !ok || !strings.HasPrefix(f.Name.Name, "Fuzz") {
			continue
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 2 {
				return true
			}
			if fn, ok := call.Fun.(*ast.Ident); !ok || fn.Name != "fuzzFormat" {
				return true
			}
			if lit, ok := call.Args[1].(*ast.CompositeLit); ok {
				if id, ok := lit.Type.(*ast.Ident); ok {
					names = append(names, id.Name)
				}
			}
			return true
		})
	}
	return names
}

// TestFormatsAreTold: no two formats take a file for their own with the same
// confidence, but where one of them hands it back; the order of the list decides
// nothing for the fixtures.
func TestFormatsAreTold(t *testing.T) {
	for _, x := range fixtures(t) {
		best, by := No, []string{}
		for _, f := range formats() {
			switch level := f.Detect(&File{Data: x.data}); {
			case level > best:
				best, by = level, []string{f.Name()}
			case level == best && level > No:
				by = append(by, f.Name())
			}
		}
		if len(by) != 1 {
			t.Errorf("%s is taken by %v", x.name, by)
		}
	}
}
