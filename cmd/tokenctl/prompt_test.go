//go:build !windows

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/tokenbridge/tokend/ipc"
)

// patience is how long something is waited for that must come, on a machine that
// may have much else to do.
const patience = time.Minute

// terminal is tokenctl on a pseudo-terminal, and the person at it.
type terminal struct {
	t    *testing.T
	tty  *os.File
	cmd  *exec.Cmd
	mu   sync.Mutex
	out  bytes.Buffer
	seen int
	done chan struct{}
}

// at starts tokenctl on a terminal, with f as its daemon.
func at(t *testing.T, f *fake, args ...string) *terminal {
	t.Helper()
	return atRunning(t, f, "tokenctl", args...)
}

// atRunning starts any program there.
func atRunning(t *testing.T, f *fake, program string, args ...string) *terminal {
	t.Helper()
	dir, err := os.MkdirTemp("", "tctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return atHome(t, f, dir, program, args...)
}

// atHome starts it with a home folder that has something in it.
func atHome(t *testing.T, f *fake, dir, program string, args ...string) *terminal {
	t.Helper()
	if f.socket == "" {
		socket, err := os.MkdirTemp("", "tctl")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(socket) })
		serve(t, f, socket)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "TOKEND_SOCKET="+f.socket, "HOME="+dir, noRaceSleep)
	cmd.Dir = dir
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 60, Cols: 160})
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, tty: tty, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(term.done)
		b := make([]byte, 4096)
		for {
			n, err := tty.Read(b)
			term.mu.Lock()
			term.out.Write(b[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = tty.Close() })
	return term
}

func (x *terminal) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.out.String()
}

// sees waits until the pattern shows after what was seen before.
func (x *terminal) sees(pattern string) *terminal {
	x.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if m := re.FindStringIndex(x.text()[x.seen:]); m != nil {
			x.seen += m[1]
			return x
		}
	}
	x.t.Fatalf("no %q in:\n%s", pattern, x.text())
	return x
}

// types answers at once, quicker than a person would.
func (x *terminal) types(s string) *terminal {
	x.t.Helper()
	if _, err := fmt.Fprint(x.tty, s); err != nil {
		x.t.Fatal(err)
	}
	return x
}

// ends waits for the program's end and its exit code.
func (x *terminal) ends(code int) string {
	x.t.Helper()
	end := make(chan error, 1)
	go func() { end <- x.cmd.Wait() }()
	select {
	case err := <-end:
		got := 0
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			got = exit.ExitCode()
		}
		select {
		case <-x.done:
		case <-time.After(patience):
		}
		if got != code {
			x.t.Fatalf("exit code %d, not %d:\n%s", got, code, x.text())
		}
	case <-time.After(patience):
		x.t.Fatalf("it does not end:\n%s", x.text())
	}
	return x.text()
}

func opened(accounts ...string) *fake {
	f := newFake()
	f.enrolled(ipc.VaultUnlocked)
	for _, a := range accounts {
		p := strings.Split(a, " ")
		f.add(p[0], p[1], p[2], p[3])
	}
	return f
}

// At a terminal a code unlocks the vault in passing; the PIN does not show.
func TestCodeUnlocksInPassing(t *testing.T) {
	f := opened("GitHub me session totp")
	f.status.Vault.State = ipc.VaultIsLocked
	x := at(t, f, "code", "github")
	x.sees(`PIN for YubiKey \(3 tries left\): `).types("000000\n")
	x.sees(`wrong PIN\r\nPIN for YubiKey \(2 tries left\): `).types(fakePIN + "\n")
	x.sees(`\r\n[0-9]{6}\r\n`)
	if out := x.ends(0); strings.Contains(out, fakePIN) || strings.Contains(out, "000000") {
		t.Fatalf("the PIN shows:\n%s", out)
	}
	if got := f.tried(); got != "000000 "+fakePIN {
		t.Fatalf("tried: %s", got)
	}
}

// --no-input asks nothing even at a terminal.
func TestNoInputAsksNothing(t *testing.T) {
	f := opened()
	f.status.Vault.State = ipc.VaultIsLocked
	at(t, f, "--no-input", "unlock").sees("--pin-file").ends(2)
	if f.tried() != "" {
		t.Fatal("a PIN was tried")
	}
}

// A PIN from a file is tried once, also where somebody could be asked.
func TestPINFileIsTriedOnce(t *testing.T) {
	f := opened("GitHub me session totp")
	f.status.Vault.State = ipc.VaultIsLocked
	path := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte("000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at(t, f, "code", "github", "--pin-file", path).sees("2 tries left before it is blocked").ends(14)
	if got := f.tried(); got != "000000" {
		t.Fatalf("tried: %s", got)
	}
}

// The last try is spent only after a word.
func TestLastTryIsAsked(t *testing.T) {
	f := opened()
	f.status.Vault.State, f.tries = ipc.VaultIsLocked, 1
	x := at(t, f, "unlock")
	x.sees("This is the last try: a wrong PIN blocks YubiKey. Type yes to go on: ").types("no\n")
	x.sees("cancelled: yes was not typed").ends(15)
	if f.tried() != "" {
		t.Fatal("the last try was spent")
	}
	x = at(t, f, "unlock")
	x.sees("Type yes to go on: ").types("yes\n").sees(`PIN for YubiKey \(last try\): `).types(fakePIN + "\n")
	x.sees("unlocked by YubiKey").ends(0)
}

// Ctrl-C at a prompt ends the program and gives the terminal its echo back.
func TestCtrlCAtPrompt(t *testing.T) {
	f := opened()
	f.status.Vault.State = ipc.VaultIsLocked
	x := atRunning(t, f, "sh", "-c", "trap : INT; tokenctl unlock; echo code $?; stty -a")
	x.sees("PIN for YubiKey").types("\x03").sees("cancelled").sees("code 15").sees(`[^-]echo\b`).ends(0)
	if f.tried() != "" {
		t.Fatal("a PIN was tried")
	}
}

// Ctrl-C in mid-touch ends the program, and the daemon sees its client go.
func TestCtrlCWhileTouchIsWanted(t *testing.T) {
	f := opened("Bank me touch totp")
	f.delay = time.Minute
	x := at(t, f, "code", "bank")
	x.sees("touch YubiKey for Bank:me …").types("\x03").sees("cancelled").ends(15)
	select {
	case <-f.left:
	case <-time.After(patience):
		t.Fatal("the daemon did not see the client go")
	}
}

func TestInitAsks(t *testing.T) {
	f := newFake()
	x := at(t, f, "init")
	x.sees("YubiKey is plugged in; used for a vault, it gets two keys of its own").sees(`Use it\? \(yes/no\) \[yes\]: `).types("\n")
	x.sees("opens your vault and its backups without any token")
	x.sees("New recovery password").types("short\n").sees("must have 10 to 128")
	x.sees("New recovery password").types("long enough 1\n").sees("Once more: ").types("long enough 2\n").sees("not the same")
	x.sees("New recovery password").types("long enough 1\n").sees("Once more: ").types("long enough 1\n")
	x.sees("PIN for YubiKey").types(fakePIN + "\n").sees("made vault v1").sees("Folder for copies").types("skip\n").sees("Later").ends(0)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.password != "long enough 1" {
		t.Fatalf("recovery password %q", f.password)
	}
}

func TestRemoveAsks(t *testing.T) {
	f := opened("GitHub me session totp")
	at(t, f, "account", "remove", "github").sees("is final").sees("Type yes to go on: ").types("\n").sees("cancelled").ends(15)
	at(t, f, "account", "remove", "github").sees("Type yes to go on: ").types("yes\n").sees("removed GitHub:me").ends(0)
}

func TestAddAsks(t *testing.T) {
	f := opened()
	x := at(t, f, "account", "add")
	x.sees("Issuer .*: ").types("GitHub\n").sees("Name .*: ").types("me\n")
	x.sees("Secret .*: ").types("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n").sees("its code now").sees(`[0-9]{6}`)
	x.sees("Set one now").types("no\n").sees("once the token is lost")
	if out := x.ends(0); strings.Contains(out, "GEZDG") {
		t.Fatalf("the secret shows:\n%s", out)
	}
}

// The QR code on a terminal is black on white, and only after a word.
func TestShowQR(t *testing.T) {
	f := opened("GitHub me session totp")
	x := at(t, f, "account", "show", "github", "--qr")
	x.sees("Type yes to go on: ").types("yes\n").sees("\x1b\\[30;107m").sees("clear the screen").ends(0)
}

func TestRestoreAsksForThePassword(t *testing.T) {
	f := newFake()
	f.tokens[0].Present = false
	path := filepath.Join(t.TempDir(), "b.tokend")
	if err := os.WriteFile(path, sampleBackup(t), 0o600); err != nil {
		t.Fatal(err)
	}
	x := at(t, f, "backup", "restore", path)
	x.sees("signed by [0-9a-f]{64}").sees("no token that is plugged in opens this backup").sees("Recovery password: ").types(backupPassword + "\n")
	x.sees("restored 1 account; the vault is unlocked by recovery password").ends(0)
}

// A list is a table on a terminal.
func TestTableOnTerminal(t *testing.T) {
	f := opened("GitHub me session totp", "銀行 私 touch totp")
	out := at(t, f, "account", "list").ends(0)
	want := "#  ACCOUNT    CLASS    TYPE  ID\r\n1  GitHub:me  session  totp  id1\r\n2  銀行:私    touch    totp  id2\r\n"
	if out != want {
		t.Fatalf("got\n%s\nwant\n%s", out, want)
	}
}

// The live list is drawn in place, asks no touch, and ends with Ctrl-C as it
// is meant to.
func TestWatch(t *testing.T) {
	f := opened("GitHub me session totp", "Bank me touch totp")
	x := at(t, f, "code", "--watch")
	x.sees(`GitHub:me  [0-9]{6}  [0-9]+ s`).sees("Bank:me +- +needs a touch").sees("\x1b\\[3A").types("\x03").ends(0)
	x = at(t, f, "code", "--watch", "github")
	x.sees(`\rGitHub:me  [0-9]{6}  [0-9]+ s`).sees(`\rGitHub:me  [0-9]{6}  [0-9]+ s`).types("\x03").ends(0)
}

func TestEventsUntilCtrlC(t *testing.T) {
	f := opened()
	at(t, f, "events").sees("state  vault unlocked").types("\x03").ends(0)
}

func TestQuickstartAsks(t *testing.T) {
	f := newFake()
	f.backup = sampleBackup(t)
	x := at(t, f, "quickstart")
	x.sees(`Type new or restore \[new\]: `).types("\n")
	x.sees("YubiKey is plugged in").sees(`Use it\? \(yes/no\) \[yes\]: `).types("\n")
	x.sees("PIN for YubiKey").types(fakePIN + "\n").sees("it opens with YubiKey")
	x.sees("Set one now").types("\n").sees("New recovery password").types("long enough 1\n").sees("Once more").types("long enough 1\n")
	x.sees("Type import, qr, uri, secret, sample, or skip").types("qr\n").sees("Picture").types("/nowhere.png\n").sees("no such file")
	x.sees("Type import, qr, uri, secret, sample, or skip").types("sample\n").sees("added Example:sample@example.com").sees(`[0-9]{6}\r\n`)
	x.sees("Folder for copies").types("no\n").sees(`New file \(or skip\) \[.*/vault-.*\.tokend\]: `).types("\n").sees("wrote and read back").sees("What next").ends(0)
}

func TestQuickstartRestores(t *testing.T) {
	f := newFake()
	path := filepath.Join(t.TempDir(), "b.tokend")
	if err := os.WriteFile(path, sampleBackup(t), 0o600); err != nil {
		t.Fatal(err)
	}
	x := at(t, f, "quickstart")
	x.sees("Type new or restore").types("restore\n").sees("Path of the backup").types(path + "\n").sees("PIN for YubiKey").types(fakePIN + "\n")
	x.sees("restored 1 account").sees("Set one now").types("no\n").sees("once the token is lost").sees("Folder for copies").types("skip\n").sees("New file").types("skip\n").sees("What next").ends(0)
}

// Ctrl-C in a pipe without a terminal is the same as at one.
func TestSignalWithoutTerminal(t *testing.T) {
	f := opened("Bank me touch totp")
	f.delay = time.Minute
	cmd := exec.Command("tokenctl", "code", "bank")
	dir, err := os.MkdirTemp("", "tctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cmd.Env = append(os.Environ(), "TOKEND_SOCKET="+serve(t, f, dir))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 256)
	if _, err := stderr.Read(line); err != nil || !bytes.Contains(line, []byte("touch YubiKey")) {
		t.Fatalf("%q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 15 {
		t.Fatalf("it ended with %v", err)
	}
}

// What no card can have is asked for again, and costs no try.
func TestMalformedPINIsNotTried(t *testing.T) {
	f := newFake()
	f.enrolled(ipc.VaultIsLocked)
	x := at(t, f, "unlock")
	x.sees("PIN for YubiKey").types("12\n").sees("a PIN has 6 to 8 characters, and that has 2; it was not used")
	x.sees("PIN for YubiKey").types("1234567890123\n").sees("that has 13")
	x.sees("PIN for YubiKey").types("\n").sees("nothing was typed")
	x.sees("PIN for YubiKey").types(fakePIN + "\n").sees("unlocked").ends(0)
	if got := f.tried(); got != fakePIN {
		t.Fatalf("PINs tried: %q", got)
	}
}

func TestNewPINLength(t *testing.T) {
	f := opened()
	x := at(t, f, "token", "pin")
	x.sees("Present PIN of YubiKey: ").types(fakePIN + "\n")
	x.sees(`New PIN \(6 to 8 characters\): `).types("12345\n").sees("that has 5")
	x.sees(`New PIN \(6 to 8 characters\): `).types("654321\n").sees("Once more: ").types("654321\n").sees("changed the PIN").ends(0)
}

// A wrong recovery password is asked for again, as a wrong PIN is.
func TestRecoveryPasswordAgain(t *testing.T) {
	f := newFake()
	f.enrolled(ipc.VaultIsLocked)
	x := at(t, f, "unlock", "--recovery")
	x.sees("Recovery password: ").types("not this one\n").sees("wrong recovery password")
	x.sees("Recovery password: ").types("correct horse battery\n").sees("unlocked by recovery password").ends(0)
	x = at(t, f, "recovery", "check")
	x.sees("no recovery password is set").sees("tokenctl recovery set-password").ends(11)
	f.mu.Lock()
	f.status.Vault.RecoverySet = time.Now()
	f.mu.Unlock()
	x = at(t, f, "recovery", "check")
	x.sees("Recovery password: ").types("not this one\n").sees("wrong recovery password")
	x.sees("Recovery password: ").types("correct horse battery\n").sees("it is right").ends(0)
}

// The token that is enrolled is left out; of several others one is picked.
func TestEnrollAsksWhich(t *testing.T) {
	f := opened()
	another := func(id string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.tokens = append(f.tokens, ipc.Token{ID: id, Kind: "piv", Model: "YubiKey 5", Serial: strings.TrimPrefix(id, "piv-"),
			Locator: "Reader of " + id, Present: true, Hardware: true})
	}
	located := func(want string) {
		t.Helper()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.enrollAt != want {
			t.Fatalf("enrolled at %q", f.enrollAt)
		}
	}
	another("piv-222")
	at(t, f, "token", "enroll").sees("YubiKey is plugged in, and enrolled already").sees(`YubiKey 5 222 \(Reader of piv-222\) is plugged in`).sees("Use it").types("\n").sees("enrolled ").ends(0)
	located("piv-222")
	another("piv-333")
	another("piv-444")
	x := at(t, f, "token", "enroll", "--token", "piv")
	x.sees(`1  YubiKey 5 333 \(Reader of piv-333\)`).sees(`2  YubiKey 5 444`).sees(`Which one \(1 to 2\): `).types("3\n")
	x.sees("number of the list").types("2\n").sees("enrolled ").ends(0)
	located("piv-444")
}

// A mistake does not end the quickstart: what is typed next must not go to the
// shell.
func TestQuickstartGoesOnAfterMistakes(t *testing.T) {
	f := newFake()
	x := at(t, f, "quickstart")
	x.sees("Type new or restore").types("\n").sees("Use it").types("\n")
	x.sees("PIN for YubiKey").types(fakePIN + "\n").sees("made vault")
	x.sees("Set one now").types("\n").sees("New recovery password").types("\n").sees("nothing was typed")
	x.sees("New recovery password").types("long enough 1\n").sees("Once more: ").types("long enough 1\n").sees("is set")
	x.sees("Type import, qr, uri").types("uri\n").sees("otpauth").types("nonsense\n").sees("not an otpauth://")
	x.sees("Type import, qr, uri").types("secret\n").sees("Issuer").types("GitHub\n").sees("Name").types("\n").sees("needs a name")
	x.sees("Name").types("me\n").sees("Secret .*: ").types("GEZ0GNBVGY3TQOJQ\n").sees("character 4 is not base32").sees("a letter misread")
	x.sees("Secret .*: ").types("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n").sees("added GitHub:me").sees("Its code")
	x.sees("A backup").sees("Folder for copies").types("skip\n").sees("New file").types("/nonexistent/b.tokend\n").sees("cannot write the backup").sees("New file").types("skip\n")
	x.sees("What next").ends(0)
}

// A step that cannot be done is passed over only when that is said.
func TestQuickstartAsksToRepeat(t *testing.T) {
	f := newFake()
	f.tries = 1
	x := at(t, f, "quickstart")
	x.sees("Type new or restore").types("\n").sees("Use it").types("\n")
	x.sees("This is the last try").types("no\n").sees("cancelled").sees("Try this step again").types("no\n").ends(15)
	if out := x.text(); strings.Count(out, "yes was not typed") != 1 {
		t.Fatalf("it is said twice:\n%s", out)
	}
}

// The sample is for a throwaway vault, never for one that is there.
func TestSampleLeavesAVaultAlone(t *testing.T) {
	f := opened("GitHub me session totp")
	at(t, f, "quickstart", "--sample").sees("you have a vault already").ends(11)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.accounts) != 1 {
		t.Fatalf("%d accounts", len(f.accounts))
	}
}

// Keys from before on the card are no dead end, and are never destroyed unasked.
func TestQuickstartOnAUsedCard(t *testing.T) {
	for answers, want := range map[string]string{"what\nbeside\n": "8485", "replace\nyes\n": "8283"} {
		f := newFake()
		f.occupied = true
		x := at(t, f, "quickstart")
		x.sees("Type new or restore").types("\n").sees("Use it").types("\n")
		x.sees("holds keys from before")
		for _, a := range strings.SplitAfter(strings.TrimSuffix(answers, "\n"), "\n") {
			x.sees(`(Type beside|Type yes).*: `).types(strings.TrimSuffix(a, "\n") + "\n")
		}
		x.sees("PIN for YubiKey").types(fakePIN + "\n").sees("made vault").sees("Set one now").types("\x03").ends(15)
		f.mu.Lock()
		if f.enrolledIn != want {
			t.Errorf("%q: slots %s", answers, f.enrolledIn)
		}
		f.mu.Unlock()
	}
}

// After a loss no token can agree: the recovery password does.
func TestRecoveryPasswordAgrees(t *testing.T) {
	f := opened()
	f.status.Vault.RecoverySet = time.Now()
	f.tokens[0].Present = false
	f.wantAgreed = true
	f.tokens = append(f.tokens, ipc.Token{ID: "piv-222", Kind: "piv", Model: "YubiKey 5", Serial: "222", Present: true, Hardware: true})
	x := at(t, f, "token", "enroll", "--token", "piv")
	x.sees("is present; the recovery password can agree in its place")
	x.sees("Recovery password: ").types("mistyped\n").sees("wrong recovery password")
	x.sees("Recovery password: ").types("correct horse battery\n").sees("enrolled ").ends(0)
}
