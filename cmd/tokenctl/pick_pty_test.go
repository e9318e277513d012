//go:build !windows

package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/term"

	"github.com/tokenbridge/tokend/cmd/internal/vt"
	"github.com/tokenbridge/tokend/ipc"
)

// window is tokenctl on a terminal, beside a clipboard.
type window struct {
	*vt.Window
	t    *testing.T
	clip string // the file that the clipboard is in
}

// openWindow starts tokenctl with f as its daemon. env is added to its environment.
func openWindow(t *testing.T, f *fake, w, h int, env []string, args ...string) *window {
	t.Helper()
	dir, err := os.MkdirTemp("", "tctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if f.socket == "" {
		serve(t, f, dir)
	}
	clip := filepath.Join(dir, "clip")
	for _, name := range []string{"wl-copy", "wl-paste"} {
		script := "#!/bin/sh\nexec clip " + clip + " ${0##*/} \"$@\"\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("tokenctl", args...)
	cmd.Env = append(os.Environ(), "TOKEND_SOCKET="+f.socket, "HOME="+dir, noRaceSleep, "TERM=xterm", "WAYLAND_DISPLAY=wayland-0", "PATH="+dir+":"+os.Getenv("PATH"))
	cmd.Env = append(cmd.Env, env...)
	return &window{Window: vt.Open(t, cmd, w, h), t: t, clip: clip}
}

// holds waits until that is in the clipboard.
func (x *window) holds(code string) *window {
	x.t.Helper()
	x.Until("in the clipboard: "+code, func() bool {
		b, err := os.ReadFile(x.clip)
		return err == nil && regexp.MustCompile("^"+code+"$").Match(b)
	})
	return x
}

func (x *window) sees(patterns ...string) *window { x.t.Helper(); x.Sees(patterns...); return x }

func (x *window) seesNo(pattern string) *window { x.t.Helper(); x.SeesNo(pattern); return x }

func (x *window) types(s string) *window { x.t.Helper(); x.Types(s); return x }

func (x *window) size(w, h int) *window { x.t.Helper(); x.Size(w, h); return x }

// ends waits for the end. No code may be left.
func (x *window) ends(code int) { x.t.Helper(); x.Ends(code, `\b[0-9]{6}\b`) }

const aCode = `[0-9]{6}`

// Typing filters, Enter copies what is selected and says so, Esc goes back step by
// step.
func TestPick(t *testing.T) {
	f := opened("GitHub me session totp", "GitLab me session totp", "銀行 私 session totp")
	x := openWindow(t, f, 80, 24, nil, "code")
	x.sees(`^Filter: +3 accounts$`, `^> GitHub:me +`+aCode+` +[0-9]+ s$`, `^  銀行:私 +`+aCode, `^Enter: copy   Esc: leave   Up`)
	if s := x.State(); !s.Alternate || !s.NoWrap || s.X != 8 || s.Y != 0 {
		t.Errorf("%+v", s)
	}
	x.types("gitl").sees(`^Filter: gitl +1 of 3 accounts$`, `^> GitLab:me`).seesNo("GitHub")
	x.types("\r").sees(`^the code of GitLab:me is in the clipboard; emptied in 30 s if it is still there$`, `^> GitLab:me .* copied$`).holds(aCode)
	// The note goes with the next key.
	x.types("\x1b").sees(`^Filter: +3 accounts`, `^> GitLab:me .*copied`, `^Enter: copy`)
	x.types("\x1b[A").sees(`^> GitHub:me`).types("\x1b[F").sees(`^> 銀行:私`).types("\x15x").sees("No account matches.").types("\x1b")
	x.sees("^> GitHub:me").types("\x1b").ends(0)
}

// What was copied is gone from the clipboard after the time, and so is the word
// of it.
func TestPickClearsClipboard(t *testing.T) {
	f := opened("GitHub me session totp")
	x := openWindow(t, f, 80, 24, nil, "code", "--clear-after", "6s")
	x.sees(aCode).types("\r").sees("emptied in 6 s").holds(aCode).holds("").seesNo("emptied|copied").types("\x03").ends(0)
	x = openWindow(t, f, 80, 24, nil, "code", "--clear-after", "5s")
	x.sees(aCode).types("\r").sees("emptied in 5 s").holds(aCode).types("\x03").ends(0)
	x.holds("") // also after the end
}

// An account that counts shows no code before it is asked for, and one press of
// Enter is one count, however long the key is held down.
func TestPickCounts(t *testing.T) {
	f := opened("VPN me session hotp", "GitHub me session totp")
	x := openWindow(t, f, 80, 24, nil, "code")
	x.sees(`^> VPN:me +press Enter$`, `^  GitHub:me +`+aCode)
	counted := func() uint64 { f.mu.Lock(); defer f.mu.Unlock(); return *f.accounts[0].Counter }
	if counted() != 0 {
		t.Fatal("the list took a count")
	}
	x.types("\r").sees(`^> VPN:me +755224 +copied$`).holds("755224").types("\r\r\r\r").types("\x1b[B").sees("^> GitHub").types("\x1b[A\r").sees("clipboard")
	if counted() != 1 {
		t.Fatalf("%d counts were taken", counted())
	}
	x.types("\x04").ends(0)
}

// A touch account shows no code before it is asked for; then the touch is
// announced, and the code stays until it runs out.
func TestPickTouch(t *testing.T) {
	f := opened("Bank me touch totp", "GitHub me session totp")
	// A code that ran out at once would be gone before the machine looked.
	f.delay, f.step = 4*time.Second, time.Hour
	x := openWindow(t, f, 80, 24, nil, "code")
	x.sees(`^> Bank:me +touch$`).types("\r").sees("^touch YubiKey for Bank:me …$").sees(`^> Bank:me +`+aCode+` +[0-9]+(min| s)`, "^the code of Bank:me").holds(aCode)
	f.mu.Lock()
	f.touches, f.delay = 1, time.Hour // who asks again waits for ever
	f.mu.Unlock()
	x.types("\x1b[B\x1b[A\r").sees("^the code of Bank:me").types("\x03").ends(0)
	// Esc takes the request back, and the daemon sees that.
	x = openWindow(t, f, 80, 24, nil, "code")
	x.sees(`^> Bank:me +touch$`).types("\r").sees("^touch YubiKey").sees("touch YubiKey for Bank:me …").types("\x1b").sees("^cancelled: no code was made for Bank:me$", `^> Bank:me +touch$`)
	select {
	case <-f.left:
	case <-time.After(patience):
		t.Fatal("the daemon did not see the request go")
	}
	x.types("\x1b").ends(0)
}

// A token that wants its PIN for a touch is given it at the usual question.
func TestPickTouchWithPIN(t *testing.T) {
	f := opened("Bank me touch totp")
	f.touchPIN, f.step = true, time.Hour
	x := openWindow(t, f, 80, 24, nil, "code")
	x.sees(`^> Bank:me +touch$`).types("\r").sees("^YubiKey wants its PIN: Enter to type it$")
	// Any other key is no answer.
	x.types("\x1b[A").seesNo("wants its PIN").types("\r").sees("wants its PIN").types("\r").sees(`^PIN for YubiKey \(3 tries left\):`).types("000000\r").sees("wrong PIN", `\(2 tries left\):$`).types(fakePIN + "\r")
	x.sees(`^> Bank:me +`+aCode, "clipboard").seesNo("PIN").types("\x1b").ends(0)
	if got := f.tried(); got != "000000 "+fakePIN {
		t.Fatalf("tried: %s", got)
	}
}

// A locked vault is unlocked in passing; one that is locked meanwhile shows
// nothing, says why, and is unlocked in place.
func TestPickLocked(t *testing.T) {
	f := opened("GitHub me session totp", "GitLab me session totp")
	f.status.Vault.State = ipc.VaultIsLocked
	x := openWindow(t, f, 60, 12, nil, "code")
	x.sees(`^PIN for YubiKey \(3 tries left\):`).types(fakePIN + "\r").sees("^> GitHub:me +" + aCode)
	x.types("git\x1b[B").sees("^> GitLab:me")
	lock := func() {
		if err := f.Lock(context.Background(), ipc.Principal{}); err != nil {
			t.Fatal(err)
		}
	}
	lock()
	x.sees("^Filter: git$", `^The vault was locked: on request\.$`, "^Enter: unlock it$").seesNo("GitLab|" + aCode)
	x.types("\r").sees(`^PIN for YubiKey`).seesNo("Filter").types("999999\r").sees("wrong PIN").types(fakePIN + "\r")
	// With the filter and the choice as they were.
	x.sees("^Filter: git +2 of 2 accounts$", "^> GitLab:me +"+aCode)
	lock()
	// Somebody else unlocks it.
	x.sees("The vault was locked")
	f.mu.Lock()
	f.status.Vault.State = ipc.VaultUnlocked
	for ch := range f.subs {
		ch <- ipc.Event{Version: 1, Type: ipc.EventUnlocked, Time: time.Now(), Vault: &f.status.Vault}
	}
	f.mu.Unlock()
	x.sees("^> GitLab:me +" + aCode)
	lock()
	x.sees("The vault was locked").types("\r").sees("^PIN for YubiKey").types("\x03").ends(0)
}

// What another program changes is seen.
func TestPickSeesChanges(t *testing.T) {
	f := opened("GitHub me session totp")
	x := openWindow(t, f, 80, 24, nil, "code")
	x.sees("1 account$", aCode)
	tell := func(kind string) {
		for ch := range f.subs {
			ch <- ipc.Event{Version: 1, Type: kind, Time: time.Now()}
		}
	}
	f.mu.Lock()
	f.add("Bank", "me", "session", "totp")
	tell(ipc.EventAccountAdded)
	f.mu.Unlock()
	x.sees("2 accounts$", "^> GitHub:me", "^  Bank:me +"+aCode)
	f.mu.Lock()
	f.accounts = nil
	tell(ipc.EventAccountRemoved)
	f.mu.Unlock()
	x.sees("^no accounts yet; add one: tokenctl account add$").types("\r\x1b[B\x1b[6~\x1b").ends(0)
	for _, args := range [][]string{{"code"}, {"code", "--copy"}, {"code", "--watch"}} {
		openWindow(t, f, 80, 24, nil, args...).sees("^tokenctl: there are no accounts yet$", "add one: `tokenctl account add`").ends(11)
	}
}

// A daemon that is gone is told of, with nothing left on the screen, and the list
// is there again with it.
func TestPickDaemonGone(t *testing.T) {
	f := opened("GitHub me session totp")
	dir, err := os.MkdirTemp("", "tctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	stop := serveUntil(t, f, dir)
	x := openWindow(t, f, 80, 24, nil, "code")
	x.sees("^> GitHub:me +" + aCode).types("hub").sees("^Filter: hub")
	stop()
	x.sees(`^Cannot .*daemon`, "The list is back when it answers again", "^Esc: leave").seesNo("GitHub|" + aCode).types("\r\r")
	serveUntil(t, f, dir)
	x.sees("^Filter: hub", "^> GitHub:me +"+aCode).types("\x03").ends(0)
}

// The list fits any size, at once, and the terminal's state is given back however
// the program ends.
func TestPickResize(t *testing.T) {
	f := opened()
	for i := range 50 {
		f.add("Issuer", fmt.Sprintf("user%02d", i), "session", "totp")
	}
	x := openWindow(t, f, 80, 24, nil, "code")
	x.sees("^> Issuer:user00", "^  Issuer:user21 +"+aCode, "^Enter: copy").types("\x1b[6~").sees("^> Issuer:user22")
	x.size(40, 10).sees("^> Issuer:user22 +"+aCode+" +[0-9]+ s$", "^  Issuer:user15 ", "^Enter: copy").seesNo("user14|user23")
	x.size(20, 5).sees("^> Issue…er22  "+aCode+"$").size(5, 1).size(1, 1).size(200, 50).sees("^  Issuer:user47", `^Filter: +50 accounts$`).types("\x1b[H").sees("^> Issuer:user00")
	if err := x.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	x.ends(0)
	x = openWindow(t, f, 80, 24, nil, "code")
	x.sees("^> Issuer:user00 +" + aCode)
	if err := x.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	x.ends(0)
}

// Five thousand accounts are shown, found and walked through, and codes are asked
// for of those alone that are on the screen.
func TestPickMany(t *testing.T) {
	f := opened()
	for i := range 5000 {
		f.add("Issuer", fmt.Sprintf("user%04d", i), "session", "totp")
	}
	x := openWindow(t, f, 80, 24, nil, "code")
	x.sees("^> Issuer:user0000 +"+aCode, "5000 accounts$").types("\x1b[F").sees("^> Issuer:user4999 +"+aCode).types("user2").sees("1000 of 5000", "^> Issuer:user2000 +"+aCode)
	x.types("\x15").sees("^> Issuer:user2000").types("\x1b[H").types(strings.Repeat("\x1b[6~", 30)).sees("^> Issuer:user0660 +" + aCode).types("\x03").ends(0)
}

// Nothing of it needs colours, and NO_COLOR has none.
func TestPickNoColor(t *testing.T) {
	f := opened("GitHub me session totp", "Bank me touch totp")
	for _, c := range []struct {
		env    string
		styled bool
	}{{"NO_COLOR=1", false}, {"NO_COLOR=", true}} {
		x := openWindow(t, f, 80, 24, []string{c.env}, "code")
		x.sees("^> GitHub:me +"+aCode, "^  Bank:me +touch").types("\x1b[B").sees("^> Bank").types("\x1b[A\r").sees("clipboard").types("\x1b").ends(0)
		if got := x.State().Styled; got != c.styled {
			t.Errorf("%s: styled %v", c.env, got)
		}
	}
}

// Ctrl-Z stops the program with the terminal as it was, and the list is there
// again when it goes on.
func TestPickStopped(t *testing.T) {
	f := opened("GitHub me session totp")
	x := openWindow(t, f, 80, 24, nil, "code")
	x.sees("^> GitHub:me +" + aCode)
	// Nobody is there to go back to, so that the system does not stop it: what is
	// left of it is a moment.
	x.types("\x1a").Until("the usual screen", func() bool { return x.State().Left == 1 })
	x.sees("^> GitHub:me +" + aCode)
	if err := x.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := term.Restore(int(x.TTY.Fd()), x.Before); err != nil {
		t.Fatal(err)
	}
	_, _ = x.Write([]byte("\x1b[?1049l\x1b[1;1Hsomething else"))
	if err := x.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	x.sees("^> GitHub:me +" + aCode).types("x").sees("^Filter: x").types("\x1b\x1b").ends(0)
}

// Whoever has the terminal while the program is stopped, and gives it back on the
// usual screen, finds no code there: not of a frame that was on its way when the
// program was stopped, and not of one that is drawn before it knows that it goes on.
func TestPickStoppedAnywhere(t *testing.T) {
	f := opened("GitHub me session totp", "GitLab me session totp", "AWS me session totp")
	f.step = 20 * time.Millisecond // each frame has new codes
	x := openWindow(t, f, 80, 24, nil, "code")
	for range 60 {
		x.sees("^> GitHub:me +"+aCode, "AWS:me +"+aCode)
		if err := x.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		if err := term.Restore(int(x.TTY.Fd()), x.Before); err != nil {
			t.Fatal(err)
		}
		_, _ = x.Write([]byte("\x1b[?1049l\x1b[1;1Hsomething else"))
		if err := x.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		x.Until("the list", func() bool { return x.State().Alternate })
	}
	x.sees("^> GitHub:me +" + aCode).types("\x1b").ends(0)
}

// The terminal itself can be asked to keep the code.
func TestPickCopiesThroughTerminal(t *testing.T) {
	f := opened("VPN me session hotp")
	x := openWindow(t, f, 80, 24, []string{"WAYLAND_DISPLAY=", "DISPLAY="}, "code", "--copy=terminal")
	x.sees("press Enter").types("\r").sees("^> VPN:me +755224", "the terminal was asked")
	if got := x.State().Clipboard; got != base64.StdEncoding.EncodeToString([]byte("755224")) {
		t.Errorf("the terminal was sent %q", got)
	}
	x.types("\x1b").ends(0)
	// Without any clipboard the code is shown, and what can be done.
	x = openWindow(t, f, 80, 24, []string{"WAYLAND_DISPLAY=", "DISPLAY="}, "code")
	x.sees("Enter: make a code").types("\r").sees("^> VPN:me +287082", "not copied: there is no graphical session", "--copy=terminal").types("\x1b").ends(0)
}

// A terminal that can do nothing, and whoever asks for it, gets names and a
// question.
func TestPickPlain(t *testing.T) {
	f := opened("GitHub me session totp", "GitLab me session totp", "Bank me touch totp", "VPN me session hotp")
	at(t, f, "code", "--plain").sees("  1  GitHub:me\r\n  2  GitLab:me\r\n  3  Bank:me; needs a touch\r\n  4  VPN:me; counts each code\r\n").
		sees(`Number, or part of a name \(empty to leave\): `).types("nothing\n").sees("no account matches nothing").
		sees("leave").types("git\n").sees("  1  GitHub:me\r\n  2  GitLab:me\r\nNumber").types("9\n").sees("no account matches 9").sees("leave").types("2\n").sees(`\r\n[0-9]{6}\r\n`).ends(0)
	at(t, f, "code", "--plain").sees("leave").types("vpn\n").sees("VPN:me:\r\n755224\r\n").ends(0)
	at(t, f, "code", "--plain").sees("leave").types("\n").ends(0)
	f.mu.Lock()
	f.add("Long", "name of many words that is too long for a line", "touch", "totp")
	f.mu.Unlock()
	openWindow(t, f, 30, 24, nil, "code", "--plain").sees("^  5  Long:name of many words$", "^     that is too long for a$", "^     line; needs a touch$").types("\r").ends(0)
	x := openWindow(t, f, 80, 24, []string{"TERM=dumb"}, "code")
	x.sees("^  1  GitHub:me", "leave").types("\r").ends(0)
	if s := x.State(); s.Styled || s.Alternate {
		t.Errorf("%+v", s)
	}
}
