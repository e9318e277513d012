package transfer

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// onePassword is the JSON in 1Password's .1pux archive.
type onePassword struct{}

// Name implements Format.
func (onePassword) Name() string { return "1Password" }

// Detect implements Format.
func (onePassword) Detect(f *File) Confidence {
	var accounts []map[string]json.RawMessage
	if !f.has("accounts") || json.Unmarshal(f.json().object["accounts"], &accounts) != nil || len(accounts) == 0 {
		return No
	}
	if _, ok := accounts[0]["vaults"]; ok {
		return Sure
	}
	return No
}

type onePasswordItem struct {
	State    loose
	FavIndex number
	Trashed  loose
	Overview struct {
		Title, Subtitle loose
		Tags            []loose
	}
	Details struct {
		NotesPlain  loose
		LoginFields []struct{ Designation, Value loose }
		Sections    []struct {
			Fields []struct {
				Title, ID loose
				Value     json.RawMessage
			}
		}
	}
}

// Read implements Format.
func (x onePassword) Read(_ context.Context, f *File, _ Options) (Result, error) {
	var file struct {
		Accounts []struct {
			Vaults []struct {
				Attrs struct{ Name loose }
				Items []json.RawMessage
			}
		}
	}
	if json.Unmarshal([]byte(f.text()), &file) != nil {
		return Result{}, damaged(x.Name(), "it has not the form of an export")
	}
	c := collect(x.Name())
	n, without, bin := 0, 0, 0
	for _, a := range file.Accounts {
		for _, v := range a.Vaults {
			for _, raw := range v.Items {
				where := nth(n)
				n++
				var item onePasswordItem
				if json.Unmarshal(raw, &item) != nil {
					c.skip(where, "", "", badEntry)
					continue
				}
				codes := item.codes()
				switch {
				case len(codes) == 0:
					without++
				case item.State == trashed || item.State == "deleted" || item.Trashed.yes():
					bin += len(codes)
				default:
					item.add(c, where, string(v.Attrs.Name), codes)
				}
			}
		}
	}
	c.without(without)
	c.bin(bin)
	return c.Result, nil
}

// codes are the one-time password fields of an item.
func (i onePasswordItem) codes() []string {
	var codes []string
	for _, s := range i.Details.Sections {
		for _, f := range s.Fields {
			var v struct{ TOTP loose }
			if json.Unmarshal(f.Value, &v) == nil && v.TOTP != "" {
				codes = append(codes, string(v.TOTP))
			}
		}
	}
	return codes
}

func (i onePasswordItem) add(c *collector, where, vault string, codes []string) {
	user := ""
	for _, f := range i.Details.LoginFields {
		if f.Designation == "username" {
			user = string(f.Value)
		}
	}
	for n, code := range codes {
		e := entry{where: where, group: vault, note: string(i.Details.NotesPlain), favourite: i.FavIndex.value > 0}
		if n > 0 {
			e.where = fmt.Sprintf("%s, code %d", where, n+1)
		}
		for _, t := range i.Overview.Tags {
			e.tags = append(e.tags, string(t))
		}
		c.addVaultItem(e, string(i.Overview.Title), user, code)
	}
}

// protonPass is the JSON in Proton Pass' export.
type protonPass struct{}

// Name implements Format.
func (protonPass) Name() string { return "Proton Pass" }

// Detect implements Format.
func (protonPass) Detect(f *File) Confidence {
	if f.has("vaults", "version") {
		return Sure
	}
	return No
}

// Read implements Format.
func (x protonPass) Read(_ context.Context, f *File, _ Options) (Result, error) {
	var vaults map[string]struct {
		Name  loose
		Items []json.RawMessage
	}
	if json.Unmarshal(f.json().object["vaults"], &vaults) != nil {
		return Result{}, damaged(x.Name(), "it has not the form of an export")
	}
	const inBin = 2
	c := collect(x.Name())
	n, without, bin := 0, 0, 0
	for _, id := range sortedKeys(vaults) {
		for _, raw := range vaults[id].Items {
			where := nth(n)
			n++
			var item struct {
				State  number
				Pinned loose
				Data   struct {
					Metadata struct{ Name, Note loose }
					Content  struct{ ItemEmail, ItemUsername, Username, TotpURI loose }
				}
			}
			if json.Unmarshal(raw, &item) != nil {
				c.skip(where, "", "", badEntry)
				continue
			}
			code := strings.TrimSpace(string(item.Data.Content.TotpURI))
			switch {
			case code == "":
				without++
			case item.State.value == inBin:
				bin++
			default:
				user := firstOf(item.Data.Content.ItemUsername, item.Data.Content.ItemEmail, item.Data.Content.Username)
				e := entry{where: where, group: string(vaults[id].Name), note: string(item.Data.Metadata.Note), favourite: item.Pinned.yes()}
				c.addVaultItem(e, string(item.Data.Metadata.Name), user, code)
			}
		}
	}
	c.without(without)
	c.bin(bin)
	return c.Result, nil
}

// plainList is a JSON list of objects with a name and a bare secret, as tools
// around Google's migration write it, or of addresses.
type plainList struct{}

// Name implements Format.
func (plainList) Name() string { return "JSON list" }

// Detect implements Format.
func (plainList) Detect(f *File) Confidence {
	switch {
	case f.firstHas("name", "secret", "issuer", "type", "url"), isAddress(firstString(f.json().list)):
		return Sure
	case f.firstHas("name", "secret"), f.firstHas("issuer", "secret"), f.firstHas("account", "secret"):
		return Maybe
	}
	return No
}

// Read implements Format.
func (x plainList) Read(_ context.Context, f *File, _ Options) (Result, error) {
	c := collect(x.Name())
	for i, raw := range f.json().list {
		if text := firstString([]json.RawMessage{raw}); text != "" {
			c.addVaultItem(entry{where: nth(i)}, "", "", text)
			continue
		}
		var e struct {
			Name, Account, Secret, Issuer, Type, Algorithm, URL loose
			Counter, Digits, Period                             number
		}
		if json.Unmarshal(raw, &e) != nil {
			c.skip(nth(i), "", "", badEntry)
			continue
		}
		out := entry{where: nth(i), digits: e.Digits, period: e.Period, algorithm: string(e.Algorithm)}
		if isAddress(string(e.URL)) {
			// It may tell what has no member of its own.
			if reason := parseAddress(&out, string(e.URL)); reason != "" {
				c.skip(nth(i), string(e.Issuer), string(e.Name), reason)
				continue
			}
		}
		out.issuer, out.name = string(e.Issuer), firstOf(e.Name, e.Account)
		if e.Type != "" {
			out.kind = string(e.Type)
		}
		if e.Counter.given {
			out.counter = e.Counter
		}
		if e.Secret != "" {
			out.base32 = string(e.Secret)
		}
		c.add(out)
	}
	return c.Result, nil
}

// firstString is the first element of a list, where it is a string.
func firstString(list []json.RawMessage) string {
	var s string
	if len(list) == 0 || json.Unmarshal(list[0], &s) != nil {
		return ""
	}
	return s
}
