package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/ipc"
)

// checkItem is an account that is to be set up anew.
type checkItem struct {
	Issuer string `json:"issuer,omitempty"`
	Name   string `json:"name,omitempty"`
	// Product is where it was.
	Product string   `json:"product,omitempty"`
	Added   ipc.Time `json:"added"`
	Done    ipc.Time `json:"done,omitzero"`
	// By is who ticked it: the vault, or its user.
	By string `json:"by,omitempty"`

	gone bool
}

// The values of By.
const (
	byVault  = "vault"
	byPerson = "you"
)

func (i checkItem) label() string {
	switch {
	case i.Issuer == "":
		return i.Name
	case i.Name == "":
		return i.Issuer
	}
	return i.Issuer + ": " + i.Name
}

// checklist is the list and the file that it is kept in.
type checklist struct {
	path string
	doc  struct {
		Version int         `json:"version"`
		Items   []checkItem `json:"items"`
	}
}

// maxChecklist bounds the list; a vault holds no more accounts.
const maxChecklist = 20_000

// openChecklist reads the list, which is empty where there is no file yet.
func (c *cli) openChecklist(path string) (*checklist, error) {
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, usage("there is no folder for your configuration", adviceNoTerminal("--checklist-file FILE")...)
		}
		path = filepath.Join(dir, "tokend", "checklist.json")
	}
	l := &checklist{path: path}
	l.doc.Version = ipc.Version
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	data, err := c.readFile(path, maxPictureFile, false)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &l.doc); err != nil {
		return nil, problem(ipc.BackupDamaged, "read "+path, errors.New("it is no checklist of tokenctl"), adviceChecklistDamaged()...)
	}
	if l.doc.Version > ipc.Version {
		return nil, problem(ipc.NewerVersion, "read "+path, fmt.Errorf("version %d of the checklist is not known", l.doc.Version))
	}
	return l, nil
}

// save writes the list, whole or not at all, for its user alone.
func (l *checklist) save() error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	l.doc.Items = l.items()
	if err := e.Encode(l.doc); err != nil {
		return fmt.Errorf("cannot encode the checklist: %w", err)
	}
	dir := filepath.Dir(l.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".checklist-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(b.Bytes())
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), l.path)
}

func (l *checklist) items() []checkItem {
	items := []checkItem{}
	for _, i := range l.doc.Items {
		if !i.gone {
			items = append(items, i)
		}
	}
	return items
}

// add puts an item on the list unless it is there, and answers with how many were
// added.
func (l *checklist) add(item checkItem, now ipc.Time) int {
	for i := range l.doc.Items {
		if have := &l.doc.Items[i]; strings.EqualFold(have.Issuer, item.Issuer) && strings.EqualFold(have.Name, item.Name) {
			return 0
		}
	}
	if len(l.doc.Items) >= maxChecklist {
		return 0
	}
	item.Added = now
	l.doc.Items = append(l.doc.Items, item)
	return 1
}

// change does something to the one item that a name means.
func (l *checklist) change(name string, do func(*checkItem)) error {
	var found []*checkItem
	for i := range l.doc.Items {
		item := &l.doc.Items[i]
		for _, s := range []string{item.label(), item.Issuer + ":" + item.Name, item.Issuer, item.Name} {
			if s != "" && strings.EqualFold(s, strings.TrimSpace(name)) {
				found = append(found, item)
				break
			}
		}
	}
	switch len(found) {
	case 0:
		return failWith("", &ipc.Error{Kind: ipc.NotFound, Message: fmt.Sprintf("%q is not on the checklist", name)}, adviceChecklistNames()...)
	case 1:
		do(found[0])
		return nil
	}
	e := &ipc.Error{Kind: ipc.Ambiguous, Message: fmt.Sprintf("%q could be several of the checklist", name)}
	for _, i := range found {
		e.Items = append(e.Items, ipc.Item{Name: i.label()})
	}
	return failWith("", e, adviceChecklistNames()...)
}

// namesIn reads a file of names: one a line, or a list of accounts without their
// secrets, as tokenctl writes it.
func namesIn(data []byte) ([]checkItem, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		return nil, ipc.Errorf(ipc.InvalidArgument, "it is no text in UTF-8")
	}
	if trimmed := bytes.TrimSpace(data); bytes.HasPrefix(trimmed, []byte("{")) {
		return accountsIn(trimmed)
	}
	var items []checkItem
	for _, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if looksLikeAddress(line) {
			return nil, ipc.Errorf(ipc.InvalidArgument, "there are otpauth addresses in it, which can be imported as they are")
		}
		if item, ok := nameIn(line); ok {
			items = append(items, item)
		}
	}
	switch {
	case len(items) == 0:
		return nil, ipc.Errorf(ipc.NotFound, "there are no names in it")
	case len(items) > maxChecklist:
		return nil, ipc.Errorf(ipc.InvalidArgument, "there are more than %d names in it", maxChecklist)
	}
	return items, nil
}

// accountsIn reads the document of `account list --json`, and of a backup that is
// a list alone.
func accountsIn(data []byte) ([]checkItem, error) {
	var doc struct {
		Accounts []ipc.Account `json:"accounts"`
	}
	if json.Unmarshal(data, &doc) != nil || len(doc.Accounts) == 0 {
		return nil, ipc.Errorf(ipc.InvalidArgument, "it is JSON, and no list of accounts")
	}
	var items []checkItem
	for _, a := range doc.Accounts {
		if item := (checkItem{Issuer: tidyName(a.Issuer), Name: tidyName(a.Name)}); item.label() != "" {
			items = append(items, item)
		}
	}
	if len(items) == 0 {
		return nil, ipc.Errorf(ipc.NotFound, "there are no names in it")
	}
	return items, nil
}

// nameIn takes "service: name" apart. What has no colon is a service, unless it is
// an address of mail.
func nameIn(line string) (checkItem, bool) {
	line = strings.TrimSpace(strings.TrimLeft(line, "-*•[] \t"))
	issuer, name, found := strings.Cut(line, "\t")
	if !found {
		issuer, name, found = strings.Cut(line, ":")
	}
	if !found && strings.Contains(line, "@") {
		issuer, name = "", line
	}
	item := checkItem{Issuer: tidyName(issuer), Name: tidyName(name)}
	return item, item.label() != ""
}

const longestListed = 256 // bytes, as in the vault

func tidyName(s string) string {
	s = norm.NFC.String(strings.TrimSpace(strings.Map(func(r rune) rune {
		if unsafeRune(r) {
			return -1
		}
		return r
	}, s)))
	if len(s) > longestListed {
		s = strings.ToValidUTF8(s[:longestListed], "")
	}
	return s
}
