package transfer

import (
	"context"
	"fmt"
	"strings"
)

// page is a web page with otpauth:// addresses in it, as Stratum writes one for
// people to keep.
type page struct{}

// Name implements Format.
func (page) Name() string { return "web page" }

// isPage says whether a file begins like a web page.
func isPage(f *File) bool {
	text := f.text()
	if text == "" { // a page may be in any of the old encodings
		text = string(f.Data[:min(len(f.Data), 512)])
	}
	begin := strings.ToLower(strings.TrimSpace(text[:min(len(text), 512)]))
	return strings.HasPrefix(begin, "<!doctype html") || strings.HasPrefix(begin, "<html")
}

// Detect implements Format.
func (page) Detect(f *File) Confidence {
	if isPage(f) && (containsScheme(f.text(), schemeOTP) || containsScheme(f.text(), schemeMigration)) {
		return Sure
	}
	return No
}

// Read implements Format. An address that is there as a link and as text is one
// account.
func (p page) Read(_ context.Context, f *File, _ Options) (Result, error) {
	c := collect(p.Name())
	seen := map[string]bool{}
	// Between marks and quotes there is text, or the value of an attribute.
	for piece := range strings.FieldsFuncSeq(f.text(), func(r rune) bool { return r == '<' || r == '>' || r == '"' || r == '\'' }) {
		piece = strings.TrimSpace(unescaped(piece))
		if !hasScheme(piece, schemeOTP) && !hasScheme(piece, schemeMigration) || seen[piece] {
			continue
		}
		seen[piece] = true
		where := fmt.Sprintf("address %d", len(seen))
		if hasScheme(piece, schemeMigration) {
			c.readPart(where, piece)
			continue
		}
		e := entry{where: where}
		if reason := parseAddress(&e, piece); reason != "" {
			c.skip(where, e.issuer, e.name, reason)
			continue
		}
		c.add(e)
	}
	return c.Result, nil
}

// unescaped is text of a page without the escapes that an address can have in it;
// an address has no letters beyond ASCII.
func unescaped(s string) string {
	return strings.NewReplacer("&amp;", "&", "&#38;", "&", "&#x26;", "&", "&quot;", `"`, "&#34;", `"`, "&#39;", "'", "&#x27;", "'",
		"&apos;", "'", "&lt;", "<", "&gt;", ">", "&#61;", "=", "&#x3D;", "=", "&#47;", "/", "&#x2F;", "/", "&nbsp;", " ").Replace(s)
}
