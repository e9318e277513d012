package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// FormatList is what a list of accounts calls itself.
const FormatList = "tokend-account-list"

// maxList bounds a list, in bytes: what MaxAccounts take with the longest names.
const maxList = 16 << 20

// List is an account list: what a vault holds, without anything that opens an
// account. It is no backup. Nothing in it is authenticated.
type List struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// About says to a person who finds the file what it is.
	About      string          `json:"about"`
	VaultID    string          `json:"vault_id"`
	Generation uint64          `json:"generation"`
	Time       time.Time       `json:"time"`
	Accounts   []ListedAccount `json:"accounts"`
}

// ListedAccount is one account of a list. Notes are left out: people keep one-time
// codes in them.
type ListedAccount struct {
	ID        string `json:"id"`
	Issuer    string `json:"issuer,omitempty"`
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	Class     string `json:"class"`
	Type      string `json:"type"`
	Algorithm string `json:"algorithm"`
	Digits    int    `json:"digits"`
	Period    int    `json:"period,omitempty"` // seconds
}

const aboutList = "A list of the accounts in a tokend vault, without their secrets. It cannot be restored: no code can be made from it. " +
	"It tells which services to visit when everything else is lost."

// EncodeList writes a list, indented for people.
func EncodeList(l List) ([]byte, error) {
	l.Format, l.Version, l.About, l.Time = FormatList, 1, aboutList, l.Time.UTC().Truncate(time.Second)
	if l.Accounts == nil {
		l.Accounts = []ListedAccount{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(l); err != nil {
		return nil, fmt.Errorf("cannot write the list: %w", err)
	}
	return b.Bytes(), nil
}

// IsList says whether bytes claim to be an account list, whole or not.
func IsList(data []byte) bool {
	return bytes.Contains(data[:min(len(data), 512)], []byte(`"`+FormatList+`"`))
}

// ParseList reads a list: ErrNotArchive where it is none, ErrNewer, ErrDamaged.
func ParseList(data []byte) (*List, error) {
	if !IsList(data) {
		return nil, ErrNotArchive
	}
	if len(data) > maxList {
		return nil, damaged("more than %d bytes", maxList)
	}
	version, err := probe(data, FormatList)
	if err != nil {
		return nil, err
	}
	if version > 1 {
		return nil, &NewerError{FormatList, version}
	}
	l := &List{}
	if err := decodeStrict(data, l); err != nil {
		return nil, damaged("list: %w", err)
	}
	if len(l.Accounts) > MaxAccounts || !isHex(l.VaultID, 16) {
		return nil, damaged("list: no vault, or too many accounts")
	}
	for _, a := range l.Accounts {
		acc := Account{ID: a.ID, Issuer: a.Issuer, Name: a.Name, Kind: a.Kind, Class: a.Class, Type: a.Type,
			Algorithm: a.Algorithm, Digits: a.Digits, Period: a.Period, Created: time.Unix(1, 0)}
		if err := acc.Check(); err != nil {
			return nil, damaged("list: %w", err)
		}
	}
	return l, nil
}
