package transfer

import (
	"context"
	"encoding/json"
	"strings"
)

// raivo is the JSON in Raivo OTP's export, all of whose values are strings. The
// archive that it comes in is archived's.
type raivo struct{}

// Name implements Format.
func (raivo) Name() string { return "Raivo OTP" }

// Detect implements Format.
func (raivo) Detect(f *File) Confidence {
	if f.firstHas("secret", "kind", "timer") {
		return Sure
	}
	return No
}

// Read implements Format.
func (x raivo) Read(_ context.Context, f *File, _ Options) (Result, error) {
	c := collect(x.Name())
	for i, raw := range f.json().list {
		var e struct {
			Secret, Issuer, Account, Kind, Algorithm, Pinned loose
			Timer, Digits, Counter                           number
		}
		if json.Unmarshal(raw, &e) != nil {
			c.skip(nth(i), "", "", badEntry)
			continue
		}
		c.add(entry{
			where: nth(i), issuer: string(e.Issuer), name: string(e.Account), kind: string(e.Kind), algorithm: string(e.Algorithm),
			digits: e.Digits, period: e.Timer, counter: e.Counter, base32: string(e.Secret), favourite: e.Pinned.yes(),
		})
	}
	return c.Result, nil
}

// lastPass is the export of LastPass Authenticator.
type lastPass struct{}

// Name implements Format.
func (lastPass) Name() string { return "LastPass Authenticator" }

// Detect implements Format.
func (lastPass) Detect(f *File) Confidence {
	var accounts []map[string]json.RawMessage
	if !f.has("accounts") || json.Unmarshal(f.json().object["accounts"], &accounts) != nil {
		return No
	}
	if len(accounts) == 0 && f.has("deviceId") || len(accounts) > 0 && (accounts[0]["issuerName"] != nil || accounts[0]["originalIssuerName"] != nil) {
		return Sure
	}
	return No
}

// Read implements Format.
func (x lastPass) Read(_ context.Context, f *File, _ Options) (Result, error) {
	var file struct {
		Version  number
		Accounts []json.RawMessage
		Folders  []struct{ ID, Name loose }
	}
	if json.Unmarshal([]byte(f.text()), &file) != nil {
		return Result{}, damaged(x.Name(), "it has not the form of an export")
	}
	if file.Version.value > 3 {
		return Result{}, newer(x.Name(), file.Version.value)
	}
	folders := map[loose]string{}
	for _, d := range file.Folders {
		folders[d.ID] = string(d.Name)
	}
	c := collect(x.Name())
	for i, raw := range file.Accounts {
		var e struct {
			IssuerName, OriginalIssuerName, UserName, OriginalUserName loose
			Secret, Algorithm, IsFavorite                              loose
			TimeStep, Digits                                           number
			FolderData                                                 struct {
				FolderID loose
				Position number
			}
		}
		if json.Unmarshal(raw, &e) != nil {
			c.skip(nth(i), "", "", badEntry)
			continue
		}
		issuer, name := e.IssuerName, e.UserName
		if issuer == "" {
			issuer = e.OriginalIssuerName
		}
		if name == "" {
			name = e.OriginalUserName
		}
		c.add(entry{
			where: nth(i), issuer: string(issuer), name: string(name), algorithm: string(e.Algorithm), digits: e.Digits,
			period: e.TimeStep, base32: string(e.Secret), favourite: e.IsFavorite.yes(),
			group: folders[e.FolderData.FolderID], order: int(min(e.FolderData.Position.value, 1<<30)),
		})
	}
	return c.Result, nil
}

// duo is the file in which Duo Mobile keeps its accounts. Those of its own push
// service have no secret that could be taken along.
type duo struct{}

// Name implements Format.
func (duo) Name() string { return "Duo Mobile" }

// Detect implements Format.
func (duo) Detect(f *File) Confidence {
	if f.firstHas("accountType") && (f.firstHas("otpGenerator") || f.firstHas("pkey")) {
		return Sure
	}
	return No
}

// Read implements Format.
func (x duo) Read(_ context.Context, f *File, _ Options) (Result, error) {
	c := collect(x.Name())
	for i, raw := range f.json().list {
		var e struct {
			AccountType, Name loose
			OtpGenerator      *struct {
				OtpSecret loose
				Counter   number
			}
		}
		if json.Unmarshal(raw, &e) != nil {
			c.skip(nth(i), "", "", badEntry)
			continue
		}
		if e.AccountType != "OtpAccount" || e.OtpGenerator == nil || e.OtpGenerator.OtpSecret == "" {
			c.skip(nth(i), "", string(e.Name), "Duo guards it by its own service, and does not let its secret out; it has to be set up anew at the service")
			continue
		}
		out := entry{where: nth(i), base32: string(e.OtpGenerator.OtpSecret), counter: e.OtpGenerator.Counter}
		out.issuer, out.name = splitLabel("", string(e.Name))
		if out.counter.given {
			out.kind = typeHOTP
		}
		c.add(out)
	}
	return c.Result, nil
}

// steamGuard is what Steam's app and the tools around it write: one JSON object
// for an account (.maFile), or several below "accounts".
type steamGuard struct{}

// Name implements Format.
func (steamGuard) Name() string { return "Steam" }

// Detect implements Format.
func (s steamGuard) Detect(f *File) Confidence {
	switch {
	case f.has("shared_secret"):
		return Sure
	case f.has("accounts"):
		var m map[string]map[string]json.RawMessage
		if json.Unmarshal(f.json().object["accounts"], &m) != nil {
			return No
		}
		for _, a := range m {
			if _, ok := a["shared_secret"]; ok {
				return Sure
			}
		}
	case f.has("entries", "encrypted"):
		return Likely // the manifest of Steam Desktop Authenticator
	}
	return No
}

// Read implements Format.
func (s steamGuard) Read(_ context.Context, f *File, _ Options) (Result, error) {
	if !f.has("shared_secret") && !f.has("accounts") {
		return Result{}, problem(Unsupported, s.Name(), "the file is Steam Desktop Authenticator's list; the accounts are in the .maFile files beside it, which must not be encrypted")
	}
	accounts := map[string]json.RawMessage{"": json.RawMessage(f.text())}
	if !f.has("shared_secret") {
		accounts = nil
		if json.Unmarshal(f.json().object["accounts"], &accounts) != nil {
			return Result{}, damaged(s.Name(), "it has not the form of a list of accounts")
		}
	}
	c := collect(s.Name())
	for i, key := range sortedKeys(accounts) {
		var e struct {
			SharedSecret loose `json:"shared_secret"`
			AccountName  loose `json:"account_name"`
			SteamID      loose
		}
		if json.Unmarshal(accounts[key], &e) != nil {
			c.skip(nth(i), "Steam", "", badEntry)
			continue
		}
		name := string(e.AccountName)
		if name == "" {
			name = string(e.SteamID)
		}
		secret, err := anyBase64(string(e.SharedSecret))
		if err != nil {
			c.skip(nth(i), "Steam", name, "its secret is not base64")
			continue
		}
		c.add(entry{where: nth(i), issuer: "Steam", name: name, kind: typeSteam, secret: nonNil(secret)})
	}
	return c.Result, nil
}

// proton is the export of Proton Authenticator, plain or with a password
// (Argon2id, AES-GCM).
type proton struct{}

// Name implements Format.
func (proton) Name() string { return "Proton Authenticator" }

const (
	protonPasses, protonMemory, protonThreads = 2, 19 << 10, 1 // memory in KiB
	protonContext                             = "proton.authenticator.export.v1"
)

// Detect implements Format.
func (proton) Detect(f *File) Confidence {
	if f.has("version", "salt", "content") && !f.has("entries") {
		return Sure
	}
	if f.has("version", "entries") && strings.Contains(f.text(), `"content"`) {
		return Likely
	}
	return No
}

type protonFile struct {
	Version       number
	Salt, Content loose
	Entries       []json.RawMessage
}

// Read implements Format.
func (p proton) Read(ctx context.Context, f *File, o Options) (Result, error) {
	var file protonFile
	if json.Unmarshal([]byte(f.text()), &file) != nil {
		return Result{}, damaged(p.Name(), "it has not the form of an export")
	}
	if file.Version.value > 1 {
		return Result{}, newer(p.Name(), file.Version.value)
	}
	if file.Content != "" {
		plain, err := p.open(ctx, file, o)
		if err != nil {
			return Result{}, err
		}
		defer clear(plain)
		if json.Unmarshal(plain, &file) != nil {
			return Result{}, damaged(p.Name(), "its content has not the form of an export")
		}
	}
	c := collect(p.Name())
	for i, raw := range file.Entries {
		var e struct {
			Content struct {
				URI, Name loose
				EntryType loose `json:"entry_type"`
			}
			Note loose
		}
		if json.Unmarshal(raw, &e) != nil {
			c.skip(nth(i), "", "", badEntry)
			continue
		}
		out := entry{where: nth(i), note: string(e.Note), name: string(e.Content.Name)}
		if reason := parseAddress(&out, string(e.Content.URI)); reason != "" {
			c.skip(nth(i), out.issuer, out.name, reason)
			continue
		}
		if e.Content.Name != "" {
			out.name = string(e.Content.Name) // the user may have changed it
		}
		if strings.EqualFold(string(e.Content.EntryType), typeSteam) {
			out.kind = typeSteam
		}
		c.add(out)
	}
	return c.Result, nil
}

func (p proton) open(ctx context.Context, file protonFile, o Options) ([]byte, error) {
	salt, box := fromBase64(string(file.Salt)), fromBase64(string(file.Content))
	if len(salt) == 0 || len(box) < 12+16 {
		return nil, damaged(p.Name(), "its encrypted part is cut short")
	}
	password, err := o.ask(ctx, p.Name(), "export password")
	if err != nil {
		return nil, err
	}
	defer clear(password)
	key, err := o.argon2Key(ctx, p.Name(), password, salt, protonPasses, protonMemory, protonThreads)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	plain, ok := openGCM(key, box[:12], box[12:], []byte(protonContext))
	if !ok {
		return nil, wrongPassword(p.Name())
	}
	return plain, nil
}
