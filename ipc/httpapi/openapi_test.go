package httpapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/httpapi"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// words is what the Go source says of the wire types: comments by "Type" and
// "Type.Field", constants by type.
type words struct {
	docs  map[string]string
	enums map[string][]string
}

func readWords(t *testing.T) words {
	t.Helper()
	w := words{map[string]string{}, map[string][]string{}}
	for _, pattern := range []string{"../*.go", "routes.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no source at %s: %v", pattern, err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				if g, ok := d.(*ast.GenDecl); ok {
					w.declaration(g)
				}
			}
		}
	}
	return w
}

func (w words) declaration(g *ast.GenDecl) {
	for _, spec := range g.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			w.docs[s.Name.Name] = text(s.Doc, g.Doc)
			if st, ok := s.Type.(*ast.StructType); ok {
				for _, f := range st.Fields.List {
					for _, n := range f.Names {
						w.docs[s.Name.Name+"."+n.Name] = text(f.Doc, f.Comment)
					}
				}
			}
		case *ast.ValueSpec:
			typ, ok := s.Type.(*ast.Ident)
			if g.Tok != token.CONST || !ok {
				continue
			}
			for _, v := range s.Values {
				if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if value, err := strconv.Unquote(lit.Value); err == nil {
						w.enums[typ.Name] = append(w.enums[typ.Name], value)
					}
				}
			}
		}
	}
}

func text(groups ...*ast.CommentGroup) string {
	var parts []string
	for _, g := range groups {
		if s := strings.Join(strings.Fields(g.Text()), " "); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "; ")
}

type object = map[string]any

// generator builds the document.
type generator struct {
	words
	schemas object
	input   map[string]bool // schemas that requests use
}

func (g *generator) document() object {
	paths := object{}
	for _, r := range httpapi.Routes() {
		p, _ := paths[r.Path].(object)
		if p == nil {
			p = object{}
			paths[r.Path] = p
		}
		p[strings.ToLower(r.Method)] = g.operation(r)
	}
	g.schema(reflect.TypeFor[ipc.Error](), false)
	g.schemas["ErrorAnswer"] = object{
		"type": "object", "required": []string{"version", "error"},
		"properties": object{"version": object{"type": "integer"}, "error": ref("Error")},
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "tokend", "version": strconv.Itoa(ipc.Version),
			"description": "The local API of tokend: HTTP/1.1 and JSON on a unix socket or a named pipe. The caller is who the kernel says he is. docs/api.md tells more.",
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":    []any{object{"url": "http://tokend", "description": "over the socket; the host is tokend or localhost"}},
		"paths":      paths,
		"components": object{"schemas": g.schemas, "responses": object{"Error": errorAnswer()}},
	}
}

func errorAnswer() object {
	var b strings.Builder
	b.WriteString("Status and kind of the error:")
	for _, k := range ipc.Kinds() {
		if k.HTTP >= 400 {
			b.WriteString(" " + strconv.Itoa(k.HTTP) + " " + string(k.Kind) + ",")
		}
	}
	b.WriteString(" and from HTTP itself 405 and 505 unsupported, 408, 413, 415 and 431 invalid-argument. A client decides by the kind.")
	return object{"description": b.String(), "content": object{"application/json": object{"schema": ref("ErrorAnswer")}}}
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func (g *generator) operation(r httpapi.Route) object {
	op := object{
		"operationId": operationID(r), "summary": r.Summary, "x-access": string(r.Access),
	}
	if r.Polkit != "" {
		op["x-polkit-action"] = r.Polkit
	}
	var params []any
	if strings.Contains(r.Path, "{id}") {
		params = append(params, object{"name": "id", "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	if r.Query != "" {
		params = append(params, object{"name": r.Query, "in": "query", "required": true, "schema": object{"type": "string"}})
	}
	if params != nil {
		op["parameters"] = params
	}
	if r.Request != nil {
		schema := g.schema(r.Request, true)
		required := len(requiredFields(r.Request)) > 0
		op["requestBody"] = object{"required": required, "content": object{"application/json": object{"schema": schema}}}
		op["x-max-body"] = r.MaxBody
	}
	mime, schema := "application/json", g.schema(r.Response, false)
	if r.Response.Name() == "" {
		schema = object{"type": "object"}
	}
	if r.Text {
		mime, schema = "text/plain; version=0.0.4; charset=utf-8", object{"type": "string"}
	}
	answer := object{"description": "done"}
	if r.Stream {
		mime = "application/x-ndjson"
		answer["description"] = "one event a line, and now and then a line of type " + httpapi.EventKeepAlive
	}
	answer["content"] = object{mime: object{"schema": schema}}
	op["responses"] = object{"200": answer, "default": object{"$ref": "#/components/responses/Error"}}
	return op
}

func operationID(r httpapi.Route) string {
	return strings.ToLower(r.Method) + strings.NewReplacer("/v1/", "-", "/", "-", "{", "", "}", "", ".", "-").Replace(r.Path)
}

func (g *generator) schema(t reflect.Type, input bool) object {
	switch {
	case t == reflect.TypeFor[ipc.Secret]():
		return object{"type": "string", "format": "password"}
	case t == reflect.TypeFor[ipc.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[[]byte]():
		return object{"type": "string", "contentEncoding": "base64"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.schema(t.Elem(), input)
	case reflect.Slice:
		return object{"type": "array", "items": g.schema(t.Elem(), input)}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return object{"type": "integer"}
	case reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.String:
		s := object{"type": "string"}
		if values := g.enums[t.Name()]; values != nil && t.PkgPath() != "" {
			s["enum"] = values
		}
		return s
	case reflect.Struct:
		return g.structure(t, input)
	default:
		panic("no schema for " + t.String())
	}
}

func (g *generator) structure(t reflect.Type, input bool) object {
	if t.Name() == "" {
		return object{"type": "object"}
	}
	if g.schemas[t.Name()] == nil || (input && !g.input[t.Name()]) {
		s := object{"type": "object", "description": g.docs[t.Name()]}
		g.schemas[t.Name()] = s // before its fields: types can hold themselves
		if input {
			g.input[t.Name()] = true
			s["additionalProperties"] = false
		}
		properties := object{}
		for i := range t.NumField() {
			name, _, ok := jsonField(t.Field(i))
			if !ok {
				continue
			}
			p := g.schema(t.Field(i).Type, input)
			if doc := g.docs[t.Name()+"."+t.Field(i).Name]; doc != "" {
				p["description"] = doc
			}
			properties[name] = p
		}
		s["properties"] = properties
		if r := requiredFields(t); len(r) > 0 {
			s["required"] = r
		}
	}
	return ref(t.Name())
}

func jsonField(f reflect.StructField) (name string, required, ok bool) {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name, options == "", name != "-"
}

func requiredFields(t reflect.Type) []string {
	var list []string
	for i := range t.NumField() {
		if name, required, ok := jsonField(t.Field(i)); ok && required {
			list = append(list, name)
		}
	}
	return list
}

func TestOpenAPIIsCurrent(t *testing.T) {
	g := &generator{words: readWords(t), schemas: object{}, input: map[string]bool{}}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(g.document()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Log("written; run again without -update")
		return
	}
	if !bytes.Equal(b.Bytes(), httpapi.OpenAPI()) {
		t.Error("openapi.json is not what routes, wire types and comments say: go test ./ipc/httpapi -run TestOpenAPI -update")
	}
}

// document is the part of openapi.json that the next test reads; it shares no
// code with the generator.
type document struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		RequestBody *struct {
			Content map[string]struct{ Schema map[string]string }
		}
		Responses map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
	Components struct {
		Schemas map[string]struct {
			Properties map[string]json.RawMessage
			Required   []string
		}
	}
}

func TestOpenAPIAgreesWithRoutesAndTypes(t *testing.T) {
	var d document
	if err := json.Unmarshal(httpapi.OpenAPI(), &d); err != nil {
		t.Fatal(err)
	}
	if d.OpenAPI != "3.1.0" {
		t.Errorf("version %q", d.OpenAPI)
	}
	types := map[string]reflect.Type{}
	collect(reflect.TypeFor[ipc.Error](), types)
	seen := map[string]bool{}
	for _, r := range httpapi.Routes() {
		method := strings.ToLower(r.Method)
		op, ok := d.Paths[r.Path][method]
		if !ok {
			t.Errorf("the document lacks %s %s", r.Method, r.Path)
			continue
		}
		seen[method+" "+r.Path] = true
		collect(r.Response, types)
		if (r.Request != nil) != (op.RequestBody != nil) {
			t.Errorf("%s %s: body in the document %v, in the table %v", r.Method, r.Path, op.RequestBody, r.Request)
		}
		if r.Request != nil {
			collect(r.Request, types)
			if got := op.RequestBody.Content["application/json"].Schema["$ref"]; got != "#/components/schemas/"+r.Request.Name() {
				t.Errorf("%s %s takes %s, want %s", r.Method, r.Path, got, r.Request.Name())
			}
		}
		for _, c := range op.Responses["200"].Content {
			if got, want := c.Schema["$ref"], "#/components/schemas/"+r.Response.Name(); r.Response.Name() != "" && !r.Text && got != want {
				t.Errorf("%s %s answers %v, want %s", r.Method, r.Path, got, want)
			}
		}
	}
	for path, methods := range d.Paths {
		for m := range methods {
			if !seen[m+" "+path] {
				t.Errorf("no route for %s %s in the document", m, path)
			}
		}
	}
	compareTypes(t, d, types)
}

func compareTypes(t *testing.T, d document, types map[string]reflect.Type) {
	t.Helper()
	for name, typ := range types {
		s, ok := d.Components.Schemas[name]
		if !ok {
			t.Errorf("the document lacks the type %s", name)
			continue
		}
		var fields, required []string
		for i := range typ.NumField() {
			if f, must, ok := jsonField(typ.Field(i)); ok {
				fields = append(fields, f)
				if must {
					required = append(required, f)
				}
				if s.Properties[f] == nil {
					t.Errorf("%s.%s is not in the document", name, f)
				}
			}
		}
		for p := range s.Properties {
			if !slices.Contains(fields, p) {
				t.Errorf("%s.%s is in the document alone", name, p)
			}
		}
		if !slices.Equal(s.Required, required) {
			t.Errorf("%s requires %q, want %q", name, s.Required, required)
		}
	}
	for name := range d.Components.Schemas {
		if types[name] == nil && name != "ErrorAnswer" {
			t.Errorf("the type %s is in the document alone", name)
		}
	}
}

func collect(t reflect.Type, into map[string]reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		collect(t.Elem(), into)
	case reflect.Struct:
		if t == reflect.TypeFor[ipc.Time]() || into[t.Name()] != nil || t.Name() == "" {
			return
		}
		into[t.Name()] = t
		for i := range t.NumField() {
			if _, _, ok := jsonField(t.Field(i)); ok {
				collect(t.Field(i).Type, into)
			}
		}
	}
}
