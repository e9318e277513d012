package transfer

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// maxURI is the longest otpauth address that is looked at, in bytes.
const maxURI = 16 << 10

const (
	schemeOTP        = "otpauth://"
	schemeMigration  = "otpauth-migration://"
	schemeSteam      = "steam://"
	schemeActivation = "tokend-activate:" // of an authority: see daemon/authority/message
)

func hasScheme(s, scheme string) bool {
	return len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme)
}

// isAddress says whether s begins like the address of an account.
func isAddress(s string) bool { return hasScheme(s, schemeOTP) || hasScheme(s, schemeSteam) }

// parseAddress reads an otpauth:// or steam:// address into e, whose fields
// where, issuer and name are kept where the address does not tell them; reason
// says why it cannot be read, if so. It means the same by an address as the
// daemon does (daemon/otp, ParseURI), but takes some that the daemon refuses,
// with a warning where codes could be wrong: what matters is that an account that
// another product could use is not left behind.
func parseAddress(e *entry, uri string) (reason string) {
	uri = strings.TrimSpace(uri)
	switch {
	case len(uri) > maxURI:
		return "its address is longer than 16384 bytes"
	case hasScheme(uri, schemeSteam):
		e.kind = typeSteam
		e.base32, _, _ = strings.Cut(uri[len(schemeSteam):], "?")
		e.base32 = strings.Trim(e.base32, "/")
		if e.issuer == "" {
			e.issuer = "Steam"
		}
		return ""
	case !hasScheme(uri, schemeOTP):
		return "it is no otpauth:// address"
	}
	head, query, _ := strings.Cut(uri[len(schemeOTP):], "?")
	kind, label, _ := strings.Cut(head, "/")
	params, reason := parseParams(e, query)
	if reason != "" {
		return reason
	}
	e.kind = kind
	if enc, ok := params["encoder"]; ok && !strings.EqualFold(enc, "none") {
		if !strings.EqualFold(enc, typeSteam) || !strings.EqualFold(kind, typeTOTP) {
			return "its codes are made by an unknown encoder"
		}
		e.kind = typeSteam
	}
	e.base32, e.algorithm = params["secret"], params["algorithm"]
	e.digits, e.period, e.counter = parseNumber(params["digits"]), parseNumber(params["period"]), parseNumber(params["counter"])
	text, err := url.PathUnescape(label)
	if err != nil {
		text = label
	}
	setAddressNames(e, text, params)
	if strings.EqualFold(e.kind, typeTOTP) && e.digits.value == steamDigits && strings.EqualFold(e.issuer, typeSteam) {
		e.kind = typeSteam
	}
	return ""
}

// parseParams reads the parameters; "issuer+" is the issuer with its plus signs.
func parseParams(e *entry, query string) (params map[string]string, reason string) {
	params = map[string]string{}
	for part := range strings.SplitSeq(query, "&") {
		key, raw, _ := strings.Cut(part, "=")
		key, err := url.QueryUnescape(key)
		if err != nil {
			continue
		}
		key = strings.ToLower(key)
		if !slices.Contains([]string{"secret", "issuer", "algorithm", "digits", "period", "counter", "encoder", "codedisplay"}, key) {
			continue
		}
		value, err := url.QueryUnescape(raw)
		if err != nil {
			if key == "codedisplay" {
				continue
			}
			if key != "issuer" {
				return nil, "its address has broken percent-encoding"
			}
			value = raw
		}
		if before, twice := params[key]; twice && before != value {
			return nil, "its address has the parameter " + key + " twice"
		}
		params[key] = value
		if key == "issuer" {
			if params["issuer+"], err = url.PathUnescape(raw); err != nil {
				params["issuer+"] = raw
			}
		}
	}
	if display := params["codedisplay"]; display != "" {
		readCodeDisplay(e, display)
	}
	return params, ""
}

// trashed marks an entry that lay in a product's bin.
const trashed = "trashed"

// readCodeDisplay reads what Ente adds to its addresses.
func readCodeDisplay(e *entry, text string) {
	var d struct {
		Pinned  bool    `json:"pinned"`
		Trashed bool    `json:"trashed"`
		Tags    []loose `json:"tags"`
		Note    loose   `json:"note"`
	}
	if json.Unmarshal([]byte(text), &d) != nil {
		return
	}
	e.favourite = d.Pinned
	for _, t := range d.Tags {
		e.tags = append(e.tags, string(t))
	}
	if e.note == "" {
		e.note = string(d.Note)
	}
	if d.Trashed {
		e.group = trashed
	}
}

// setAddressNames takes the names out of label and issuer parameter: the
// parameter counts more, and nothing of the label is lost.
func setAddressNames(e *entry, label string, params map[string]string) {
	label = strings.TrimSpace(label)
	issuer := strings.TrimSpace(params["issuer"])
	if plus := strings.TrimSpace(params["issuer+"]); plus != issuer && labelBegins(label, plus) {
		issuer = plus
	}
	issuer, name := splitLabel(issuer, label)
	if issuer != "" {
		e.issuer = issuer
	}
	if name != "" {
		e.name = name
	}
}

// splitLabel takes "issuer:name" apart. Where the issuer is known, only it is
// taken off.
func splitLabel(issuer, label string) (string, string) {
	name := label
	switch {
	case issuer == "":
		if before, after, found := strings.Cut(label, ":"); found {
			issuer, name = before, after
		}
	case labelBegins(label, issuer):
		name = label[len(issuer):]
		name = name[strings.Index(name, ":")+1:]
	default:
		name = strings.TrimPrefix(label, ":")
	}
	return strings.TrimSpace(issuer), strings.TrimSpace(name)
}

// labelBegins says whether the label is the issuer, a colon and more.
func labelBegins(label, issuer string) bool {
	return issuer != "" && len(label) > len(issuer) && strings.EqualFold(label[:len(issuer)], issuer) &&
		strings.HasPrefix(strings.TrimSpace(label[len(issuer):]), ":")
}
