package seeds

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds on XML: no seed file comes near.
const (
	maxDepth    = 32
	maxElements = 20_000  // of one fob or one header
	maxChars    = 1 << 20 // bytes of text of one fob or one header
)

// element is a part of an XML file. Elements are known by their local names: makers
// bind the namespaces of PSKC and of its drafts as they like.
type element struct {
	name     string
	space    string
	attrs    []xml.Attr
	text     string
	children []*element
	line     int
}

// child is the first child of that name; nil, as of nil, where there is none. A path
// leads to children of children.
func (e *element) child(path ...string) *element {
	for _, name := range path {
		if e == nil {
			return nil
		}
		var found *element
		for _, c := range e.children {
			if c.name == name {
				found = c
				break
			}
		}
		e = found
	}
	return e
}

// either is the first of these children.
func (e *element) either(names ...string) *element {
	for _, n := range names {
		if c := e.child(n); c != nil {
			return c
		}
	}
	return nil
}

// words is the text of a child, without white space around it.
func (e *element) words(path ...string) string {
	if c := e.child(path...); c != nil {
		return strings.TrimSpace(c.text)
	}
	return ""
}

// attr is the first of these attributes, whatever their case.
func (e *element) attr(names ...string) string {
	if e == nil {
		return ""
	}
	for _, n := range names {
		for _, a := range e.attrs {
			if strings.EqualFold(a.Name.Local, n) {
				return strings.TrimSpace(a.Value)
			}
		}
	}
	return ""
}

// walk hands the outermost element, without children, to begin, and then each of its
// children, whole, to each. Between the calls nothing is kept.
func walk(ctx context.Context, f *file, format string, begin func(*element) error, each func(*element) error) error {
	d := f.decoder()
	depth := 0
	for {
		begins := line(d)
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return damagedXML(d, format, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.Directive:
			if isDoctype(t, "") {
				return problem(Unsafe, format, "the file has a document type (line %d), by which XML can reach for other files; no seed file needs one", begins)
			}
		case xml.StartElement:
			e := &element{name: t.Name.Local, space: t.Name.Space, attrs: t.Attr, line: begins}
			if depth == 0 {
				depth++
				if err := begin(e); err != nil {
					return err
				}
				continue
			}
			b := builder{d: d, format: format}
			if err := b.fill(e, 1); err != nil {
				return err
			}
			if err := each(e); err != nil {
				return err
			}
		case xml.EndElement:
			depth--
		}
	}
}

// line is where a decoder is. White space is a token of its own, so before a token it
// is where that begins.
func line(d *xml.Decoder) int {
	l, _ := d.InputPos()
	return l
}

// damagedXML says where XML breaks, and in the words of encoding/xml how, as far as
// they name elements alone.
func damagedXML(d *xml.Decoder, format string, err error) error {
	var syntax *xml.SyntaxError
	if !errors.As(err, &syntax) {
		return problem(Damaged, format, "the file is damaged in line %d", line(d))
	}
	switch m := syntax.Msg; {
	case strings.HasPrefix(m, "unexpected EOF"):
		return problem(Damaged, format, "the file is cut short in line %d", syntax.Line)
	case strings.HasPrefix(m, "element <") && strings.Contains(m, " closed by "):
		return problem(Damaged, format, "the file is damaged in line %d: %s", syntax.Line, clean(m))
	case strings.HasPrefix(m, "invalid character entity"):
		return problem(Damaged, format, "the file is damaged in line %d: it has an entity that XML does not define", syntax.Line)
	}
	return problem(Damaged, format, "the file is damaged in line %d", syntax.Line)
}

// builder makes elements of what a decoder reads.
type builder struct {
	d        *xml.Decoder
	format   string
	elements int
	chars    int
}

// fill reads e to its end.
func (b *builder) fill(e *element, depth int) error {
	if b.elements++; depth > maxDepth || b.elements > maxElements {
		return problem(TooLarge, b.format, "the element of line %d is deeper or larger than any of a seed file", e.line)
	}
	var text []byte
	for {
		begins := line(b.d)
		t, err := b.d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("unexpected end: %w", err)
			}
			return damagedXML(b.d, b.format, err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			c := &element{name: t.Name.Local, space: t.Name.Space, attrs: t.Attr, line: begins}
			if err := b.fill(c, depth+1); err != nil {
				return err
			}
			e.children = append(e.children, c)
		case xml.CharData:
			if b.chars += len(t); b.chars > maxChars {
				return problem(TooLarge, b.format, "the element of line %d is deeper or larger than any of a seed file", e.line)
			}
			text = append(text, t...)
		case xml.EndElement:
			e.text = string(text)
			clear(text)
			return nil
		}
	}
}
