package transfer

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // what the product derives its keys with
	"encoding/json"
)

// stratum is the backup of Stratum, formerly Authenticator Pro: JSON, plain or
// encrypted, and the older encryption (its doc/BACKUP_FORMAT.md).
type stratum struct{}

// Name implements Format.
func (stratum) Name() string { return "Stratum" }

const (
	stratumMagic    = "AUTHENTICATORPRO" // salt of 16 bytes, nonce of 12, AES-GCM
	stratumOldMagic = "AuthenticatorPro" // salt of 20 bytes, iv of 16, AES-CBC
)

// Detect implements Format.
func (stratum) Detect(f *File) Confidence {
	switch {
	case bytes.HasPrefix(f.Data, []byte(stratumMagic)), bytes.HasPrefix(f.Data, []byte(stratumOldMagic)), f.has("Authenticators"):
		return Sure
	}
	return No
}

type stratumFile struct {
	Authenticators          []json.RawMessage
	Categories              []struct{ ID, Name loose }
	AuthenticatorCategories []struct{ CategoryID, AuthenticatorSecret loose }
}

type stratumEntry struct {
	Type, Algorithm, Digits, Period, Counter, Ranking number
	Issuer, Username, Secret                          loose
}

// Read implements Format.
func (s stratum) Read(ctx context.Context, f *File, o Options) (Result, error) {
	plain := []byte(f.text())
	if !f.has("Authenticators") {
		var err error
		if plain, err = s.open(ctx, f.Data, o); err != nil {
			return Result{}, err
		}
		defer clear(plain)
	}
	var file stratumFile
	if json.Unmarshal(plain, &file) != nil {
		return Result{}, damaged(s.Name(), "its content has not the form of a backup")
	}
	names, groups := map[loose]string{}, map[loose][]string{}
	for _, x := range file.Categories {
		names[x.ID] = string(x.Name)
	}
	for _, x := range file.AuthenticatorCategories {
		groups[x.AuthenticatorSecret] = append(groups[x.AuthenticatorSecret], names[x.CategoryID])
	}
	c := collect(s.Name())
	for i, raw := range file.Authenticators {
		var e stratumEntry
		if json.Unmarshal(raw, &e) != nil {
			c.skip(nth(i), "", "", badEntry)
			continue
		}
		out := s.entry(e)
		out.where = nth(i)
		if g := groups[e.Secret]; len(g) > 0 {
			out.group, out.tags = g[0], g[1:]
		}
		c.add(out)
	}
	return c.Result, nil
}

// entry reads the numbers that stand for types and hashes.
func (stratum) entry(s stratumEntry) entry {
	e := entry{
		issuer: string(s.Issuer), name: string(s.Username), digits: s.Digits, period: s.Period, counter: s.Counter,
		base32: string(s.Secret), order: int(min(s.Ranking.value, 1<<30)),
	}
	switch s.Type.value {
	case 1:
		e.kind = typeHOTP
	case 2:
		e.kind = typeTOTP
	case 3:
		e.kind = "motp"
	case 4:
		e.kind = typeSteam
	case 5:
		e.kind = "yandex"
	default:
		e.kind = "unknown"
	}
	switch {
	case s.Algorithm.value == 1:
		e.algorithm = "SHA256"
	case s.Algorithm.value == 2:
		e.algorithm = "SHA512"
	case s.Algorithm.value > 2 || s.Algorithm.bad:
		e.algorithm = "unknown"
	}
	return e
}

const (
	stratumPasses, stratumMemory, stratumThreads = 3, 64 << 10, 4 // memory in KiB
	stratumOldRounds                             = 64_000
)

func (s stratum) open(ctx context.Context, data []byte, o Options) ([]byte, error) {
	old := bytes.HasPrefix(data, []byte(stratumOldMagic))
	data = data[len(stratumMagic):]
	if len(data) < 16+12+16 || old && (len(data) < 20+16+16 || (len(data)-36)%16 != 0) {
		return nil, damaged(s.Name(), "it is cut short")
	}
	password, err := o.ask(ctx, s.Name(), "backup password")
	if err != nil {
		return nil, err
	}
	defer clear(password)
	var key, plain []byte
	var ok bool
	if old {
		key, err = o.pbkdf2Key(ctx, s.Name(), password, data[:20], stratumOldRounds, keySize, sha1.New)
	} else {
		key, err = o.argon2Key(ctx, s.Name(), password, data[:16], stratumPasses, stratumMemory, stratumThreads)
	}
	if err != nil {
		return nil, err
	}
	defer clear(key)
	if old {
		// Nothing authenticates it: the padding and the form have to do.
		if plain, ok = openCBC(key, data[20:36], data[36:]); ok {
			ok = len(plain) > 0 && plain[0] == '{'
		}
	} else {
		plain, ok = openGCM(key, data[16:28], data[28:], nil)
	}
	if !ok {
		return nil, wrongPassword(s.Name())
	}
	return plain, nil
}
