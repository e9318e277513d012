package transfer

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// aegis is Aegis Authenticator's vault and export: JSON, its content plain or
// encrypted with a key that slots hold, each opened by a password (scrypt) or by
// the phone (docs/vault.md of its project).
type aegis struct{}

// Name implements Format.
func (aegis) Name() string { return "Aegis" }

// Detect implements Format.
func (aegis) Detect(f *File) Confidence {
	if f.has("version", "header", "db") {
		return Sure
	}
	return No
}

type aegisFile struct {
	Version number
	Header  struct {
		Slots  []aegisSlot
		Params *aegisBox
	}
	DB json.RawMessage
}

type aegisBox struct{ Nonce, Tag string }

type aegisSlot struct {
	Type      number
	Key       string
	KeyParams aegisBox `json:"key_params"`
	N, R, P   number
	Salt      string
}

type aegisDB struct {
	Version number
	Entries []json.RawMessage
	Groups  []struct{ UUID, Name loose }
}

type aegisEntry struct {
	Type, Name, Issuer, Note, Group loose
	Groups                          []loose
	Favorite                        loose
	Info                            struct {
		Secret, Algo            loose
		Digits, Period, Counter number
	}
}

// The kinds of slot.
const aegisPassword = 1

// Read implements Format.
func (a aegis) Read(ctx context.Context, f *File, o Options) (Result, error) {
	var file aegisFile
	if err := json.Unmarshal([]byte(f.text()), &file); err != nil {
		return Result{}, damaged(a.Name(), "it has not the form of a vault")
	}
	if file.Version.value > 1 {
		return Result{}, newer(a.Name(), file.Version.value)
	}
	plain := []byte(file.DB)
	if len(plain) > 0 && plain[0] == '"' {
		var err error
		if plain, err = a.open(ctx, file, o); err != nil {
			return Result{}, err
		}
		defer clear(plain)
	}
	var db aegisDB
	if err := json.Unmarshal(plain, &db); err != nil {
		return Result{}, damaged(a.Name(), "its content has not the form of a vault")
	}
	if db.Version.value > 3 {
		return Result{}, newer(a.Name(), db.Version.value)
	}
	return a.rows(db), nil
}

func (a aegis) rows(db aegisDB) Result {
	c := collect(a.Name())
	groups := map[loose]string{}
	for _, g := range db.Groups {
		groups[g.UUID] = string(g.Name)
	}
	for i, raw := range db.Entries {
		where := nth(i)
		var e aegisEntry
		if json.Unmarshal(raw, &e) != nil {
			c.skip(where, "", "", badEntry)
			continue
		}
		out := entry{
			where: where, issuer: string(e.Issuer), name: string(e.Name), note: string(e.Note), group: string(e.Group),
			kind: string(e.Type), algorithm: string(e.Info.Algo), digits: e.Info.Digits, period: e.Info.Period,
			counter: e.Info.Counter, base32: string(e.Info.Secret), favourite: e.Favorite.yes(),
		}
		for i, g := range e.Groups {
			if i == 0 && out.group == "" {
				out.group = groups[g]
			} else {
				out.tags = append(out.tags, groups[g])
			}
		}
		c.add(out)
	}
	return c.Result
}

// open decrypts the content with the password of any slot.
func (a aegis) open(ctx context.Context, file aegisFile, o Options) ([]byte, error) {
	var text string
	if json.Unmarshal(file.DB, &text) != nil || file.Header.Params == nil {
		return nil, damaged(a.Name(), "what tells how it is encrypted is missing")
	}
	box, ok := file.Header.Params.box(fromBase64(text))
	if !ok {
		return nil, damaged(a.Name(), "what tells how it is encrypted is cut short")
	}
	var slots []aegisSlot
	for _, s := range file.Header.Slots {
		if s.Type.value == aegisPassword {
			slots = append(slots, s)
		}
	}
	if len(slots) == 0 {
		return nil, problem(Unsupported, a.Name(), "the file has no password; only the phone that wrote it can open it")
	}
	if len(slots) > 8 {
		return nil, problem(TooCostly, a.Name(), "the file has %d passwords to try; 8 are allowed", len(slots))
	}
	password, err := o.ask(ctx, a.Name(), "password")
	if err != nil {
		return nil, err
	}
	defer clear(password)
	for _, s := range slots {
		key, err := a.openSlot(ctx, s, password, o)
		if err != nil {
			return nil, err
		}
		if key == nil {
			continue
		}
		plain, ok := openGCM(key, box.nonce, box.data, nil)
		clear(key)
		if !ok {
			return nil, damaged(a.Name(), "the password is right, but the content was changed")
		}
		return plain, nil
	}
	return nil, wrongPassword(a.Name())
}

// openSlot is the vault's key, or nil where the password is not the slot's.
func (a aegis) openSlot(ctx context.Context, s aegisSlot, password []byte, o Options) ([]byte, error) {
	salt, err := hex.DecodeString(s.Salt)
	if err != nil || len(salt) == 0 {
		return nil, damaged(a.Name(), "a slot of its header cannot be read")
	}
	sealed, err := hex.DecodeString(s.Key)
	box, ok := s.KeyParams.box(sealed)
	if err != nil || !ok || len(sealed) != keySize {
		return nil, damaged(a.Name(), "a slot of its header cannot be read")
	}
	key, err := o.scryptKey(ctx, a.Name(), password, salt, s.N.value, s.R.value, s.P.value)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	master, ok := openGCM(key, box.nonce, box.data, nil)
	if !ok {
		return nil, nil
	}
	return master, nil
}

type gcmBox struct{ nonce, data []byte }

// box puts the tag where Go wants it.
func (p aegisBox) box(sealed []byte) (gcmBox, bool) {
	nonce, err := hex.DecodeString(p.Nonce)
	tag, err2 := hex.DecodeString(p.Tag)
	if err != nil || err2 != nil || len(nonce) != 12 || len(tag) != 16 || sealed == nil {
		return gcmBox{}, false
	}
	return gcmBox{nonce, append(bytes.Clone(sealed), tag...)}, true
}

// badEntry is the reason of an entry that is not even an object.
const badEntry = "it has not the form of an account"

// nth names the place of an entry.
func nth(i int) string { return fmt.Sprintf("entry %d", i+1) }
