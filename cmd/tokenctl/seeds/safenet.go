package seeds

import (
	"context"
	"strings"
)

// safeNet is the XML of Aladdin, later SafeNet, for its eToken PASS, and for
// SafeWord fobs of that make.
type safeNet struct{}

// Name implements format.
func (safeNet) Name() string { return "SafeNet or Aladdin XML" }

// Detect implements format.
func (safeNet) Detect(f *file) confidence {
	if f.root == "Tokens" {
		return sure
	}
	return no
}

// Read implements format.
func (n safeNet) Read(ctx context.Context, f *file, c *collector) error {
	nothing := func(*element) error { return nil }
	return walk(ctx, f, c.format, nothing, func(t *element) error {
		if t.name != "Token" {
			return nil
		}
		return n.token(t, c)
	})
}

// token reads a token, which should have one application.
func (safeNet) token(t *element, c *collector) error {
	serial := t.attr("serial")
	var with []*element
	for _, a := range t.child("Applications").all("Application") {
		if a.child("Seed") != nil {
			with = append(with, a)
		}
	}
	switch {
	case len(with) == 0:
		return c.skip(t.line, serial, faulty("Seed", "it has no seed"))
	case len(with) > 1:
		return c.skip(t.line, serial, faulty("Applications", "it has %d seeds, and nothing tells which is meant", len(with)))
	}
	a := with[0]
	e := &entry{
		line: t.line, serial: serial, kind: TypeHOTP, byLength: true,
		model: t.words("ProductName"), counter: parseNumber(a.words("MovingFactor")),
	}
	if !e.counter.given {
		e.warn("the file does not tell its counter; 0 was taken")
	}
	for _, other := range a.children {
		switch name := strings.ToLower(other.name); {
		case name == "seed", name == "movingfactor":
		case strings.Contains(name, "time"), strings.Contains(name, "interval"):
			return c.skip(t.line, serial, faulty(clean(other.name), "it seems to count time, and how is not known of this kind of file"))
		default:
			e.warn("its element %s is not known, and was left out", clean(other.name))
		}
	}
	var wrong *fault
	if e.secret, wrong = fromHex(strings.TrimSpace(a.words("Seed"))); wrong != nil {
		return c.skip(t.line, serial, wrong)
	}
	return c.add(e)
}

// all is the children of that name.
func (e *element) all(name string) []*element {
	var out []*element
	if e != nil {
		for _, c := range e.children {
			if c.name == name {
				out = append(out, c)
			}
		}
	}
	return out
}
