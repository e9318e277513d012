package main

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/ipc"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tokenctl": main, "clip": fakeClipboard})
}

type fakeKey struct{}

// With the race detector in it, a program would else sleep for a second before
// it ends.
const noRaceSleep = "GORACE=atexit_sleep_ms=0"

// TestScripts runs whole command lines against a daemon in memory, with no
// terminal. Prompts are tested on a terminal in prompt_test.go.
func TestScripts(t *testing.T) {
	backup := sampleBackup(t)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			f := newFake()
			f.backup = backup
			// A socket's path has room for about a hundred bytes.
			dir, err := os.MkdirTemp("", "tctl")
			if err != nil {
				return err
			}
			e.Defer(func() { _ = os.RemoveAll(dir) })
			e.Setenv("TOKEND_SOCKET", serve(e.T().(testing.TB), f, dir))
			e.Vars = append(e.Vars, noRaceSleep)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("TMPDIR", e.WorkDir)
			e.Values[fakeKey{}] = f
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon": daemonCommand, "picture": pictureCommand, "installclip": installClip, "tried": triedCommand,
			"flip": flipCommand, "same": sameCommand, "exits": exitsCommand, "awaits": awaitsCommand,
			"located": locatedCommand, "asked": askedCommand,
		},
	})
}

// daemonCommand arranges the fake: daemon locked|open, account ISSUER NAME
// CLASS TYPE, tries N, absent, gone, another ID, fido2 ID [PIN], u2f ID, delay 1s, fail
// KIND.
func daemonCommand(ts *testscript.TestScript, _ bool, args []string) {
	f := ts.Value(fakeKey{}).(*fake)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch args[0] {
	case "locked":
		f.enrol(ipc.VaultIsLocked)
	case "open":
		f.enrol(ipc.VaultUnlocked)
	case "account":
		f.add(strings.ReplaceAll(args[1], `\e`, "\x1b"), args[2], args[3], args[4])
	case "destination": // a folder that backups are copied to: daemon destination PATH
		f.destinations = append(f.destinations, ipc.Destination{ID: "d1", Path: args[1], State: ipc.DestinationOK})
	case "managed": // makes the last account one
		f.accounts[len(f.accounts)-1].Kind = "managed"
	case "tries":
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		f.tries = n
	case "another": // a token that is not enrolled: daemon another ID
		f.tokens = append(f.tokens, ipc.Token{ID: args[1], Kind: "piv", Model: "YubiKey 5", Serial: strings.TrimPrefix(args[1], "piv-"),
			Locator: "Reader " + args[1], Present: true, Hardware: true, Classes: []string{}})
	case "fido2": // a FIDO2 key that is not enrolled: daemon fido2 ID [PIN]
		f.tokens = append(f.tokens, ipc.Token{ID: args[1], Kind: "fido2", Model: "Security Key", Locator: "/dev/" + args[1],
			Present: true, NoPIN: len(args) == 2, Hardware: true, Classes: []string{}})
		if f.fido2PIN = ""; len(args) > 2 {
			f.fido2PIN = args[2]
		}
	case "u2f": // a key that cannot be used: daemon u2f ID
		f.tokens = append(f.tokens, ipc.Token{ID: args[1], Kind: "fido2", Model: "U2F key", Locator: "/dev/" + args[1], Present: true, Hardware: true,
			Problem: &ipc.Error{Kind: ipc.TokenUnsupported, Token: &ipc.TokenRef{ID: args[1], Label: "U2F key", Kind: "fido2"},
				Message: "cannot use token \"U2F key\": the key speaks U2F alone, which cannot guard a vault"}})
	case "gone": // pulls the last token out
		t := &f.tokens[len(f.tokens)-1]
		t.Present, t.Locator = false, ""
	case "absent":
		f.tokens[0].Present = false
	case "delay":
		d, err := time.ParseDuration(args[1])
		ts.Check(err)
		f.delay = d
	case "meanwhile": // the next call finds that the vault was locked while it waited
		f.failNext = &ipc.Error{Kind: ipc.VaultLocked, Message: "the vault was locked: on request", Meanwhile: true}
		f.status.Vault.State = ipc.VaultIsLocked
	case "grant": // of codes until the lock: daemon grant ACCOUNT
		a, err := f.accountRef(args[1])
		ts.Check(err)
		f.grants.given = append(f.grants.given, ipc.Grant{ID: "g" + a.ID, Action: ipc.GrantCode, Account: a, For: ipc.GrantToLock, Uses: 3,
			Requester: ipc.Requester{Program: "curl", PID: 4712, Exe: "/usr/bin/curl", Unit: "vte.scope"}})
	case "fail":
		f.failNext = &ipc.Error{Kind: ipc.Kind(args[1]), Message: "as ordered"}
	default:
		ts.Fatalf("daemon: unknown %q", args[0])
	}
}

// exitsCommand runs a program that must end with the given exit code. stdout
// and stderr then speak of its output.
func exitsCommand(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("it ended with %v, not with exit code %s", err, args[0])
	}
}

// askedCommand compares what the last code was asked for with: asked ACCOUNT
// INTERACTION.
func askedCommand(ts *testscript.TestScript, _ bool, args []string) {
	f := ts.Value(fakeKey{}).(*fake)
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := f.grants.asked; got != strings.Join(args, " ") {
		ts.Fatalf("it was asked as %q", got)
	}
}

// awaitsCommand waits until a file holds a text the given number of times.
func awaitsCommand(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	for range 400 {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && strings.Count(string(b), args[1]) >= n {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s does not hold %q %d times", args[0], args[1], n)
}

// triedCommand checks which PINs reached the token.
func triedCommand(ts *testscript.TestScript, _ bool, args []string) {
	if got := ts.Value(fakeKey{}).(*fake).tried(); got != strings.Join(args, " ") {
		ts.Fatalf("PINs tried: %q", got)
	}
}

// locatedCommand checks which token was enrolled last.
func locatedCommand(ts *testscript.TestScript, _ bool, args []string) {
	f := ts.Value(fakeKey{}).(*fake)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.enrollAt != args[0] {
		ts.Fatalf("enrolled at %q", f.enrollAt)
	}
}

// flipCommand changes one byte in the middle of a file.
func flipCommand(ts *testscript.TestScript, _ bool, args []string) {
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	b[len(b)/2] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// sameCommand compares the clipboard file with what is expected, for up
// to 20 s: the clipboard is emptied by a process of its own.
func sameCommand(ts *testscript.TestScript, neg bool, args []string) {
	want := strings.TrimSpace(args[1])
	for range 400 {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && strings.TrimSpace(string(b)) == want {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s does not hold %q", args[0], want)
}

// pictureCommand writes a PNG with a QR code of each text, side by side.
func pictureCommand(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), qrPicture(ts, args[1:]...), 0o600))
}

type fatal interface{ Fatalf(string, ...any) }

func qrPicture(t fatal, texts ...string) []byte {
	const scale = 4
	var all []*encoder.ByteMatrix
	w, h := 40, 0
	for _, text := range texts {
		code, err := encoder.Encoder_encode(text, decoder.ErrorCorrectionLevel_M, nil)
		if err != nil {
			t.Fatalf("cannot draw: %v", err)
		}
		m := code.GetMatrix()
		all = append(all, m)
		w += scale*(m.GetWidth()+8) + 40
		h = max(h, scale*(m.GetHeight()+8))
	}
	img := image.NewGray(image.Rect(0, 0, w, h+40))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	left := 20 + 4*scale
	for _, m := range all {
		for y := range m.GetHeight() * scale {
			for x := range m.GetWidth() * scale {
				if m.Get(x/scale, y/scale) == 1 {
					img.SetGray(left+x, 20+y, color.Gray{})
				}
			}
		}
		left += scale*(m.GetWidth()+8) + 40
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatalf("cannot write the picture: %v", err)
	}
	return b.Bytes()
}

// installClip puts programs called wl-copy and wl-paste on the PATH, which keep
// the clipboard in a file.
func installClip(ts *testscript.TestScript, _ bool, _ []string) {
	bin := ts.MkAbs("bin")
	ts.Check(os.MkdirAll(bin, 0o700))
	script := "#!/bin/sh\necho \"$0 $*\" >>" + ts.MkAbs("clip.args") + "\nexec clip " + ts.MkAbs("clip.data") + " ${0##*/} \"$@\"\n"
	for _, name := range []string{"wl-copy", "wl-paste"} {
		ts.Check(os.WriteFile(filepath.Join(bin, name), []byte(script), 0o700))
	}
	ts.Setenv("PATH", bin+":"+ts.Getenv("PATH"))
	ts.Setenv("WAYLAND_DISPLAY", "wayland-0")
}

// fakeClipboard is the program behind those scripts.
func fakeClipboard() {
	file := os.Args[1]
	var err error
	switch os.Args[2] {
	case "wl-paste":
		var b []byte
		if b, err = os.ReadFile(file); err == nil {
			_, err = os.Stdout.Write(b)
		}
	default:
		var b bytes.Buffer
		if _, err = b.ReadFrom(os.Stdin); err == nil {
			err = os.WriteFile(file, b.Bytes(), 0o600)
		}
	}
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// The password of the sample backup.
const backupPassword = "correct horse battery"

// sampleBackup builds a backup of two accounts, one of them touch-class.
func sampleBackup(tb testing.TB) []byte {
	tb.Helper()
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	return backupOf(tb, func(touchTo string) []archive.Record {
		secret, err := archive.Encrypt([]byte("12345678901234567890"), touchTo)
		if err != nil {
			tb.Fatal(err)
		}
		return []archive.Record{
			{Account: archive.Account{ID: "00000000000000aa", Issuer: "GitHub", Name: "me", Kind: "third-party", Class: "session", Created: at}, Secret: []byte("12345678901234567890")},
			{Account: archive.Account{ID: "00000000000000bb", Issuer: "Bank", Name: "me", Kind: "third-party", Class: "touch", Created: at}, Touch: secret},
		}
	})
}

// backupOf builds a backup of what fill gives for a touch recipient.
func backupOf(tb testing.TB, fill func(touchTo string) []archive.Record) []byte {
	tb.Helper()
	check := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	id := strings.Repeat("0123456789abcdef", 2)
	if fill == nil {
		id = strings.Repeat("fedcba9876543210", 2)
	}
	session, sessionTo, err := archive.NewIdentity()
	check(err)
	touch, touchTo, err := archive.NewIdentity()
	check(err)
	recovery, recoveryTo, err := archive.NewIdentity()
	check(err)
	_, sign, err := ed25519.GenerateKey(nil)
	check(err)
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	var records []archive.Record
	if fill != nil {
		records = fill(touchTo)
	}
	for i := range records {
		records[i].Defaults()
	}
	accounts, err := archive.EncodeSession(&archive.Session{VaultID: id, Journal: "00000000000000cc", JournalBefore: "00000000000000dd", Records: records})
	check(err)
	keys, err := archive.EncodeKeys(&archive.Keys{VaultID: id, Epoch: 1, SessionKey: session, SigningKey: sign, JournalKey: make([]byte, 32),
		TouchRecipient: touchTo, RecoveryRecipient: recoveryTo})
	check(err)
	p := archive.Parts{Header: archive.Header{VaultID: id, Epoch: 1, RecoverySet: at}, Generation: 3, Time: at, SigningKey: sign}
	p.Keys, err = archive.Encrypt(keys, sessionTo, recoveryTo)
	check(err)
	p.Session, err = archive.Encrypt(accounts, sessionTo, recoveryTo)
	check(err)
	p.TouchKey, err = archive.Encrypt(touch, recoveryTo)
	check(err)
	p.RecoveryKey, err = archive.SealRecoveryKey(archive.RecoveryKey{VaultID: id, Signer: archive.Signer(sign), Created: at, Identity: recovery},
		[]byte(backupPassword), 10)
	check(err)
	data, _, err := archive.Build(p)
	check(err)
	return data
}
