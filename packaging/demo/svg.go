//go:build linux

package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// The picture's measures, in pixels.
const (
	margin     = 18
	bar        = 34
	lineHeight = 19
	charWidth  = 9 // of a 14 px monospaced font, with some room
)

// draw makes the picture of a terminal.
func draw(all []span) []byte {
	for len(all) > 0 && all[len(all)-1].text == "" {
		all = all[:len(all)-1]
	}
	width := columns*charWidth + 2*margin
	height := bar + len(all)*lineHeight + 2*margin
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="tokenctl at a terminal">
<rect width="%d" height="%d" rx="8" fill="#16181d"/>
<circle cx="20" cy="18" r="6" fill="#e0605a"/><circle cx="40" cy="18" r="6" fill="#e0b34f"/><circle cx="60" cy="18" r="6" fill="#62b55c"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" xml:space="preserve">
`, width, height, width, height, width, height)
	for i, l := range all {
		if l.text == "" {
			continue
		}
		colour := "#c9ced6"
		if l.typed {
			colour = "#8fd18a"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">`, margin, bar+margin+i*lineHeight, colour)
		_ = xml.EscapeText(&b, []byte(l.text)) // a buffer takes all
		b.WriteString("</text>\n")
	}
	b.WriteString("</g>\n</svg>\n")
	return b.Bytes()
}
