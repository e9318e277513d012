package archive

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// Session is what session.age holds: the accounts in the user's order.
type Session struct {
	VaultID string
	// Journal names the counter journal that goes with these accounts, 16
	// hexadecimal digits; JournalBefore the one that is folded into them.
	Journal       string
	JournalBefore string
	Records       []Record
	// Device is the state of what this device has under way with authorities, and
	// its keys: of device.age, and bytes to this package. It is secret.
	Device []byte
}

// DeviceSecret is a managed account's secret in device.age.
type DeviceSecret struct{ Secret, Touch []byte }

// device is what device.age holds.
type device struct {
	secrets map[string]DeviceSecret
	state   []byte
}

// base32Bytes is a secret in base32 without padding: what a person can give to
// any other authenticator when nothing but age is at hand.
type base32Bytes []byte

func (b *base32Bytes) UnmarshalJSON(raw []byte) error {
	if len(raw) < 2 || raw[0] != '"' {
		return &fieldError{"a secret that is no string"}
	}
	out := make([]byte, base32.StdEncoding.WithPadding(base32.NoPadding).DecodedLen(len(raw)-2))
	n, err := base32.StdEncoding.WithPadding(base32.NoPadding).Decode(out, raw[1:len(raw)-1])
	if err != nil {
		return &fieldError{"a secret that is no base32"}
	}
	*b = out[:n]
	return nil
}

type recordV1 struct {
	ID        string      `json:"id"`
	Issuer    string      `json:"issuer"`
	Name      string      `json:"name"`
	Note      string      `json:"note"`
	Kind      string      `json:"kind"`
	Class     string      `json:"class"`
	Type      string      `json:"type"`
	Algorithm string      `json:"algorithm"`
	Digits    int         `json:"digits"`
	Period    int         `json:"period"`
	Counter   uint64      `json:"counter"`
	Created   int64       `json:"created"`
	Secret    base32Bytes `json:"secret"`
	Touch     []byte      `json:"touch"`
	Tag       string      `json:"tag"`
	Export    *bool       `json:"export"` // true where it is not there
	Issued    *issuedV1   `json:"issued"`
}

type issuedV1 struct {
	Authority []byte `json:"authority"`
	Account   string `json:"account"`
	Key       []byte `json:"key"`
}

// record is what a reader makes of it; its secret is not checked yet.
func (r *recordV1) record() Record {
	a := Account{ID: r.ID, Issuer: r.Issuer, Name: r.Name, Note: r.Note, Kind: r.Kind, Class: r.Class,
		Type: r.Type, Algorithm: r.Algorithm, Digits: r.Digits, Period: r.Period, Counter: r.Counter,
		Created: time.Unix(r.Created, 0).UTC(), NoExport: r.Export != nil && !*r.Export}
	a.Defaults()
	out := Record{Account: a, Secret: r.Secret, Touch: r.Touch, Tag: r.Tag}
	if i := r.Issued; i != nil {
		out.Issued = &Issued{i.Authority, i.Account, i.Key}
	}
	return out
}

type sessionDoc struct {
	format  string
	version int
	Session
}

func (d *sessionDoc) decode(from *json.Decoder, longest int) error {
	d.Records = make([]Record, 0, longest)
	if _, err := from.Token(); err != nil {
		return err
	}
	for from.More() {
		name, err := from.Token()
		if err != nil {
			return err
		}
		switch name {
		case "format":
			err = from.Decode(&d.format)
		case "version":
			err = from.Decode(&d.version)
		case "vault_id":
			err = from.Decode(&d.VaultID)
		case "journal":
			err = from.Decode(&d.Journal)
		case "journal_before":
			err = from.Decode(&d.JournalBefore)
		case "accounts":
			err = d.accounts(from)
		default:
			err = &fieldError{"an unknown name"}
		}
		if err != nil {
			return err
		}
	}
	_, err := from.Token()
	return err
}

// accounts reads an array of accounts, or null, which is none.
func (d *sessionDoc) accounts(from *json.Decoder) error {
	switch begin, err := from.Token(); {
	case err != nil:
		return err
	case begin == nil:
		return nil
	case begin != json.Delim('['):
		return &fieldError{"accounts that are no list"}
	}
	var r recordV1
	for from.More() {
		r = recordV1{}
		if err := from.Decode(&r); err != nil {
			return err
		}
		d.Records = append(d.Records, r.record())
	}
	_, err := from.Token()
	return err
}

func sessionV1(raw []byte) (*Session, error) {
	var d sessionDoc
	if err := decodeStrict(raw, &d); err != nil {
		return nil, damaged("session: %w", err)
	}
	if d.format != formatSession || d.version != 1 || !isHex(d.Journal, 8) || !isHex(d.JournalBefore, 8) {
		return nil, damaged("session: no format, version or journal")
	}
	if len(d.Records) > MaxAccounts {
		return nil, damaged("session: more than %d accounts", MaxAccounts)
	}
	seen := make(map[string]bool, len(d.Records))
	for i := range d.Records {
		r := &d.Records[i]
		if err := r.check(); err != nil {
			return nil, damaged("session: %w", err)
		}
		if seen[r.ID] {
			return nil, damaged("session: an account twice")
		}
		seen[r.ID] = true
	}
	return &d.Session, nil
}

// check holds for what session.age may have: managed secrets are elsewhere.
func (r *Record) check() error {
	if err := r.Account.Check(); err != nil {
		return err
	}
	if err := r.checkTag(); err != nil {
		return err
	}
	if err := r.checkIssued(); err != nil {
		return err
	}
	if r.Kind == Managed {
		if r.Secret != nil || r.Touch != nil {
			return fmt.Errorf("account: a managed account's secret")
		}
		return nil
	}
	return checkSecret(r.Class, r.Secret, r.Touch)
}

// checkTag: a tag is for what cannot be compared otherwise.
func (r *Record) checkTag() error {
	if r.Tag != "" && (!isHex(r.Tag, tagSize) || r.Touch == nil || r.Kind == Managed) {
		return fmt.Errorf("account: a tag that it cannot have")
	}
	return nil
}

func checkSecret(class string, secret, touch []byte) error {
	if class == ClassSession && (len(secret) < 1 || len(secret) > MaxSecret || touch != nil) ||
		class == ClassTouch && (len(touch) < 1 || len(touch) > maxTouchBlob || secret != nil) {
		return fmt.Errorf("account: the secret is missing, too long or of the other class")
	}
	return nil
}

// EncodeSession writes the accounts as session.age's JSON; defaults and managed
// secrets are left out. The encoder is our own because encoding/json keeps used
// buffers in a pool, where secrets would stay.
func EncodeSession(s *Session) ([]byte, error) {
	size := 256
	for i := range s.Records {
		r := &s.Records[i]
		size += 320 + 2*(len(r.Issuer)+len(r.Name)+len(r.Note)+len(r.Secret)+len(r.Touch)) + r.Issued.size()
	}
	w := &jsonWriter{buf: make([]byte, 0, size)}
	w.open('{')
	w.str("format", formatSession)
	w.num("version", 1)
	w.str("vault_id", s.VaultID)
	w.str("journal", s.Journal)
	w.str("journal_before", s.JournalBefore)
	w.name("accounts")
	w.open('[')
	for i := range s.Records {
		r := s.Records[i]
		if r.Kind == Managed {
			r.Secret, r.Touch = nil, nil
		}
		if err := r.check(); err != nil {
			clear(w.buf)
			return nil, err
		}
		w.record(&r)
	}
	w.close(']')
	w.close('}')
	return w.done()
}

func (w *jsonWriter) record(r *Record) {
	w.open('{')
	w.str("id", r.ID)
	w.opt("issuer", r.Issuer, "")
	w.str("name", r.Name)
	w.opt("note", r.Note, "")
	w.opt("kind", r.Kind, ThirdParty)
	w.opt("class", r.Class, ClassSession)
	w.opt("type", r.Type, "totp")
	w.opt("algorithm", r.Algorithm, "SHA1")
	d := Account{Type: r.Type}
	d.Defaults()
	if r.Digits != d.Digits {
		w.num("digits", uint64(r.Digits))
	}
	if r.Period != d.Period {
		w.num("period", uint64(r.Period))
	}
	if r.Counter != 0 {
		w.num("counter", r.Counter)
	}
	w.num("created", uint64(r.Created.Unix()))
	if r.NoExport {
		w.name("export")
		w.buf = append(w.buf, "false"...)
		w.comma = true
	}
	w.secrets(r.Secret, r.Touch)
	w.opt("tag", r.Tag, "")
	w.issued(r.Issued)
	w.close('}')
}

// size is what it takes at most, encoded.
func (i *Issued) size() int {
	if i == nil {
		return 0
	}
	return 128 + 2*(len(i.Authority)+len(i.Account)+len(i.Key))
}

func (w *jsonWriter) issued(i *Issued) {
	if i == nil {
		return
	}
	w.name("issued")
	w.open('{')
	w.bytes("authority", i.Authority)
	w.str("account", i.Account)
	w.bytes("key", i.Key)
	w.close('}')
}

func (w *jsonWriter) secrets(secret, touch []byte) {
	if secret != nil {
		w.name("secret")
		w.buf = append(w.buf, '"')
		w.buf = base32.StdEncoding.WithPadding(base32.NoPadding).AppendEncode(w.buf, secret)
		w.buf = append(w.buf, '"')
		w.comma = true
	}
	if touch != nil {
		w.bytes("touch", touch)
	}
}

type deviceDoc struct {
	Format   string           `json:"format"`
	Version  int              `json:"version"`
	VaultID  string           `json:"vault_id"`
	Accounts []deviceRecordV1 `json:"accounts"`
	State    []byte           `json:"state"`
}

type deviceRecordV1 struct {
	ID     string      `json:"id"`
	Secret base32Bytes `json:"secret"`
	Touch  []byte      `json:"touch"`
}

func deviceV1(raw []byte) (*device, error) {
	var d deviceDoc
	if err := decodeStrict(raw, &d); err != nil {
		return nil, damaged("device: %w", err)
	}
	if d.Format != formatDevice || d.Version != 1 || len(d.Accounts) > MaxAccounts {
		return nil, damaged("device: no format or version, or too many accounts")
	}
	if len(d.State) > MaxDeviceState {
		return nil, damaged("device: a state of more than %d bytes", MaxDeviceState)
	}
	out := &device{secrets: make(map[string]DeviceSecret, len(d.Accounts)), state: d.State}
	for _, a := range d.Accounts {
		out.secrets[a.ID] = DeviceSecret{a.Secret, a.Touch}
	}
	return out, nil
}

// EncodeDevice writes the secrets of managed accounts and the device's state as
// device.age's JSON; nil when there are neither.
func EncodeDevice(vaultID string, records []Record, state []byte) ([]byte, error) {
	if len(state) > MaxDeviceState {
		return nil, fmt.Errorf("%w: what is under way with authorities takes more than %d bytes", ErrTooLarge, MaxDeviceState)
	}
	w := &jsonWriter{}
	size, n := 256+2*len(state), len(state)
	for i := range records {
		size += 64 + 2*(len(records[i].Secret)+len(records[i].Touch))
	}
	w.buf = make([]byte, 0, size)
	w.open('{')
	w.str("format", formatDevice)
	w.num("version", 1)
	w.str("vault_id", vaultID)
	w.name("accounts")
	w.open('[')
	for i := range records {
		r := &records[i]
		if r.Kind != Managed || r.Inactive {
			continue
		}
		if err := checkSecret(r.Class, r.Secret, r.Touch); err != nil {
			clear(w.buf)
			return nil, err
		}
		n++
		w.open('{')
		w.str("id", r.ID)
		w.secrets(r.Secret, r.Touch)
		w.close('}')
	}
	w.close(']')
	if len(state) > 0 {
		w.bytes("state", state)
	}
	w.close('}')
	if n == 0 {
		return nil, nil
	}
	return w.done()
}

// jsonWriter appends JSON to one buffer.
type jsonWriter struct {
	buf   []byte
	comma bool
}

func (w *jsonWriter) sep() {
	if w.comma {
		w.buf = append(w.buf, ',')
	}
}

func (w *jsonWriter) open(c byte) {
	w.sep()
	w.buf = append(w.buf, c)
	w.comma = false
}

func (w *jsonWriter) close(c byte) {
	w.buf = append(w.buf, c)
	w.comma = true
}

func (w *jsonWriter) name(n string) {
	w.sep()
	w.buf = append(append(append(w.buf, '"'), n...), '"', ':')
	w.comma = false
}

func (w *jsonWriter) num(n string, v uint64) {
	w.name(n)
	w.buf = strconv.AppendUint(w.buf, v, 10)
	w.comma = true
}

func (w *jsonWriter) opt(n, v, without string) {
	if v != without {
		w.str(n, v)
	}
}

func (w *jsonWriter) bytes(n string, v []byte) {
	w.name(n)
	w.buf = append(w.buf, '"')
	w.buf = base64.StdEncoding.AppendEncode(w.buf, v)
	w.buf = append(w.buf, '"')
	w.comma = true
}

func (w *jsonWriter) str(n, v string) {
	w.name(n)
	w.buf = append(w.buf, '"')
	for _, r := range v {
		switch {
		case r == '"' || r == '\\':
			w.buf = append(w.buf, '\\', byte(r))
		case r < 0x20 || r == '\u2028' || r == '\u2029':
			w.buf = fmt.Appendf(w.buf, `\u%04x`, r)
		default:
			w.buf = utf8.AppendRune(w.buf, r)
		}
	}
	w.buf = append(w.buf, '"')
	w.comma = true
}

func (w *jsonWriter) done() ([]byte, error) {
	if len(w.buf) > MaxPayload {
		clear(w.buf)
		return nil, fmt.Errorf("%w: the accounts take more than %d bytes", ErrTooLarge, MaxPayload)
	}
	return w.buf, nil
}
