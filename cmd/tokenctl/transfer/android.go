package transfer

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // what Authy derives its keys with
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// authy is what Authy keeps on an Android phone, or hands to its other devices:
// tokens whose secrets are plain or encrypted with the backup password, and those
// of its own service.
type authy struct{}

// Name implements Format.
func (authy) Name() string { return "Authy" }

const (
	authyTokens = "com.authy.storage.tokens.authenticator.key"
	authyOwn    = "com.authy.storage.tokens.authy.key"
)

// Detect implements Format.
func (authy) Detect(f *File) Confidence {
	_, tokens := f.prefs().get(authyTokens)
	_, own := f.prefs().get(authyOwn)
	if tokens || own || f.has("authenticator_tokens") {
		return Sure
	}
	return No
}

// authyToken has the names of the phone's file and, with underscores, of the
// service's.
type authyToken struct {
	Name, OriginalName, OriginalIssuer, AccountType loose
	DecryptedSecret, EncryptedSecret, Salt          loose
	SecretSeed                                      loose
	Digits                                          number
	Rounds                                          number `json:"key_derivation_iterations"`
	IV                                              loose  `json:"unique_iv"`
	ServiceName                                     loose  `json:"original_name"`
	ServiceIssuer                                   loose  `json:"issuer"`
	EncryptedSeed                                   loose  `json:"encrypted_seed"`
	DecryptedSeed                                   loose  `json:"decrypted_seed"`
	ServiceSeed                                     loose  `json:"secret_seed"`
}

const (
	authyRounds = 1000
	// authyPeriod and authyDigits are of Authy's own service.
	authyPeriod = 10
	authyDigits = 7
)

// Read implements Format.
func (a authy) Read(ctx context.Context, f *File, o Options) (Result, error) {
	var list []json.RawMessage
	for _, name := range []string{authyTokens, authyOwn} {
		text, ok := f.prefs().get(name)
		var more []json.RawMessage
		if ok && json.Unmarshal([]byte(text), &more) != nil {
			return Result{}, damaged(a.Name(), "its list of tokens is damaged")
		}
		list = append(list, more...)
	}
	for _, name := range []string{"authenticator_tokens", "apps"} {
		var more []json.RawMessage
		if text, ok := f.json().object[name]; ok && json.Unmarshal(text, &more) != nil {
			return Result{}, damaged(a.Name(), "its list of tokens is damaged")
		}
		list = append(list, more...)
	}
	c := collect(a.Name())
	r := authyReader{format: a.Name(), o: o}
	defer func() { clear(r.password) }()
	for i, raw := range list {
		var t authyToken
		if json.Unmarshal(raw, &t) != nil {
			c.skip(nth(i), "", "", badEntry)
			continue
		}
		if err := r.add(ctx, c, nth(i), t); err != nil {
			return Result{}, err
		}
	}
	if r.tried > 0 && r.opened == 0 {
		return Result{}, wrongPassword(a.Name())
	}
	return c.Result, nil
}

type authyReader struct {
	format        string
	o             Options
	password      []byte
	tried, opened int
}

func firstOf(names ...loose) string {
	for _, n := range names {
		if n != "" {
			return string(n)
		}
	}
	return ""
}

func (r *authyReader) add(ctx context.Context, c *collector, where string, t authyToken) error {
	label := firstOf(t.OriginalName, t.ServiceName, t.Name)
	e := entry{where: where, digits: t.Digits}
	e.issuer, e.name = splitLabel(firstOf(t.OriginalIssuer, t.ServiceIssuer), label)
	if seed := firstOf(t.SecretSeed, t.ServiceSeed); seed != "" {
		e.period = num(authyPeriod)
		if !e.digits.given {
			e.digits = num(authyDigits)
		}
		secret, err := hex.DecodeString(strings.TrimSpace(seed))
		if err != nil {
			c.skip(where, e.issuer, e.name, "its secret is not hexadecimal")
			return nil
		}
		e.secret = nonNil(secret)
		c.add(e)
		return nil
	}
	e.base32 = firstOf(t.DecryptedSecret, t.DecryptedSeed)
	if sealed := firstOf(t.EncryptedSecret, t.EncryptedSeed); e.base32 == "" && sealed != "" {
		plain, err := r.open(ctx, t, sealed)
		if err != nil {
			return err
		}
		if plain == nil {
			c.skip(where, e.issuer, e.name, "its secret does not decrypt: it is damaged, or was encrypted with another password")
			return nil
		}
		e.base32 = string(plain)
	}
	c.add(e)
	return nil
}

// open decrypts a secret; nil where it does not open. Nothing authenticates it:
// the padding and being base32 have to do.
func (r *authyReader) open(ctx context.Context, t authyToken, sealed string) ([]byte, error) {
	r.tried++
	if r.tried > 10 && r.opened == 0 {
		return nil, wrongPassword(r.format) // a hundred accounts are no reason to derive a hundred keys
	}
	if r.password == nil {
		password, err := r.o.ask(ctx, r.format, "backup password")
		if err != nil {
			return nil, err
		}
		r.password = append([]byte{}, password...)
		clear(password)
	}
	rounds := uint64(authyRounds)
	if t.Rounds.value != 0 {
		rounds = t.Rounds.value
	}
	key, err := r.o.pbkdf2Key(ctx, r.format, r.password, []byte(t.Salt), rounds, keySize, sha1.New)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	iv := make([]byte, 16)
	if t.IV != "" {
		if iv, err = hex.DecodeString(string(t.IV)); err != nil {
			iv = fromBase64(string(t.IV))
		}
	}
	plain, ok := openCBC(key, iv, fromBase64(sealed))
	if !ok {
		return nil, nil
	}
	if _, _, reason := parseBase32(string(plain)); reason != "" {
		return nil, nil
	}
	r.opened++
	return plain, nil
}

// totpAuthenticator is TOTP Authenticator (BinaryBoot): its preferences, and its
// backup, which is base64 of AES-CBC with the password's SHA-256 as key.
type totpAuthenticator struct{}

// Name implements Format.
func (totpAuthenticator) Name() string { return "TOTP Authenticator" }

const notOpened = "the file is encrypted, and does not tell by which product; as a backup of TOTP Authenticator the password does not open it"

const totpAuthenticatorList = "STATIC_TOTP_CODES_LIST"

// Detect implements Format.
func (totpAuthenticator) Detect(f *File) Confidence {
	if _, ok := f.prefs().get(totpAuthenticatorList); ok {
		return Sure
	}
	if f.firstHas("key", "base", "issuer") {
		return Sure
	}
	text := strings.TrimSpace(f.text())
	if len(text) < 64 || strings.HasPrefix(text, "U2FsdGVkX1") {
		return No
	}
	if box, err := base64.StdEncoding.DecodeString(text); err == nil && len(box)%16 == 0 && scrambled(box) {
		return Maybe
	}
	return No
}

// Read implements Format.
func (x totpAuthenticator) Read(ctx context.Context, f *File, o Options) (Result, error) {
	list := f.json().list
	if list == nil {
		text, ok := f.prefs().get(totpAuthenticatorList)
		if !ok {
			plain, err := x.open(ctx, f, o)
			if err != nil {
				return Result{}, err
			}
			defer clear(plain)
			text = string(plain)
		}
		if json.Unmarshal([]byte(text), &list) != nil {
			return Result{}, damaged(x.Name(), "its list of accounts is damaged")
		}
	}
	c := collect(x.Name())
	for i, raw := range list {
		var e struct {
			Issuer, Name, Key, IsFavorite, Algorithm loose
			Base, Digits, Period                     number
		}
		if json.Unmarshal(raw, &e) != nil {
			c.skip(nth(i), "", "", badEntry)
			continue
		}
		out := entry{
			where: nth(i), issuer: string(e.Issuer), name: string(e.Name), algorithm: string(e.Algorithm),
			digits: e.Digits, period: e.Period, favourite: e.IsFavorite.yes(),
		}
		var err error
		switch e.Base.value {
		case 16:
			out.secret, err = hex.DecodeString(strings.ReplaceAll(string(e.Key), " ", ""))
			out.secret = nonNil(out.secret)
		case 0, 32:
			out.base32 = string(e.Key)
		case 64:
			out.secret, err = anyBase64(string(e.Key))
			out.secret = nonNil(out.secret)
		default:
			c.skip(nth(i), out.issuer, out.name, "its secret is written in an unknown way")
			continue
		}
		if err != nil {
			c.skip(nth(i), out.issuer, out.name, "its secret is not written in the way that the file says")
			continue
		}
		c.add(out)
	}
	return c.Result, nil
}

// open gives the list of a backup. What is encrypted is an object whose only key
// is the list, as text.
func (x totpAuthenticator) open(ctx context.Context, f *File, o Options) ([]byte, error) {
	box := fromBase64(strings.TrimSpace(f.text()))
	if len(box) == 0 {
		return nil, notMine(x.Name())
	}
	password, err := o.question(ctx, Question{Format: x.Name(), What: "backup password", Unsure: true})
	if err != nil {
		return nil, err
	}
	defer clear(password)
	key := sha256.Sum256(password)
	defer clear(key[:])
	plain, ok := openCBC(key[:], make([]byte, 16), box)
	if !ok {
		return nil, problem(UnknownEncrypted, "", "%s", notOpened)
	}
	plain = bytes.TrimSpace(plain)
	if bytes.HasPrefix(plain, []byte("[")) {
		return plain, nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(plain, &object) != nil {
		return nil, problem(UnknownEncrypted, "", "%s", notOpened)
	}
	for key := range object {
		if strings.HasPrefix(key, "[") {
			return []byte(key), nil
		}
	}
	return nil, damaged(x.Name(), "its content has not the form of a backup")
}

// battleNet is what the Battle.net app keeps on an Android phone; its secret is
// masked with a constant.
type battleNet struct{}

// Name implements Format.
func (battleNet) Name() string { return "Battle.net" }

const (
	battleNetSecret = "com.blizzard.messenger.AUTHENTICATOR_DEVICE_SECRET"
	battleNetSerial = "com.blizzard.messenger.AUTHENTICATOR_SERIAL"
	battleNetDigits = 8
)

// Detect implements Format.
func (battleNet) Detect(f *File) Confidence {
	if _, ok := f.prefs().get(battleNetSecret); ok {
		return Sure
	}
	return No
}

// battleNetMask is the constant that the app masks its strings with.
const battleNetMask = "398e27fc50276a656065b0e525f4c06c04c61075286b8e7aeda59da9813b5dd6c80d2fb38068773fa59ba47c17ca6c6479015c1d5b8b8f6b9a"

// Read implements Format.
func (b battleNet) Read(_ context.Context, f *File, _ Options) (Result, error) {
	c := collect(b.Name())
	text, _ := f.prefs().get(battleNetSecret)
	serial, _ := f.prefs().get(battleNetSerial)
	name := string(b.unmask(serial))
	secret, err := hex.DecodeString(string(b.unmask(text)))
	if err != nil || len(secret) == 0 {
		c.skip(nth(0), b.Name(), name, "its secret is not in the form of one")
		return c.Result, nil
	}
	c.add(entry{where: nth(0), issuer: b.Name(), name: name, secret: secret, digits: num(battleNetDigits)})
	return c.Result, nil
}

func (battleNet) unmask(text string) []byte {
	b, err := hex.DecodeString(strings.TrimSpace(text))
	mask, _ := hex.DecodeString(battleNetMask)
	if err != nil || len(b) > len(mask) {
		return nil
	}
	for i := range b {
		b[i] ^= mask[i]
	}
	return b
}

// nonNil tells collector that there was a secret, though an empty one.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
