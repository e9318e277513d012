package dbus

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// documents are the interfaces in XML, written by hand; a test compares them with
// the table. Ours are installed in /usr/share/dbus-1/interfaces.
//
//go:embed xml/*.xml
var documents embed.FS

// Interfaces returns the XML of each interface of tokend's own, by its name.
func Interfaces() map[string]string {
	all := map[string]string{}
	for _, name := range []string{managerIface, vaultIface, tokenIface, accountIface} {
		all[name] = document(name)
	}
	return all
}

// document is a file of documents; it panics where there is none, which a test
// would have found.
func document(name string) string {
	b, err := documents.ReadFile("xml/" + name + ".xml")
	if err != nil {
		panic("dbus: " + err.Error())
	}
	return string(b)
}

// described is an interface as introspection shows it.
func described(name string) string {
	file := name
	if !strings.HasPrefix(name, Name) {
		file = busName
	}
	doc := document(file)
	begin := strings.Index(doc, `  <interface name="`+name+`">`)
	if begin < 0 {
		panic("dbus: no document of " + name)
	}
	const end = "</interface>\n"
	doc = doc[begin : begin+strings.Index(doc[begin:], end)+len(end)]
	// A text of several lines is one value.
	var b strings.Builder
	for line := range strings.Lines(doc) {
		line = strings.TrimSuffix(line, "\n")
		if rest := strings.TrimLeft(line, " "); !strings.HasPrefix(rest, "<") {
			b.WriteString(" " + rest)
		} else {
			b.WriteString("\n" + line)
		}
	}
	return b.String()[1:] + "\n"
}

// peerIface is what godbus answers by itself.
const peerIface = "org.freedesktop.DBus.Peer"

const doctype = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`

// introspect describes an object and names what is below it, for the caller.
func introspect(c *call) ([]any, error) {
	children, err := c.children()
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(doctype + "<node>\n")
	for i := range c.s.table {
		if f := &c.s.table[i]; f.at(c.node.kind) {
			b.WriteString(c.s.xml[f.name])
		}
	}
	b.WriteString(c.s.xml[peerIface])
	for _, name := range children {
		fmt.Fprintf(&b, "  <node name=%q/>\n", name)
	}
	b.WriteString("</node>\n")
	return []any{b.String()}, nil
}

// children is the next elements of the paths below the called object.
func (c *call) children() ([]string, error) {
	paths := []dbus.ObjectPath{vaultPath, tokenDir, accountDir}
	if c.node.path == tokenDir || c.node.path == accountDir {
		all, err := c.s.objects(c.ctx, c.who)
		if err != nil {
			return nil, err
		}
		paths = slices.Collect(maps.Keys(all))
	}
	names := map[string]bool{}
	base := strings.TrimSuffix(string(c.node.path), "/") + "/"
	for _, path := range paths {
		if rest, ok := strings.CutPrefix(string(path), base); ok {
			name, _, _ := strings.Cut(rest, "/")
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}
