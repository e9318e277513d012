package transfer

import (
	"context"
	"encoding/json"
)

// extension is the JSON export of the browser extension Authenticator: an object
// whose members are the accounts.
type extension struct{}

// Name implements Format.
func (extension) Name() string { return "Authenticator extension" }

type extensionEntry struct {
	Account, Issuer, Secret, Type, Algorithm, Encrypted, Pinned loose
	Counter, Digits, Period, Index                              number
}

// extensionKey is the member that is no account: how the others are encrypted.
const extensionKey = "key"

// Detect implements Format.
func (extension) Detect(f *File) Confidence {
	for name, raw := range f.json().object {
		var e map[string]json.RawMessage
		if name == extensionKey {
			continue
		}
		if json.Unmarshal(raw, &e) != nil || e["secret"] == nil || e["type"] == nil || e["hash"] == nil {
			return No
		}
	}
	if len(f.json().object) > 0 && !f.has(extensionKey) || len(f.json().object) > 1 {
		return Sure
	}
	return No
}

// Read implements Format.
func (x extension) Read(_ context.Context, f *File, _ Options) (Result, error) {
	c := collect(x.Name())
	object := f.json().object
	n := 0
	for _, name := range sortedKeys(object) {
		if name == extensionKey {
			continue
		}
		where := nth(n)
		n++
		var e extensionEntry
		if json.Unmarshal(object[name], &e) != nil {
			c.skip(where, "", "", badEntry)
			continue
		}
		if e.Encrypted.yes() {
			return Result{}, problem(Unsupported, x.Name(), "the export is encrypted in a way that is not read; the extension can export without a password")
		}
		out := entry{
			where: where, issuer: string(e.Issuer), name: string(e.Account), kind: string(e.Type), algorithm: string(e.Algorithm),
			digits: e.Digits, period: e.Period, counter: e.Counter, base32: string(e.Secret), favourite: e.Pinned.yes(), order: int(min(e.Index.value, 1<<30)),
		}
		c.add(out)
	}
	return c.Result, nil
}
