package transfer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"strings"

	"golang.org/x/crypto/hkdf"
)

// bitwarden is the JSON export of Bitwarden (and Vaultwarden) and of Bitwarden
// Authenticator, plain or encrypted with a password. An export for the account
// that made it needs that account's key, which no file has.
type bitwarden struct{}

// Name implements Format.
func (bitwarden) Name() string { return "Bitwarden" }

// Detect implements Format.
func (bitwarden) Detect(f *File) Confidence {
	if f.has("encrypted") && (f.has("items") || f.has("data") || f.has("encKeyValidation_DO_NOT_EDIT")) {
		return Sure
	}
	return No
}

type bitwardenFile struct {
	Encrypted         loose
	PasswordProtected loose
	Salt              loose
	KdfType           number
	KdfIterations     number
	KdfMemory         number // MiB
	KdfParallelism    number
	Validation        loose `json:"encKeyValidation_DO_NOT_EDIT"`
	Data              loose
	Folders           []struct{ ID, Name loose }
	Collections       []struct{ ID, Name loose }
	Items             []json.RawMessage
}

type bitwardenItem struct {
	Name, Notes, FolderID, Favorite, DeletedDate loose
	CollectionIDs                                []loose
	Login                                        *struct{ Username, TOTP loose }
}

// Read implements Format.
func (b bitwarden) Read(ctx context.Context, f *File, o Options) (Result, error) {
	var file bitwardenFile
	if json.Unmarshal([]byte(f.text()), &file) != nil {
		return Result{}, damaged(b.Name(), "it has not the form of an export")
	}
	if file.Encrypted.yes() {
		if !file.PasswordProtected.yes() {
			return Result{}, problem(Unsupported, b.Name(), "the export is restricted to the account that made it; only that account can open it")
		}
		plain, err := b.open(ctx, file, o)
		if err != nil {
			return Result{}, err
		}
		defer clear(plain)
		file = bitwardenFile{}
		if json.Unmarshal(plain, &file) != nil {
			return Result{}, damaged(b.Name(), "its content has not the form of an export")
		}
	}
	return b.rows(file), nil
}

func (b bitwarden) rows(file bitwardenFile) Result {
	c := collect(b.Name())
	folders := map[loose]string{}
	for _, x := range append(file.Folders, file.Collections...) {
		folders[x.ID] = string(x.Name)
	}
	without, bin := 0, 0
	for i, raw := range file.Items {
		var item bitwardenItem
		if json.Unmarshal(raw, &item) != nil {
			c.skip(nth(i), "", "", badEntry)
			continue
		}
		switch {
		case item.Login == nil || strings.TrimSpace(string(item.Login.TOTP)) == "":
			without++
			continue
		case item.DeletedDate != "":
			bin++
			continue
		}
		e := entry{
			where: nth(i), note: string(item.Notes),
			favourite: item.Favorite.yes(), group: folders[item.FolderID],
		}
		for _, id := range item.CollectionIDs {
			if e.group == "" {
				e.group = folders[id]
			}
		}
		c.addVaultItem(e, string(item.Name), string(item.Login.Username), string(item.Login.TOTP))
	}
	c.without(without)
	c.bin(bin)
	return c.Result
}

// without notes entries of a password manager that are no accounts of ours.
func (c *collector) without(n int) {
	switch {
	case n == 1:
		c.note("1 entry without one-time codes")
	case n > 1:
		c.note("%d entries without one-time codes", n)
	}
}

// addVaultItem adds an entry of a password manager, whose field for codes has an
// address or a bare secret. The title and the user name stand in where the
// address has no names.
func (c *collector) addVaultItem(e entry, title, user, code string) {
	title, user, code = strings.TrimSpace(title), strings.TrimSpace(user), strings.TrimSpace(code)
	if !strings.Contains(code, "://") && !strings.HasPrefix(strings.ToLower(code), "otpauth:") {
		e.issuer, e.name, e.base32 = title, user, code
		// KeePass and others: "key=…&step=…&size=…"
		if strings.HasPrefix(code, "key=") {
			params, _ := parseKeyParams(code)
			e.base32, e.digits, e.period = params["key"], parseNumber(params["size"]), parseNumber(params["step"])
		}
		c.add(e)
		return
	}
	reason := parseAddress(&e, code)
	if reason != "" {
		c.skip(e.where, title, user, reason)
		return
	}
	if e.issuer == "" || strings.EqualFold(e.issuer, typeSteam) && e.name == "" {
		e.issuer = title
	}
	if e.name == "" {
		e.name = user
	}
	c.add(e)
}

// parseKeyParams reads "a=b&c=d" without escapes.
func parseKeyParams(s string) (map[string]string, bool) {
	out := map[string]string{}
	for part := range strings.SplitSeq(s, "&") {
		k, v, found := strings.Cut(part, "=")
		if !found {
			return out, false
		}
		out[k] = v
	}
	return out, true
}

// The values of kdfType.
const (
	bitwardenPBKDF2 = 0
	bitwardenArgon2 = 1
)

// open decrypts the data of a password-protected export.
func (b bitwarden) open(ctx context.Context, file bitwardenFile, o Options) ([]byte, error) {
	data, ok := parseEncString(string(file.Data))
	check, ok2 := parseEncString(string(file.Validation))
	if file.Validation == "" {
		check, ok2 = data, true // other programs leave it out
	}
	if !ok || !ok2 || file.Salt == "" {
		return nil, damaged(b.Name(), "its encrypted part is cut short")
	}
	if file.KdfType.value > bitwardenArgon2 {
		return nil, problem(NewerVersion, b.Name(), "its key derivation %d is not known", file.KdfType.value)
	}
	password, err := o.ask(ctx, b.Name(), "file password")
	if err != nil {
		return nil, err
	}
	defer clear(password)
	var key []byte
	if file.KdfType.value == bitwardenPBKDF2 {
		key, err = o.pbkdf2Key(ctx, b.Name(), password, []byte(file.Salt), file.KdfIterations.value, keySize, sha256.New)
	} else {
		salt := sha256.Sum256([]byte(file.Salt))
		key, err = o.argon2Key(ctx, b.Name(), password, salt[:], file.KdfIterations.value, min(file.KdfMemory.value, 1<<30)<<10, file.KdfParallelism.value)
	}
	if err != nil {
		return nil, err
	}
	defer clear(key)
	if _, ok := check.open(key); !ok {
		return nil, wrongPassword(b.Name())
	}
	plain, ok := data.open(key)
	if !ok {
		return nil, damaged(b.Name(), "the password is right, but the content was changed")
	}
	return plain, nil
}

// encString is Bitwarden's "2.iv|data|mac": AES-256-CBC, then HMAC-SHA-256 over
// iv and data, with keys expanded (HKDF, RFC 5869) from one.
type encString struct{ iv, data, mac []byte }

func parseEncString(s string) (encString, bool) {
	rest, found := strings.CutPrefix(s, "2.")
	parts := strings.Split(rest, "|")
	if !found || len(parts) != 3 {
		return encString{}, false
	}
	e := encString{fromBase64(parts[0]), fromBase64(parts[1]), fromBase64(parts[2])}
	return e, len(e.iv) == 16 && len(e.data) > 0 && len(e.mac) == sha256.Size
}

func (e encString) open(key []byte) ([]byte, bool) {
	expand := func(info string) []byte {
		out := make([]byte, keySize)
		_, _ = hkdf.Expand(sha256.New, key, []byte(info)).Read(out)
		return out
	}
	encryption, authentication := expand("enc"), expand("mac")
	defer clear(encryption)
	defer clear(authentication)
	mac := hmac.New(sha256.New, authentication)
	_, _ = mac.Write(e.iv)
	_, _ = mac.Write(e.data)
	if !hmac.Equal(mac.Sum(nil), e.mac) {
		return nil, false
	}
	return openCBC(encryption, e.iv, e.data)
}
