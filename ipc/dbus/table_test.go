package dbus

import (
	"encoding/xml"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/httpapi"
)

// TestErrorNames: every kind has one name, and nothing else has.
func TestErrorNames(t *testing.T) {
	seen := map[string]ipc.Kind{}
	names := errorNames()
	for _, k := range ipc.Kinds() {
		name := names[k.Kind]
		if other, twice := seen[name]; twice {
			t.Errorf("%s and %s are both %s", k.Kind, other, name)
		}
		seen[name] = k.Kind
		if rest, ok := strings.CutPrefix(name, "io.github.tokenbridge.Tokend1.Error."); !ok || rest == "" || strings.ContainsAny(rest, "-_. ") || rest[0] < 'A' || rest[0] > 'Z' {
			t.Errorf("%s is called %q", k.Kind, name)
		}
	}
	for kind, want := range map[ipc.Kind]string{
		ipc.NotFound: "NotFound", ipc.PINRequired: "TokenPINRequired", ipc.NoKeyslot: "NoMatchingKeyslot",
		ipc.VerifierDown: "VerifierUnreachable", ipc.PINChange: "TokenPINChangeRequired",
	} {
		if names[kind] != Name+".Error."+want {
			t.Errorf("%s is called %s", kind, names[kind])
		}
	}
	s := New(Config{Backend: nobody{}})
	for _, k := range ipc.Kinds() {
		if e := s.told(ipc.Errorf(k.Kind, "it is so")); e.Name != names[k.Kind] || len(e.Body) != 1 || e.Body[0] != "it is so" {
			t.Errorf("%s is told as %v", k.Kind, e)
		}
	}
	if e := s.told(os.ErrNotExist); e.Name != names[ipc.Internal] || e.Body[0] != "internal error" {
		t.Errorf("an error of no kind is told as %v", e)
	}
}

type nobody struct{ ipc.Backend }

func TestDetails(t *testing.T) {
	tries := 2
	s := New(Config{Backend: nobody{}})
	e := s.told(&ipc.Error{
		Kind: ipc.PINInvalid, Message: "wrong\x00 PIN", Token: &ipc.TokenRef{ID: "a-b", Label: "x\xff"}, TriesLeft: &tries,
		RetryAfter: 3, Meanwhile: true, Items: []ipc.Item{{ID: "1", Name: "n", Reason: "r"}, {ID: "2", Name: "m"}},
	})
	// One argument: GLib shows no message where there are two.
	if len(e.Body) != 1 || e.Body[0] != "wrong PIN; token: x\uFFFD; tries left: 2; again in 3 s; 1 n: r; 2 m" {
		t.Fatalf("body: %q", e.Body)
	}
	e = s.told(&ipc.Error{Kind: ipc.TokenFailed, Message: `cannot use token "Blue"`, Token: &ipc.TokenRef{ID: "1", Label: "Blue"}})
	if len(e.Body) != 1 || e.Body[0] != `cannot use token "Blue"` {
		t.Errorf("a token that the message names: %q", e.Body)
	}
}

// node is introspection data.
type xmlNode struct {
	Interfaces []struct {
		Name    string `xml:"name,attr"`
		Methods []struct {
			Name        string          `xml:"name,attr"`
			Args        []xmlArg        `xml:"arg"`
			Annotations []xmlAnnotation `xml:"annotation"`
		} `xml:"method"`
		Signals []struct {
			Name        string          `xml:"name,attr"`
			Args        []xmlArg        `xml:"arg"`
			Annotations []xmlAnnotation `xml:"annotation"`
		} `xml:"signal"`
		Properties []struct {
			Name        string          `xml:"name,attr"`
			Type        string          `xml:"type,attr"`
			Access      string          `xml:"access,attr"`
			Annotations []xmlAnnotation `xml:"annotation"`
		} `xml:"property"`
	} `xml:"interface"`
}

type xmlArg struct {
	Name      string `xml:"name,attr"`
	Type      string `xml:"type,attr"`
	Direction string `xml:"direction,attr"`
}

type xmlAnnotation struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

func annotation(list []xmlAnnotation, name string) string {
	for _, a := range list {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

func argsOf(list []xmlArg, direction string) (out []arg) {
	for _, a := range list {
		if a.Direction == direction {
			out = append(out, arg{a.Name, a.Type})
		}
	}
	return out
}

// TestDocuments compares the hand-written XML with the table: names, types,
// directions, and that everything of ours is documented, with errors that there are.
func TestDocuments(t *testing.T) {
	errorNames := errorNames()
	table := interfaces()
	var parsed xmlNode
	for _, f := range table {
		var one xmlNode
		if err := xml.Unmarshal([]byte("<node>"+described(f.name)+"</node>"), &one); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		parsed.Interfaces = append(parsed.Interfaces, one.Interfaces...)
	}
	if len(parsed.Interfaces) != len(table) {
		t.Fatalf("%d interfaces in XML, %d in the table", len(parsed.Interfaces), len(table))
	}
	for i, f := range table {
		x, ours := parsed.Interfaces[i], strings.HasPrefix(f.name, Name)
		if x.Name != f.name || len(x.Methods) != len(f.methods) || len(x.Signals) != len(f.signals) || len(x.Properties) != len(f.properties) {
			t.Errorf("%s: the XML has %d methods, %d signals, %d properties; the table %d, %d, %d", f.name,
				len(x.Methods), len(x.Signals), len(x.Properties), len(f.methods), len(f.signals), len(f.properties))
			continue
		}
		for _, xm := range x.Methods {
			m := f.method(xm.Name)
			if m == nil {
				t.Errorf("%s.%s is not in the table", f.name, xm.Name)
				continue
			}
			in, out := argsOf(xm.Args, "in"), argsOf(xm.Args, "out")
			if xm.Name == "Set" {
				in = nil // a value of any type does not get that far
			}
			if !slices.Equal(in, m.in) || !slices.Equal(out, m.out) || len(in)+len(out) != len(xm.Args) && xm.Name != "Set" {
				t.Errorf("%s.%s: the XML has %v, %v; the table %v, %v", f.name, xm.Name, in, out, m.in, m.out)
			}
			doc := annotation(xm.Annotations, "org.gtk.GDBus.DocString")
			if !ours {
				continue
			}
			if doc == "" || m.action != "" && !strings.Contains(doc, actionPrefix+m.action+".") {
				t.Errorf("%s.%s is not documented, or not what polkit is asked", f.name, xm.Name)
			}
			for _, e := range strings.Fields(annotation(xm.Annotations, Name+".Errors")) {
				if !slices.Contains(slices.Collect(mapValues(errorNames)), Name+".Error."+e) {
					t.Errorf("%s.%s: there is no error %s", f.name, xm.Name, e)
				}
			}
			if annotation(xm.Annotations, Name+".Errors") == "" {
				t.Errorf("%s.%s: no errors", f.name, xm.Name)
			}
		}
		for j, xs := range x.Signals {
			if xs.Name != f.signals[j].name || !slices.Equal(argsOf(xs.Args, ""), f.signals[j].out) {
				t.Errorf("%s: signal %s of the XML is not %v", f.name, xs.Name, f.signals[j])
			}
			if ours && annotation(xs.Annotations, "org.gtk.GDBus.DocString") == "" {
				t.Errorf("%s.%s is not documented", f.name, xs.Name)
			}
		}
		for j, xp := range x.Properties {
			p := f.properties[j]
			emits := annotation(xp.Annotations, "org.freedesktop.DBus.Property.EmitsChangedSignal")
			if xp.Name != p.name || xp.Type != p.sig || xp.Access != "read" || p.quiet != (emits == "false" || emits == "const") {
				t.Errorf("%s: property %s of the XML is not %v", f.name, xp.Name, p)
			}
			if annotation(xp.Annotations, "org.gtk.GDBus.DocString") == "" {
				t.Errorf("%s.%s is not documented", f.name, xp.Name)
			}
		}
	}
}

func mapValues[K comparable, V any](m map[K]V) func(func(V) bool) {
	return func(yield func(V) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

// TestPropertiesAreAsDocumented compares what objects tell with the table.
func TestPropertiesAreAsDocumented(t *testing.T) {
	for name, told := range map[string]dict{
		vaultIface: vaultProperties(ipc.Vault{}, nil), tokenIface: tokenProperties(ipc.Token{}), accountIface: accountProperties(ipc.Account{}),
	} {
		for _, f := range interfaces() {
			if f.name != name {
				continue
			}
			if len(told) != len(f.properties) {
				t.Errorf("%s tells %d properties of %d", name, len(told), len(f.properties))
			}
			for _, p := range f.properties {
				if got := told[p.name].Signature().String(); got != p.sig {
					t.Errorf("%s.%s is of type %q, not %q", name, p.name, got, p.sig)
				}
			}
		}
	}
}

// TestActions: what polkit is asked about are actions of the routes over HTTP, and
// the policy file has those that are asked about, with a message.
func TestActions(t *testing.T) {
	routes := map[string]bool{}
	for _, r := range httpapi.Routes() {
		routes[r.Polkit] = true
	}
	asked := map[string]bool{}
	for _, f := range interfaces() {
		for _, m := range f.methods {
			if m.action == "" {
				continue
			}
			asked[actionPrefix+m.action] = true
			if !routes[actionPrefix+m.action] {
				t.Errorf("%s.%s: no route has the action %s", f.name, m.name, m.action)
			}
		}
	}
	b, err := os.ReadFile("../../packaging/polkit/io.github.tokenbridge.tokend.policy")
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Actions []struct {
			ID          string `xml:"id,attr"`
			Description string `xml:"description"`
			Message     string `xml:"message"`
			Any         string `xml:"defaults>allow_any"`
			Active      string `xml:"defaults>allow_active"`
		} `xml:"action"`
	}
	if err := xml.Unmarshal(b, &policy); err != nil {
		t.Fatal(err)
	}
	for _, a := range policy.Actions {
		if !asked[a.ID] || a.Description == "" || a.Message == "" || a.Any == "" || a.Active == "" {
			t.Errorf("the policy's action %+v is not asked about, or says too little", a)
		}
		delete(asked, a.ID)
	}
	if len(asked) > 0 {
		t.Errorf("the policy lacks %v", asked)
	}
}

// TestNoBroadcast: signals are made in emit.go alone, and there only for somebody;
// nothing is exported in a way that shows everybody everything.
func TestNoBroadcast(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("%v %v", files, err)
	}
	forbidden := []string{"Emit", "Export", "ExportAll", "ExportWithMap", "ExportSubtree", "ExportSubtreeWithMap", "ExportMethodTable", "ExportSubtreeMethodTable"}
	inEmit := []string{"TypeSignal", "Send", "SendWithContext"}
	found := map[string]int{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range parsed.Imports {
			if strings.HasPrefix(i.Path.Value, `"github.com/godbus/dbus/v5/`) {
				t.Errorf("%s imports %s, which knows no callers", file, i.Path.Value)
			}
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if slices.Contains(forbidden, sel.Sel.Name) {
				t.Errorf("%s uses %s", file, sel.Sel.Name)
			}
			if slices.Contains(inEmit, sel.Sel.Name) {
				if found[sel.Sel.Name]++; file != "emit.go" {
					t.Errorf("%s uses %s; signals are sent in emit.go", file, sel.Sel.Name)
				}
			}
			return true
		})
	}
	if found["TypeSignal"] == 0 || found["Send"] != 1 {
		t.Errorf("this test finds too little: %v", found)
	}
}

func TestPaths(t *testing.T) {
	for id, element := range map[string]string{
		"00ff": "00ff", "Ab9": "Ab9", "a_b": "a_5fb", "piv:é/ ": "piv_3a_c3_a9_2f_20", "_": "_5f",
	} {
		if got := encodeID(id); got != element || decodeID(element) != id || !dbus.ObjectPath("/"+got).IsValid() {
			t.Errorf("%q is %q, want %q, and that is %q", id, got, element, decodeID(element))
		}
	}
	for _, element := range []string{"", "_", "a_b", "a_5F", "_5", "_zz", "a_62", "__", strings.Repeat("a", 3*longestID+1), strings.Repeat("a", longestID+1), "_2_", "a/b"} {
		if got := decodeID(element); got != noID {
			t.Errorf("%q is read as %q", element, got)
		}
	}
	for path, want := range map[dbus.ObjectPath]kind{
		"/": kindDir, "/io": kindDir, "/io/github/tokenbridge": kindDir, Root: kindRoot, vaultPath: kindVault, tokenDir: kindDir,
		accountDir + "/x": kindAccount, accountDir + "/x/y": kindAccount, tokenDir + "/x": kindToken, "/i": kindNone, "/io/x": kindNone,
		vaultPath + "/x": kindNone, Root + "x": kindNone,
	} {
		if got := locate(path).kind; got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
