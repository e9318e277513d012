package policy

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed presets/no-sms-no-calls.toml
var presetNoSMS string

//go:embed presets/fob-only.toml
var presetFobOnly string

//go:embed presets/open.toml
var presetOpen string

// DefaultPreset is what an authority begins with.
const DefaultPreset = "no-sms-no-calls"

// Presets are the names of the policies to begin with.
func Presets() []string { return []string{DefaultPreset, "fob-only", "open"} }

// Preset is the text of a policy to begin with, with comments for whoever edits
// it. What c leaves empty stands there as a comment.
func Preset(name string, c Contact) (string, error) {
	var text string
	switch name {
	case DefaultPreset:
		text = presetNoSMS
	case "fob-only":
		text = presetFobOnly
	case "open":
		text = presetOpen
	default:
		return "", fmt.Errorf("there is no preset %q: %s", name, strings.Join(Presets(), ", "))
	}
	for _, k := range []struct{ key, value string }{
		{"name", c.Name}, {"phone", c.Phone}, {"email", c.Email}, {"portal", c.Portal},
	} {
		if k.value == "" {
			continue
		}
		if !printable(k.value) {
			return "", fmt.Errorf("cannot use the contact's %s: it has characters that cannot be shown", k.key)
		}
		// The first commented example of the key gives way to the real one.
		start := strings.Index(text, "\n# "+k.key+" = ") + 1
		end := start + strings.IndexByte(text[start:], '\n')
		text = text[:start] + k.key + " = " + quote(k.value) + text[end:]
	}
	return text, nil
}

// quote writes a printable text as a basic string of TOML.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
