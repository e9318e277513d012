package transfer

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/url"

	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
	"golang.org/x/crypto/scrypt"
)

// migrationText is Google's MigrationPayload in its address.
func migrationText(accounts [][]byte, size, index int, id uint64) string {
	const version = 1
	var b []byte
	for _, a := range accounts {
		b = protobufBytes(b, 1, a)
	}
	b = protobufNumber(b, 2, version)
	b = protobufNumber(b, 3, uint64(size))
	b = protobufNumber(b, 4, uint64(index))
	b = protobufNumber(b, 5, id)
	defer clear(b)
	return migrationBegin + url.QueryEscape(base64.StdEncoding.EncodeToString(b))
}

func protobufNumber(b []byte, id, n uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, id<<3), n)
}

func protobufBytes(b []byte, id uint64, data []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, id<<3|2), uint64(len(data)))
	return append(b, data...)
}

// What Aegis derives the key of its password slots with.
const (
	aegisN, aegisR, aegisP = 1 << 15, 8, 1
	aegisSalt              = 32
)

// The documents that Aegis reads (docs/vault.md of its project).
type (
	aegisOutBox struct {
		Nonce string `json:"nonce"`
		Tag   string `json:"tag"`
	}
	aegisOutSlot struct {
		Type      int         `json:"type"`
		UUID      string      `json:"uuid"`
		Key       string      `json:"key"`
		KeyParams aegisOutBox `json:"key_params"`
		N         int         `json:"n"`
		R         int         `json:"r"`
		P         int         `json:"p"`
		Salt      string      `json:"salt"`
		Repaired  bool        `json:"repaired"`
		IsBackup  bool        `json:"is_backup"`
	}
	aegisOutHeader struct {
		Slots  []aegisOutSlot `json:"slots"`
		Params aegisOutBox    `json:"params"`
	}
	aegisOut struct {
		Version int            `json:"version"`
		Header  aegisOutHeader `json:"header"`
		DB      string         `json:"db"`
	}
	aegisOutInfo struct {
		Secret  string  `json:"secret"`
		Algo    string  `json:"algo"`
		Digits  int     `json:"digits"`
		Period  *int    `json:"period,omitempty"`
		Counter *uint64 `json:"counter,omitempty"`
	}
	aegisOutEntry struct {
		Type     string       `json:"type"`
		UUID     string       `json:"uuid"`
		Name     string       `json:"name"`
		Issuer   string       `json:"issuer"`
		Note     string       `json:"note"`
		Favorite bool         `json:"favorite"`
		Icon     *string      `json:"icon"`
		Info     aegisOutInfo `json:"info"`
		Groups   []string     `json:"groups"`
	}
	aegisOutDB struct {
		Version int             `json:"version"`
		Entries []aegisOutEntry `json:"entries"`
		Groups  []struct{}      `json:"groups"`
	}
)

// WriteAegis writes Aegis' encrypted vault: a random key seals the accounts, and a
// slot holds it, sealed by the password (scrypt, AES-256-GCM). It expresses every
// account, with its note.
func WriteAegis(rows []Row, password []byte, random io.Reader) ([]byte, error) {
	plain, err := aegisPlain(rows, random)
	defer clear(plain)
	if err != nil {
		return nil, err
	}
	draw := make([]byte, keySize+aegisSalt)
	defer clear(draw)
	if _, err := io.ReadFull(random, draw); err != nil {
		return nil, fmt.Errorf("cannot draw a key: %w", err)
	}
	master, salt := draw[:keySize], draw[keySize:]
	key, err := scrypt.Key(password, salt, aegisN, aegisR, aegisP, keySize)
	if err != nil {
		return nil, fmt.Errorf("cannot derive a key: %w", err)
	}
	defer clear(key)
	slot := aegisOutSlot{Type: aegisPassword, N: aegisN, R: aegisR, P: aegisP, Salt: hex.EncodeToString(salt), Repaired: true}
	if slot.UUID, err = uuid(random); err != nil {
		return nil, err
	}
	var sealed []byte
	if sealed, slot.KeyParams, err = aegisSeal(key, master, random); err != nil {
		return nil, err
	}
	slot.Key = hex.EncodeToString(sealed)
	out := aegisOut{Version: 1, Header: aegisOutHeader{Slots: []aegisOutSlot{slot}}}
	if sealed, out.Header.Params, err = aegisSeal(master, plain, random); err != nil {
		return nil, err
	}
	out.DB = base64.StdEncoding.EncodeToString(sealed)
	return indented(out)
}

func aegisPlain(rows []Row, random io.Reader) ([]byte, error) {
	const version = 2 // read by every Aegis of the last years
	db := aegisOutDB{Version: version, Entries: []aegisOutEntry{}, Groups: []struct{}{}}
	for _, r := range rows {
		id, err := uuid(random)
		if err != nil {
			return nil, err
		}
		e := aegisOutEntry{
			Type: r.Type, UUID: id, Name: r.Name, Issuer: r.Issuer, Note: r.Note, Favorite: r.Favourite, Groups: []string{},
			Info: aegisOutInfo{Secret: r.base32(), Algo: r.Algorithm, Digits: r.Digits},
		}
		if r.Type == typeHOTP {
			e.Info.Counter = &r.Counter
		} else {
			e.Info.Period = &r.Period
		}
		db.Entries = append(db.Entries, e)
	}
	return json.Marshal(db)
}

// aegisSeal is AES-256-GCM with the tag beside the data.
func aegisSeal(key, plain []byte, random io.Reader) (sealed []byte, box aegisOutBox, err error) {
	const nonceSize, tagSize = 12, 16
	nonce := make([]byte, nonceSize)
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, box, fmt.Errorf("cannot draw a nonce: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, box, fmt.Errorf("cannot encrypt: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, box, fmt.Errorf("cannot encrypt: %w", err)
	}
	out := gcm.Seal(nil, nonce, plain, nil)
	at := len(out) - tagSize
	return out[:at], aegisOutBox{Nonce: hex.EncodeToString(nonce), Tag: hex.EncodeToString(out[at:])}, nil
}

// uuid is a random one (RFC 9562, section 5.4).
func uuid(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("cannot draw an id: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

type (
	bitwardenOutLogin struct {
		URIs     []struct{} `json:"uris"`
		Username string     `json:"username"`
		Password *string    `json:"password"`
		TOTP     string     `json:"totp"`
	}
	bitwardenOutItem struct {
		ID             string            `json:"id"`
		OrganizationID *string           `json:"organizationId"`
		FolderID       *string           `json:"folderId"`
		Type           int               `json:"type"`
		Reprompt       int               `json:"reprompt"`
		Name           string            `json:"name"`
		Notes          *string           `json:"notes"`
		Favorite       bool              `json:"favorite"`
		Login          bitwardenOutLogin `json:"login"`
		CollectionIDs  *string           `json:"collectionIds"`
	}
	bitwardenOut struct {
		Encrypted bool               `json:"encrypted"`
		Folders   []struct{}         `json:"folders"`
		Items     []bitwardenOutItem `json:"items"`
	}
)

// WriteBitwarden writes Bitwarden's JSON, which is in the clear: a login for each
// account. Rows that it cannot express are named.
func WriteBitwarden(rows []Row, random io.Reader) (data []byte, refused []Skip, err error) {
	const login = 1
	out := bitwardenOut{Folders: []struct{}{}, Items: []bitwardenOutItem{}}
	for _, r := range rows {
		if r.Type == typeHOTP {
			refused = append(refused, Skip{Where: r.Where, Issuer: r.Issuer, Name: r.Name, Reason: "Bitwarden has no codes that count (hotp)"})
			continue
		}
		id, err := uuid(random)
		if err != nil {
			return nil, nil, err
		}
		item := bitwardenOutItem{ID: id, Type: login, Name: r.Issuer, Favorite: r.Favourite,
			Login: bitwardenOutLogin{URIs: []struct{}{}, Username: r.Name, TOTP: r.Address()}}
		if item.Name == "" {
			item.Name = r.Name
		}
		if r.Type == typeSteam {
			item.Login.TOTP = schemeSteam + r.base32()
		}
		if r.Note != "" {
			item.Notes = &r.Note
		}
		out.Items = append(out.Items, item)
	}
	data, err = indented(out)
	return data, refused, err
}

func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("cannot write JSON: %w", err)
	}
	return b.Bytes(), nil
}

// QR codes that a phone reads off a screen: the largest version has 25 by 25
// squares of its own pattern, and cameras of old phones fail beyond that.
const (
	// MaxCode is the longest text, in bytes, of a QR code that phones can scan.
	MaxCode = 800
	// codeScale is how many points a module has, codeQuiet the white edge in
	// modules that ISO/IEC 18004 asks for.
	codeScale, codeQuiet = 8, 4
)

// DrawCode draws a text as a QR code, PNG, black on white.
func DrawCode(text string) ([]byte, error) {
	code, err := encoder.Encoder_encode(text, decoder.ErrorCorrectionLevel_M, nil)
	if err != nil {
		return nil, errors.New("the text is too long for a QR code")
	}
	m := code.GetMatrix()
	side := (m.GetWidth() + 2*codeQuiet) * codeScale
	img := image.NewGray(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			cx, cy := x/codeScale-codeQuiet, y/codeScale-codeQuiet
			if cx < 0 || cy < 0 || cx >= m.GetWidth() || cy >= m.GetHeight() || m.Get(cx, cy) != 1 {
				img.Pix[y*img.Stride+x] = 255
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("cannot write a picture: %w", err)
	}
	return b.Bytes(), nil
}
