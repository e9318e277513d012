package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"
)

// twofas is the backup of 2FAS: JSON of schema 1 to 4, its services plain or
// encrypted (PBKDF2 with SHA-256, AES-GCM).
type twofas struct{}

// Name implements Format.
func (twofas) Name() string { return "2FAS" }

// Detect implements Format.
func (twofas) Detect(f *File) Confidence {
	switch {
	case f.has("services", "schemaVersion"), f.has("servicesEncrypted"):
		return Sure
	case f.has("services", "appVersionCode"):
		return Likely
	}
	return No
}

type twofasFile struct {
	SchemaVersion     number
	Services          []json.RawMessage
	Groups            []struct{ ID, Name loose }
	ServicesEncrypted loose
	Reference         loose
}

type twofasService struct {
	Name, Secret, GroupID loose
	OTP                   struct {
		Label, Account, Issuer, Algorithm, TokenType loose
		Digits, Period, Counter                      number
	}
	Order struct{ Position number }
}

const (
	twofasRounds = 10_000
	twofasSchema = 4
)

// Read implements Format.
func (t twofas) Read(ctx context.Context, f *File, o Options) (Result, error) {
	var file twofasFile
	if json.Unmarshal([]byte(f.text()), &file) != nil {
		return Result{}, damaged(t.Name(), "it has not the form of a backup")
	}
	if file.SchemaVersion.value > twofasSchema {
		return Result{}, newer(t.Name(), file.SchemaVersion.value)
	}
	if file.ServicesEncrypted != "" {
		plain, err := t.open(ctx, file, o)
		if err != nil {
			return Result{}, err
		}
		defer clear(plain)
		if json.Unmarshal(plain, &file.Services) != nil {
			return Result{}, damaged(t.Name(), "its content has not the form of a backup")
		}
	}
	c := collect(t.Name())
	groups := map[loose]string{}
	for _, g := range file.Groups {
		groups[g.ID] = string(g.Name)
	}
	for i, raw := range file.Services {
		var s twofasService
		if json.Unmarshal(raw, &s) != nil {
			c.skip(nth(i), "", "", badEntry)
			continue
		}
		e := t.entry(s)
		e.where, e.group = nth(i), groups[s.GroupID]
		c.add(e)
	}
	return c.Result, nil
}

// entry takes the issuer where there is one; else the name that the user gave.
func (twofas) entry(s twofasService) entry {
	e := entry{
		issuer: strings.TrimSpace(string(s.OTP.Issuer)), name: strings.TrimSpace(string(s.OTP.Account)),
		kind: string(s.OTP.TokenType), algorithm: string(s.OTP.Algorithm),
		digits: s.OTP.Digits, period: s.OTP.Period, counter: s.OTP.Counter,
		base32: string(s.Secret), order: int(min(s.Order.Position.value, 1<<30)),
	}
	called := strings.TrimSpace(string(s.Name))
	switch {
	case e.issuer == "":
		e.issuer = called
	case called != "" && !strings.EqualFold(called, e.issuer):
		e.note = called
	}
	if e.name == "" {
		_, e.name = splitLabel(e.issuer, string(s.OTP.Label))
	}
	return e
}

// open decrypts "data:salt:nonce". The reference is a text that everybody knows,
// encrypted with the same key: it tells a wrong password from damage.
func (t twofas) open(ctx context.Context, file twofasFile, o Options) ([]byte, error) {
	data, salt, nonce, ok := t.split(string(file.ServicesEncrypted))
	if !ok {
		return nil, damaged(t.Name(), "its encrypted part is cut short")
	}
	password, err := o.ask(ctx, t.Name(), "backup password")
	if err != nil {
		return nil, err
	}
	defer clear(password)
	key, err := o.pbkdf2Key(ctx, t.Name(), password, salt, twofasRounds, keySize, sha256.New)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	if plain, ok := openGCM(key, nonce, data, nil); ok {
		return plain, nil
	}
	if data, refSalt, nonce, ok := t.split(string(file.Reference)); ok && string(refSalt) == string(salt) {
		if _, right := openGCM(key, nonce, data, nil); right {
			return nil, damaged(t.Name(), "the password is right, but the content was changed")
		}
	}
	return nil, wrongPassword(t.Name())
}

func (twofas) split(s string) (data, salt, nonce []byte, ok bool) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return nil, nil, nil, false
	}
	data, salt, nonce = fromBase64(parts[0]), fromBase64(parts[1]), fromBase64(parts[2])
	return data, salt, nonce, len(data) >= 16 && len(salt) > 0 && len(nonce) == 12
}
