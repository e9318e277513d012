package transfer

import (
	"context"
	"crypto/sha1" //nolint:gosec // what andOTP derives its keys with
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strings"
)

// andOTP is andOTP's backup: a JSON list, plain or encrypted in one of two ways.
// Neither encryption leaves a sign in the file.
type andOTP struct{}

// Name implements Format.
func (andOTP) Name() string { return "andOTP" }

// Detect implements Format.
func (andOTP) Detect(f *File) Confidence {
	switch {
	case f.firstHas("secret", "label", "type"):
		return Sure
	case len(f.Data) < andOTPHeader+16 || f.text() != "" || f.zip().is || !scrambled(f.Data):
		return No
	case plausibleRounds(f.Data):
		return Likely
	}
	return Maybe
}

type andOTPEntry struct {
	Secret, Issuer, Label, Type, Algorithm loose
	Digits, Period, Counter                number
	Tags                                   []loose
}

// Read implements Format.
func (a andOTP) Read(ctx context.Context, f *File, o Options) (Result, error) {
	list := f.json().list
	if list == nil {
		plain, err := a.open(ctx, f.Data, o)
		if err != nil {
			return Result{}, err
		}
		defer clear(plain)
		if json.Unmarshal(plain, &list) != nil {
			return Result{}, damaged(a.Name(), "its content has not the form of a backup")
		}
	}
	c := collect(a.Name())
	for i, raw := range list {
		var e andOTPEntry
		if json.Unmarshal(raw, &e) != nil {
			c.skip(nth(i), "", "", badEntry)
			continue
		}
		out := entry{
			where: nth(i), issuer: string(e.Issuer), name: string(e.Label), kind: string(e.Type), algorithm: string(e.Algorithm),
			digits: e.Digits, period: e.Period, counter: e.Counter, base32: string(e.Secret),
		}
		if out.issuer == "" {
			out.issuer, out.name = splitOldLabel(out.name)
		}
		for _, t := range e.Tags {
			out.tags = append(out.tags, string(t))
		}
		c.add(out)
	}
	return c.Result, nil
}

// splitOldLabel takes "issuer - name" or "issuer:name" of versions without a field
// for the issuer apart.
func splitOldLabel(label string) (issuer, name string) {
	if before, after, found := strings.Cut(label, " - "); found {
		return splitLabel(strings.TrimSpace(before), strings.TrimSpace(after))
	}
	return splitLabel("", label)
}

const (
	andOTPHeader = 4 + 12 + 12 // rounds, salt, nonce
)

// plausibleRounds says whether a file begins with a number of rounds. andOTP drew
// it between 140,000 and 160,000, and reads any; among random files one of 4,000
// passes.
func plausibleRounds(data []byte) bool {
	rounds := binary.BigEndian.Uint32(data)
	return rounds >= 1_000 && rounds <= 1_000_000
}

// open tries both encryptions: since 0.6.3 rounds, salt and nonce stand before
// the data (PBKDF2 with SHA-1); before, the key was the password's SHA-256 and the
// nonce alone stood there.
func (a andOTP) open(ctx context.Context, data []byte, o Options) ([]byte, error) {
	salted := plausibleRounds(data)
	password, err := o.question(ctx, Question{Format: a.Name(), What: "backup password", Unsure: !salted})
	if err != nil {
		return nil, err
	}
	defer clear(password)
	old := sha256.Sum256(password)
	defer clear(old[:])
	if plain, ok := openGCM(old[:], data[:12], data[12:], nil); ok {
		return plain, nil
	}
	if salted {
		key, err := o.pbkdf2Key(ctx, a.Name(), password, data[4:16], uint64(binary.BigEndian.Uint32(data)), keySize, sha1.New)
		if err != nil {
			return nil, err
		}
		defer clear(key)
		if plain, ok := openGCM(key, data[16:28], data[28:], nil); ok {
			return plain, nil
		}
	}
	if salted {
		return nil, wrongPassword(a.Name())
	}
	return nil, problem(UnknownEncrypted, "",
		"the file is encrypted or compressed, and does not tell by which product; as a backup of an old andOTP the password does not open it")
}
