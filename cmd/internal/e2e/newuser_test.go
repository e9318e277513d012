//go:build linux

package e2e

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// TestANewUsersDay: somebody comes from Google Authenticator with 12 accounts, sets
// everything up, loses his token and the machine, goes on with the password on
// another machine, with another token, and takes the lost one's way away. After the
// first command he types nothing but what the programs told him to.
func TestANewUsersDay(t *testing.T) {
	t.Parallel()
	const password = "rosebud and three more words"
	accounts := samples(12)
	for i := range accounts { // what Google has words for
		accounts[i].typ, accounts[i].alg, accounts[i].digits, accounts[i].period = "totp", "SHA1", 6, 30
	}

	// The first machine.
	here := newMachine(t, 11223344)
	pictures := filepath.Join(here.home, "Pictures")
	for i, part := range [][]sample{accounts[:7], accounts[7:]} {
		drawQR(t, filepath.Join(pictures, fmt.Sprintf("export-%d.png", i+1)), migration(part, i, 2))
	}
	cloud := filepath.Join(here.home, "Nextcloud")
	if err := os.MkdirAll(cloud, 0o700); err != nil {
		t.Fatal(err)
	}
	s := here.runs("tokenctl quickstart")
	s.sees(`Type new or restore \[new\]: `).types("")
	s.sees(`is plugged in`).sees(`Use it\? .*: `).types("").sees(`PIN for .*: `).types(vpiv.FactoryPIN)
	s.sees(`made vault`).sees(`Set one now\? .*: `).types("yes")
	s.sees(`New recovery password.*: `).types(password).sees(`Once more.*: `).types(password)
	s.sees(`the recovery password is set`)
	s.sees(`Type import, .*: `).types("import").sees(`Files .*: `).types(pictures + "/*.png")
	s.sees(`read 12 rows`).sees(`Apply this\? .*: `).types("yes").sees(`imported 12`)
	s.sees(`valid for`).sees(`[0-9]{6}`)
	s.sees(`Folder for copies of backups.*: `).types(cloud)
	s.sees(`once an hour, by a timer of yours\? .*: `).types("yes")
	shown := s.sees(`What next`).ends(0)
	// The word that a code is compared with the old app comes with the command.
	compare := advised(t, shown, `(tokenctl code "Example:[^"]+")`)
	if got := strings.TrimSpace(lastLine(here.runs(compare).ends(0))); got == "" {
		t.Error("no code")
	}
	here.codes(accounts)
	copies, err := filepath.Glob(filepath.Join(cloud, "*.tokend"))
	if err != nil || len(copies) == 0 {
		t.Fatalf("no backup is in the cloud: %v, %v", copies, err)
	}

	// Token and machine are gone. What was in the cloud comes to the second machine.
	if err := here.rig.Remove(0); err != nil {
		t.Fatal(err)
	}
	here.d.Stop()
	there := newMachine(t, 55667788)
	copyTree(t, cloud, filepath.Join(there.home, "Nextcloud"))
	s = there.runs("tokenctl quickstart")
	s.sees(`Type new or restore \[new\]: `).types("restore")
	s.sees(`found, newest first`).sees(`12 accounts|Nextcloud`).sees(`Number, or path .*: `).types("")
	s.sees(`no token that is plugged in opens this backup`).sees(`Recovery password.*: `).types(password)
	s.sees(`restored 12 accounts`).sees(`Enrol one now\? .*: `).types("no").sees(`12 accounts in the vault`)
	s.sees(`Folder for copies of backups.*: `).types(filepath.Join(there.home, "Nextcloud"))
	s.sees(`once an hour, by a timer of yours\? .*: `).types("no")
	shown = s.sees(`What next`).ends(0)
	enroll := advised(t, shown, `(?m)^\s+(tokenctl token enroll)$`)
	revoke := advised(t, shown, `(?m)^\s+(tokenctl token revoke .+)$`)

	s = there.runs(enroll)
	s.sees(`Use it\? .*: `).types("").sees(`can agree in its place`).sees(`Recovery password: `).types(password)
	s.sees(`PIN for .*: `).types(vpiv.FactoryPIN).sees(`enrolled`).ends(0)
	s = there.runs(revoke)
	s.sees(`Type yes to go on: `).types("yes")
	shown = s.ends(0)
	there.codes(accounts)
	backup := advised(t, shown, `(tokenctl backup (?:create FILE|run))`)
	there.runs(strings.Replace(backup, "FILE", "after.tokend", 1)).ends(0)

	// What was lost opens nothing of this any more.
	var st ipc.Status
	there.d.JSON(&st, "status")
	enrolled := 0
	for _, k := range st.Tokens {
		if k.Enrolled {
			enrolled++
		}
	}
	if enrolled != 1 || st.Vault.Accounts != 12 || st.Vault.Epoch < 2 {
		t.Errorf("at the end of the day: %+v", st)
	}
}

// machine is a computer with a reader, a fresh YubiKey in it, and its owner.
type machine struct {
	*person
	rig *rig.Rig
}

func newMachine(t *testing.T, serial uint32) *machine {
	t.Helper()
	o := yubikey()
	o.Serial = serial
	card, err := vpiv.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := rig.Start(t, rig.Options{})
	if err := r.Insert(card, 0); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	for _, dir := range []string{"Pictures", "Documents"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d := NewDaemon(t, plainPrograms(t), r.Env())
	d.Start()
	return &machine{person: &person{t: t, d: d, home: home}, rig: r}
}

// codes gets a code of each account at the terminal, and has oathtool make the same.
func (m *machine) codes(accounts []sample) {
	m.t.Helper()
	for _, a := range accounts {
		var c ipc.Code
		m.d.JSON(&c, "code", a.name)
		if want := a.oathtool(m.t, c); c.Code != want {
			m.t.Fatalf("%s: code %s, oathtool says %s", a.name, c.Code, want)
		}
	}
	// And as a person does.
	shown := m.runs("tokenctl code " + accounts[0].name).ends(0)
	if !regexp.MustCompile(`(?m)^[0-9]{6}$`).MatchString(shown) {
		m.t.Fatalf("no code: %s", shown)
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// migration is one QR code of Google Authenticator's export: the protocol buffer
// that it draws, by hand.
func migration(accounts []sample, part, parts int) string {
	field := func(number, kind int) []byte { return []byte{byte(number<<3 | kind)} }
	text := func(number int, b []byte) []byte { return append(append(field(number, 2), byte(len(b))), b...) }
	value := func(number int, n byte) []byte { return append(field(number, 0), n) }
	var all []byte
	for _, a := range accounts {
		secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(a.secret)
		if err != nil {
			panic(err)
		}
		one := bytes.Join([][]byte{text(1, secret), text(2, []byte(a.name)), text(3, []byte("Example")), value(4, 1), value(5, 1), value(6, 2)}, nil)
		all = append(append(all, append(field(1, 2), byte(len(one)&0x7f|0x80), byte(len(one)>>7))...), one...)
	}
	all = bytes.Join([][]byte{all, value(2, 1), value(3, byte(parts)), value(4, byte(part)), value(5, 77)}, nil)
	return "otpauth-migration://offline?data=" + url.QueryEscape(base64.StdEncoding.EncodeToString(all))
}

// drawQR writes a picture with a QR code.
func drawQR(t *testing.T, path, text string) {
	t.Helper()
	const scale = 6
	code, err := encoder.Encoder_encode(text, decoder.ErrorCorrectionLevel_L, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := code.GetMatrix()
	img := image.NewGray(image.Rect(0, 0, scale*(m.GetWidth()+8), scale*(m.GetHeight()+8)))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for y := range m.GetHeight() * scale {
		for x := range m.GetWidth() * scale {
			if m.Get(x/scale, y/scale) == 1 {
				img.SetGray(4*scale+x, 4*scale+y, color.Gray{})
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
