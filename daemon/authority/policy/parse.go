package policy

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// version is the version of the format that this package reads.
const version = 1

// The bounds of the lifetimes.
const (
	maxActivation = 24 * time.Hour
	maxPending    = 15 * time.Minute
	maxApproval   = 15 * time.Minute
	maxBypass     = 30 * 24 * time.Hour
)

// Parse reads a policy. Where a finding is an error there is no policy: it is
// nil. Other findings are about a policy that holds, and may not be what its
// author wanted.
func Parse(text []byte) (*Policy, []Finding) {
	r := &report{}
	root, o := decode(text, r)
	if root == nil {
		return nil, r.sorted()
	}
	p := read(&table{r: r, o: o, values: root, read: map[string]bool{}, entries: new(MaxEntries), globs: new(maxGlobs)})
	if !Failed(r.all) {
		lint(p, r)
	}
	if Failed(r.all) {
		p = nil
	}
	return p, r.sorted()
}

// decode gives the text to the TOML library once its outline is within bounds.
func decode(text []byte, r *report) (map[string]any, *outline) {
	refuse := func(line int, message, remedy string) (map[string]any, *outline) {
		r.add(Finding{Line: line, Severity: Error, Message: message, Remedy: remedy})
		return nil, nil
	}
	if len(text) > MaxSize {
		return refuse(0, fmt.Sprintf("the policy has %d bytes; %d is the most", len(text), MaxSize), "put users into groups and name those")
	}
	s := strings.TrimPrefix(string(text), "\ufeff")
	if !utf8.ValidString(s) {
		return refuse(lineOfInvalid(s), "the policy is not UTF-8", "save it as UTF-8")
	}
	const remedy = "mend the line; everything below it was not looked at"
	o, err := readOutline(s)
	stop, stopped := errors.AsType[*outlineError](err)
	if stopped {
		// The library says it better where it finds the same, and sees no more
		// than the outline has bounded.
		s = s[:min(stop.pos+1, len(s))]
	}
	root := map[string]any{}
	if _, err := toml.Decode(s, &root); err != nil && !stopped {
		line, message := 1, "cannot be read"
		if parse, ok := errors.AsType[toml.ParseError](err); ok {
			line, message = parse.Position.Line, plain(parse.Message)
		}
		return refuse(line, message, remedy)
	}
	if stopped {
		return refuse(stop.line, stop.what, remedy)
	}
	return root, o
}

// plain is the library's message in the form of ours, with nothing in it that
// moves a cursor.
func plain(message string) string {
	message = strings.TrimSuffix(message, ".")
	if message != "" {
		message = strings.ToLower(message[:1]) + message[1:]
	}
	return strings.Map(func(r rune) rune {
		if !printable(string(r)) {
			return '?'
		}
		return r
	}, message)
}

func lineOfInvalid(s string) int {
	for i, line := range strings.Split(s, "\n") {
		if !utf8.ValidString(line) {
			return i + 1
		}
	}
	return 0
}

func read(t *table) *Policy {
	p := &Policy{lifetimes: DefaultLifetimes()}
	if !t.has("version") {
		t.wrong("version", "the policy does not say which version of the format it is", fmt.Sprintf("write version = %d on the first line", version))
	} else {
		t.number("version", version, version)
	}
	if c := t.sub("contact"); c != nil {
		p.contact = readContact(c)
	}
	if s := t.sub(Base); s != nil {
		p.reactivation = readBase(s)
	} else if !Failed(t.r.all) {
		t.wrong(Base, "there is no [reactivation], so nothing is allowed", "write [reactivation] with allow, after_restore and old_device")
	}
	if l := t.sub("lifetimes"); l != nil {
		d := DefaultLifetimes()
		p.lifetimes = Lifetimes{
			Activation:     l.duration("activation", d.Activation, maxActivation),
			PendingSecret:  l.duration("pending_secret", d.PendingSecret, maxPending),
			DeviceApproval: l.duration("device_approval", d.DeviceApproval, maxApproval),
			BypassCode:     l.duration("bypass_code", d.BypassCode, maxBypass),
		}
		l.done()
	}
	p.readVerifiers(t.sub("verifiers"))
	if h := t.sub("help"); h != nil {
		p.help = readHelp(h)
	}
	p.rules = readRules(t)
	t.done()
	return p
}

func readContact(t *table) Contact {
	c := Contact{
		Name:  t.text("name", maxText, "IT helpdesk"),
		Phone: t.text("phone", maxText, "+41 44 000 00 00"),
		Email: t.text("email", maxText, "help@example.org"),
	}
	const portal = "https://help.example.org"
	if c.Portal = t.text("portal", maxText, portal); c.Portal != "" {
		if u, err := url.Parse(c.Portal); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			t.wrong("portal", fmt.Sprintf("%q is not an https address", c.Portal), fmt.Sprintf("write portal = %q", portal))
		}
	}
	t.done()
	return c
}

// readBase reads [reactivation], which must say everything that rules may leave
// open.
func readBase(t *table) settings {
	s := readSettings(t)
	s.name = Base
	for _, k := range []struct {
		key     string
		missing bool
		example string
	}{
		{"allow", !t.has("allow"), `allow = ["fob"]`},
		{"after_restore", !t.has("after_restore"), `after_restore = "allowed", or "forbidden"`},
		{"old_device", !t.has("old_device"), `old_device = "revoke", or "keep"`},
	} {
		if k.missing {
			t.wrong(k.key, "is missing", "write "+k.example)
		}
	}
	if s.factors == 0 {
		s.factors = 1
	}
	t.done()
	return s
}

// readSettings reads what [reactivation] and rules have in common.
func readSettings(t *table) settings {
	s := settings{line: t.line(""),
		allow: t.factors("allow"), ladder: t.ladder(), factors: t.number("factors", 1, maxFactors),
		restore:   t.oneOf("after_restore", restoreAllowed, restoreForbidden),
		oldDevice: OldDevice(t.oneOf("old_device", string(Revoke), string(Keep))),
		because:   t.text("because", maxText, "text messages can be intercepted"),
	}
	const who = "security office, security@example.org"
	switch s.forbidden = t.text("forbidden_by", maxText, who); {
	case s.restore == restoreForbidden && s.forbidden == "":
		t.wrong("forbidden_by", "nobody is named who forbade it", fmt.Sprintf("write who, and how he is reached: forbidden_by = %q", who))
	case s.restore != restoreForbidden && s.forbidden != "":
		t.wrong("forbidden_by", "names who forbade what is not forbidden", `write after_restore = "forbidden", or leave the line out`)
	}
	return s
}

// factors reads a list of factors.
func (t *table) factors(key string) []Factor {
	if key == "allow" && t.path == Base && t.has(key) {
		// Nothing at all is a policy, too, where it is said.
		if all, ok := t.values[key].([]any); ok && len(all) == 0 {
			return nil
		}
	}
	var out []Factor
	for i, s := range t.list(key, string(Fob)) {
		out = t.factor(out, key, i, s)
	}
	return out
}

func (t *table) factor(list []Factor, key string, i int, s string) []Factor {
	f := Factor(s)
	switch {
	case !known(f):
		words := make([]string, 0, len(Factors()))
		for _, w := range Factors() {
			words = append(words, string(w))
		}
		t.element(key, i, fmt.Sprintf("there is no factor %q", s), meant(s, words))
	case slices.Contains(list, f):
		t.element(key, i, fmt.Sprintf("names %s twice", f), "name it once")
	default:
		list = append(list, f)
	}
	return list
}

// ladder reads rungs, each a factor or a list of factors.
func (t *table) ladder() [][]Factor {
	const key = "ladder"
	if !t.has(key) {
		return nil
	}
	const example = `[["fob", "security_key"], "bypass_code"]`
	all, ok := t.values[key].([]any)
	if !ok || len(all) == 0 {
		t.wrongType(key, t.values[key], "a list of rungs", example)
		return nil
	}
	var out [][]Factor
	var flat []Factor
	for i, v := range all {
		rung, isList := v.([]any)
		if !isList {
			rung = []any{v}
		}
		before := len(flat)
		for _, f := range rung {
			s, ok := f.(string)
			if !ok {
				t.element(key, i, fmt.Sprintf("rung %d holds %s, not a factor", i+1, kind(f)), "write ladder = "+example)
				continue
			}
			flat = t.factor(flat, key, i, s)
		}
		if len(rung) == 0 {
			t.element(key, i, fmt.Sprintf("rung %d is empty", i+1), "leave it out")
		}
		out = append(out, slices.Clone(flat[before:]))
	}
	if len(all) == 1 {
		t.wrong(key, "has one rung, and so no second one to step to", "leave the line out, or add what comes next: ladder = "+example)
	}
	return out
}

// readVerifiers reads who verifies what. What only the authority can verify it
// verifies without being named.
func (p *Policy) readVerifiers(t *table) {
	p.verifiers = map[Factor][]Verifier{Fob: {Local}, SecurityKey: {Local}, OtherDevice: {Local}, BypassCode: {Local}}
	p.verifierLine = map[Factor]int{}
	if t == nil {
		return
	}
	for f, allowed := range map[Factor][]Verifier{Fob: {Local, Radius, Duo}, Push: {Radius, Duo}, SMS: {Radius, Duo}, PhoneCall: {Radius, Duo}} {
		key := string(f)
		if !t.has(key) {
			continue
		}
		p.verifierLine[f] = t.line(key)
		var list []Verifier
		for i, s := range t.list(key, string(allowed[0])) {
			switch v := Verifier(s); {
			case !slices.Contains(allowed, v):
				t.element(key, i, fmt.Sprintf("%q cannot verify %s", s, f), fmt.Sprintf("name one of %s", joined(allowed, ", ")))
			case slices.Contains(list, v):
				t.element(key, i, fmt.Sprintf("names %s twice", v), "name it once")
			default:
				list = append(list, v)
			}
		}
		p.verifiers[f] = list
	}
	for _, f := range []Factor{SecurityKey, OtherDevice, BypassCode} {
		if t.has(string(f)) {
			t.wrong(string(f), "is verified by the authority itself, always", "leave the line out")
		}
	}
	t.done()
}

// joined writes a list of words.
func joined[T ~string](list []T, between string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return strings.Join(out, between)
}
