package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// TestSessionDocument reads documents that are nearly right.
func TestSessionDocument(t *testing.T) {
	const head = `"format":"tokend-vault-session","version":1,"vault_id":"v","journal":"0000000000000001","journal_before":"0000000000000002"`
	account := func(id int, more string) string {
		return fmt.Sprintf(`{"id":"%016x","name":"n","created":1,"secret":"GEZDGNBV"%s}`, id, more)
	}
	many := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = account(i+1, "")
		}
		return strings.Join(list, ",")
	}
	for name, c := range map[string]struct {
		doc      string
		accounts int // -1 where it is refused
	}{
		"no accounts":              {`{` + head + `}`, 0},
		"null accounts":            {`{` + head + `,"accounts":null}`, 0},
		"an empty list":            {`{` + head + `,"accounts":[]}`, 0},
		"two":                      {`{` + head + `,"accounts":[` + many(2) + `]}`, 2},
		"accounts first":           {`{"accounts":[` + many(2) + `],` + head + `}`, 2},
		"spaces":                   {" {\n" + head + " ,\t\"accounts\" : [ " + many(3) + " ] }\n", 3},
		"as many as there may be":  {`{` + head + `,"accounts":[` + many(MaxAccounts) + `]}`, MaxAccounts},
		"one more":                 {`{` + head + `,"accounts":[` + many(MaxAccounts+1) + `]}`, -1},
		"an account twice":         {`{` + head + `,"accounts":[` + account(1, "") + `,` + account(1, "") + `]}`, -1},
		"accounts twice":           {`{` + head + `,"accounts":[` + account(1, "") + `],"accounts":[` + account(2, "") + `]}`, -1},
		"an unknown name":          {`{` + head + `,"more":1}`, -1},
		"an unknown name inside":   {`{` + head + `,"accounts":[` + account(1, `,"more":1`) + `]}`, -1},
		"null for an account":      {`{` + head + `,"accounts":[` + account(1, "") + `,null]}`, -1},
		"a number for an account":  {`{` + head + `,"accounts":[7]}`, -1},
		"a text for the accounts":  {`{` + head + `,"accounts":"none"}`, -1},
		"an object for them":       {`{` + head + `,"accounts":{}}`, -1},
		"a text for the version":   {strings.Replace(`{`+head+`}`, `"version":1`, `"version":"1"`, 1), -1},
		"a secret that is none":    {`{` + head + `,"accounts":[` + strings.Replace(account(1, ""), "GEZDGNBV", "0189", 1) + `]}`, -1},
		"cut short":                {`{` + head + `,"accounts":[` + account(1, ""), -1},
		"something behind":         {`{` + head + `}{}`, -1},
		"a list behind a list":     {`{` + head + `,"accounts":[` + account(1, "") + `][]}`, -1},
		"no comma":                 {`{` + head + `"accounts":[]}`, -1},
		"a name with an escape":    {`{` + head + `,"\u0061ccounts":[]}`, -1},
		"no value":                 {`{` + head + `,"accounts":}`, -1},
		"a number that is no such": {`{` + head + `,"accounts":[` + account(1, `,"digits":1-2`) + `]}`, -1},
	} {
		inOneGo(t, []byte(c.doc))
		s, err := sessionV1([]byte(c.doc))
		switch {
		case c.accounts < 0:
			if err == nil {
				t.Errorf("%s: read", name)
			} else if !IsDamage(err) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil || len(s.Records) != c.accounts || s.VaultID != "v" || s.Journal != "0000000000000001" || s.JournalBefore != "0000000000000002":
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAccountsDoNotMix reads accounts one after the other, of which each has what the
// other has not.
func TestAccountsDoNotMix(t *testing.T) {
	s := newSample(t)
	rec := s.session.Records[0]
	other := rec
	other.ID, other.Name, other.Issuer, other.Note, other.NoExport = "00000000000000ff", "other", "", "", false
	rec.Issuer, rec.Note, rec.NoExport = "issuer", "note", true
	s.session.Records = []Record{rec, other, rec}
	s.session.Records[2].ID = "00000000000000fe"
	raw, err := EncodeSession(s.session)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sessionV1(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range s.session.Records {
		r := got.Records[i]
		if r.Account != want.Account || !bytes.Equal(r.Secret, want.Secret) || !bytes.Equal(r.Touch, want.Touch) || r.Tag != want.Tag {
			t.Errorf("account %d: %+v\nwant %+v", i, r.Account, want.Account)
		}
	}
}

// TestSum hashes around the ends of pieces.
func TestSum(t *testing.T) {
	for _, n := range []int{0, 1, hashPiece - 1, hashPiece, hashPiece + 1, 3 * hashPiece} {
		data := bytes.Repeat([]byte{'x'}, n)
		want := sha256.Sum256(data)
		if got := Sum(data); got != hex.EncodeToString(want[:]) {
			t.Errorf("%d bytes: %s", n, got)
		}
	}
}
