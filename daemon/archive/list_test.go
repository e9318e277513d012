package archive

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sampleList() List {
	return List{VaultID: strings.Repeat("ab", 16), Generation: 3, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Accounts: []ListedAccount{
		{ID: "0011223344556677", Issuer: "GitHub & Co", Name: "me", Kind: ThirdParty, Class: ClassTouch, Type: "totp", Algorithm: "SHA1", Digits: 6, Period: 30},
		{ID: "0011223344556678", Name: "paper", Kind: Managed, Class: ClassSession, Type: "hotp", Algorithm: "SHA256", Digits: 8},
	}}
}

func TestList(t *testing.T) {
	want := sampleList()
	data, err := EncodeList(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseList(data)
	if err != nil || !reflect.DeepEqual(got.Accounts, want.Accounts) || got.VaultID != want.VaultID || !got.Time.Equal(want.Time) {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = Parse(data)
	wantErr(t, err, ErrNotArchive)
	for name, bad := range map[string][]byte{
		"cut short":   data[:len(data)/2],
		"a secret":    bytes.Replace(data, []byte(`"name": "me"`), []byte(`"name": "me", "secret": "AAAA"`), 1),
		"no vault":    bytes.Replace(data, []byte("abab"), []byte("xxxx"), 1),
		"an odd name": bytes.Replace(data, []byte(`"name": "me"`), []byte(`"name": ""`), 1),
	} {
		if _, err := ParseList(bad); !IsDamage(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = ParseList(bytes.Replace(data, []byte(`"version": 1`), []byte(`"version": 2`), 1))
	wantErr(t, err, ErrNewer)
	_, err = ParseList([]byte(`{"format":"something"}`))
	wantErr(t, err, ErrNotArchive)
}

// FuzzList feeds foreign bytes to the reader of account lists.
func FuzzList(f *testing.F) {
	data, err := EncodeList(sampleList())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseList(data)
		if err != nil {
			return
		}
		raw, err := EncodeList(*l)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseList(raw); err != nil && l.Time.Year() >= 0 {
			t.Fatal(err)
		}
	})
}
