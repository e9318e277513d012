//go:build cgo && linux && !nofido2

package fido2

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenbridge/tokend/tokens"
)

// maxShown is how long a list in a fact may become, in bytes.
const maxShown = 400

// Inspect implements tokens.Inspector, without PIN and touch: what the key tells
// of itself, and the tries left.
func (d *Driver) Inspect(ctx context.Context, locator string) (tokens.Details, error) {
	out := tokens.Details{PINTries: -1, PUKTries: -1}
	k, err := d.meet(ctx, locator, true)
	if err != nil {
		return out, err
	}
	out.Token = k.token(d.place(locator))
	if k.info == nil {
		out.Facts = []tokens.Fact{{Name: "CTAP versions", Value: "U2F_V2"}}
		return out, nil
	}
	out.PINTries = k.retries.PIN
	out.Facts = k.facts()
	return out, nil
}

// facts are what the key tells, in the order of showing.
func (k *key) facts() []tokens.Fact {
	i := k.info
	facts := []tokens.Fact{
		{Name: "CTAP versions", Value: shown(i.Versions)},
		{Name: "model (AAGUID)", Value: modelID(i.AAGUID)},
	}
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, tokens.Fact{Name: name, Value: value})
		}
	}
	if v := k.firmware(); v != "" {
		add("firmware version", v)
	} else if i.Firmware > 0 {
		add("firmware version", strconv.FormatUint(i.Firmware, 10))
	}
	add("PIN", k.pinFact())
	if k.retries.UV >= 0 {
		add("tries for a finger", strconv.Itoa(k.retries.UV))
	}
	var protocols []string
	for _, p := range i.Protocols {
		protocols = append(protocols, strconv.FormatUint(uint64(p), 10))
	}
	add("PIN/UV protocols", shown(protocols))
	add("extensions", shown(i.Extensions))
	var on, off []string
	for name, set := range i.Options {
		if set {
			on = append(on, name)
		} else {
			off = append(off, name)
		}
	}
	slices.Sort(on)
	slices.Sort(off)
	add("options on", shown(on))
	add("options off", shown(off))
	if i.MinPIN > 0 {
		add("shortest PIN", strconv.Itoa(i.MinPIN))
	}
	if i.Resident >= 0 {
		add("room for resident credentials", strconv.Itoa(i.Resident))
	}
	return facts
}

func (k *key) pinFact() string {
	set, known := k.info.Options["clientPin"]
	switch {
	case !known:
		return "not supported"
	case !set:
		return "not set"
	case k.info.ForcePINChange:
		return "set, to be changed before use"
	case k.retries.PIN == 0:
		return "blocked"
	case k.retries.Paused:
		return "set, paused until the key is plugged in anew"
	}
	return "set"
}

func shown(list []string) string {
	s := strings.Join(list, ", ")
	if len(s) > maxShown {
		s = s[:maxShown] + "…"
	}
	return s
}
