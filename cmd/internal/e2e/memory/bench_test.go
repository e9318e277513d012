//go:build linux

package memory

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/tokenbridge/tokend/cmd/internal/e2e"
	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/client"
	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// bench is a daemon with two virtual cards, and all secrets that went into it.
type bench struct {
	*e2e.Daemon
	t       *testing.T
	ctx     context.Context
	rig     *rig.Rig
	cards   [2]*vpiv.Card
	pins    [2]string
	pw      string // the recovery password in force
	c       *client.Client
	list    []*account
	needles []Needle
	slots   [2]string
	// recovery is the recovery key, and file what the password opened to it.
	recovery, file []byte
}

// account is one whose secret the test knows.
type account struct {
	id, name, class string
	secret          []byte
}

func (a *account) base32() string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(a.secret)
}

func (a *account) uri() string {
	return "otpauth://totp/" + a.name + "?secret=" + a.base32()
}

// random is a text of n letters, of which nothing else in a process consists.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = "abcdefghijkmnpqrstuvwxyz23456789"[b[i]%32]
	}
	return string(b)
}

func newBench(t *testing.T, p e2e.Programs) *bench {
	t.Helper()
	b := &bench{t: t, ctx: t.Context(), pw: random(20)}
	b.rig = rig.Start(t, rig.Options{})
	for i := range b.cards {
		o := vpiv.YubiKey(5, 4, 3)
		b.pins[i] = random(8)
		o.PIN, o.Serial, o.LogSecrets = b.pins[i], o.Serial+uint32(i), true
		var err error
		if b.cards[i], err = vpiv.New(o); err != nil {
			t.Fatal(err)
		}
		b.needles = append(b.needles, Text("PIN", b.pins[i])...)
	}
	b.needles = append(b.needles, Text("recovery password", b.pw)...)
	b.insert(0)
	b.Daemon = e2e.NewDaemon(t, p, b.rig.Env())
	b.Start()
	b.c = client.New(b.Socket)
	t.Cleanup(b.c.Close)
	return b
}

func (b *bench) insert(i int) {
	b.t.Helper()
	if err := b.rig.Insert(b.cards[i], i); err != nil {
		b.t.Fatal(err)
	}
}

// must fails the test with an error.
func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// auth is what opens with card i.
func (b *bench) auth(i int) ipc.Auth { return ipc.Auth{Token: b.slots[i], PIN: ipc.Secret(b.pins[i])} }

// password is what opens with the recovery password.
func (b *bench) password() ipc.Auth { return ipc.Auth{RecoveryPassword: ipc.Secret(b.pw)} }

// unlock asks to be unlocked by card i.
func (b *bench) unlock(i int) ipc.UnlockRequest { return ipc.UnlockRequest{Auth: b.auth(i)} }

// newAccount makes an account known; it is added by whoever asked for it.
func (b *bench) newAccount(class string) *account {
	a := &account{name: random(24), class: class, secret: make([]byte, 20+12*(len(b.list)%2))}
	_, _ = rand.Read(a.secret)
	b.list = append(b.list, a)
	return a
}

// raw sends a request byte by byte as it is given, as any client might, on a
// connection of its own.
func (b *bench) raw(head, body string) {
	b.t.Helper()
	c, err := net.Dial("unix", b.Socket)
	b.must(err)
	defer c.Close()
	b.must(c.SetDeadline(time.Now().Add(20 * time.Second)))
	_, err = fmt.Fprintf(c, "%sHost: tokend\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body)
	b.must(err)
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) || !strings.Contains(line, " 200 ") {
		b.t.Fatalf("%q, %v", line, err)
	}
}

// vaultFile is the vault as it is on disk.
func (b *bench) vaultFile() []byte {
	b.t.Helper()
	files, err := filepath.Glob(filepath.Join(b.State, "users", "*", "vault.tokend"))
	if err != nil || len(files) != 1 {
		b.t.Fatalf("the vault's file: %v %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	b.must(err)
	return data
}

// learn opens the vault as it is now by the recovery password and makes needles
// of its keys and of what stands beside them.
func (b *bench) learn() {
	b.t.Helper()
	a, err := archive.Parse(b.vaultFile())
	b.must(err)
	p := a.Parts()
	if !bytes.Equal(p.RecoveryKey, b.file) { // it is slow to open
		scrypt, err := age.NewScryptIdentity(b.pw)
		b.must(err)
		n, plain, err := AgeFile("recovery key", p.RecoveryKey, scrypt)
		b.must(err)
		b.needles = append(b.needles, n...)
		lines := bytes.Split(bytes.TrimSpace(plain), []byte("\n"))
		b.recovery, b.file = lines[len(lines)-1], p.RecoveryKey
	}
	recovery := b.recovery
	c, err := a.OpenRecoveryKey(recovery)
	b.must(err)
	touch, err := c.TouchKey()
	b.must(err)
	ids := map[string]age.Identity{}
	for kind, id := range map[string][]byte{"session key": c.Keys().SessionKey, "touch key": touch, "recovery key": recovery} {
		n, err := Identity(kind, id)
		b.must(err)
		b.needles = append(b.needles, n...)
		ids[kind], err = age.ParseX25519Identity(string(id))
		b.must(err)
	}
	file := func(kind string, data []byte, id age.Identity) {
		b.t.Helper()
		if data == nil {
			return
		}
		n, _, err := AgeFile(kind, data, id)
		b.must(err)
		b.needles = append(b.needles, n...)
	}
	file("session members", p.Keys, ids["session key"])
	file("session members", p.Session, ids["session key"])
	file("touch key", p.TouchKey, ids["recovery key"])
	for i := range c.Session().Records {
		file("touch secret", c.Session().Records[i].Touch, ids["touch key"])
	}
	seed := c.Keys().SigningKey.Seed()
	expanded := sha512.Sum512(seed)
	scalar := expanded[:32]
	b.needles = append(b.needles, Forms("signing key", seed)...)
	b.needles = append(b.needles, Needle{"signing key", "expanded", expanded[:]})
	scalar[0], scalar[31] = scalar[0]&248, scalar[31]&63|64
	b.needles = append(b.needles, Needle{"signing key", "scalar", scalar}, Needle{"signing key", "prefix", expanded[32:]})
	b.needles = append(b.needles, Forms("journal key", c.Keys().JournalKey)...)
}

// exchanges makes needles of what the cards computed: by a class's shared secret
// its key opens. Which class it was is told by the slot.
func (b *bench) exchanges() []Needle {
	var out []Needle
	seen := map[string]bool{}
	for _, card := range b.cards {
		if card == nil {
			continue
		}
		for _, e := range card.Log() {
			const generalAuthenticate, head = 0x87, 4
			if e.INS != generalAuthenticate || len(e.Response) != head+32 || seen[string(e.Response)] {
				continue
			}
			seen[string(e.Response)] = true
			kind := "session exchange"
			if e.P2 == 0x83 {
				kind = "touch exchange"
			}
			out = append(out, Forms(kind, e.Response[head:])...)
		}
	}
	return out
}

// everything is all needles, of the accounts as they are now too.
func (b *bench) everything() []Needle {
	out := append(b.needles[:len(b.needles):len(b.needles)], b.exchanges()...)
	for _, a := range b.list {
		out = append(out, OTP(a.class+" secret", a.secret)...)
		out = append(out, Needle{"name", "text", []byte(a.name)})
	}
	return out
}
