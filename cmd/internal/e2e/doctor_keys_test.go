//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// newPIN is what a key gets for a PIN.
const newPIN = "271828"

// keyLane is a place for FIDO2 keys, one after the other.
type keyLane struct {
	*ward
	port *vfido.Port
	key  *vfido.Key
}

func (l *keyLane) insert(o vfido.Options) {
	l.ward.t.Helper()
	key, err := vfido.New(o)
	l.must(err)
	l.key = key
	l.must(l.port.Insert(key))
}

// pull pulls the key out, and waits until the daemon has seen that.
func (l *keyLane) pull() {
	l.ward.t.Helper()
	l.must(l.port.Remove())
	l.sees(false)
}

// replug pulls the key out and puts it back.
func (l *keyLane) replug() {
	l.ward.t.Helper()
	l.pull()
	l.must(l.port.Insert(l.key))
	l.sees(true)
}

// sees waits until the daemon has a key in the port, or none.
func (l *keyLane) sees(want bool) {
	l.ward.t.Helper()
	Eventually(l.ward.t, patience, func() error {
		var list ipc.TokenList
		l.JSON(&list, "token", "list")
		if slices.ContainsFunc(list.Tokens, func(k ipc.Token) bool { return k.Locator == l.port.Path() }) != want {
			return fmt.Errorf("that a key is there is not %v", want)
		}
		return nil
	})
}

// wrong tries so many wrong PINs, and pulls the key out where it takes none for now.
func (l *keyLane) wrong(tries int, args ...string) {
	l.ward.t.Helper()
	left := l.key.PINTries() - tries
	for range 10 * tries {
		if l.key.PINTries() == left {
			return
		}
		before := l.key.PINTries()
		if l.Ctl("not the PIN", args...); l.key.PINTries() == before { // it is paused
			l.replug()
		}
	}
	l.ward.t.Fatalf("%d tries are left, not %d", l.key.PINTries(), left)
}

// doctorKeys is about FIDO2 keys: what they come with, what they are told wrong, and
// what they answer badly.
func doctorKeys(t *testing.T) *ward {
	file := File(t, "no device")
	l := &keyLane{port: vfido.NewPort(filepath.Join(t.TempDir(), "key"))}
	w := newWard(t, []string{"PCSCLITE_CSOCK_NAME=/nonexistent"}, "--fido2-device", l.port.Path(), "--fido2-device", file)
	l.ward = w
	t.Cleanup(func() { _ = l.port.Remove() })
	w.Start()
	w.OK("", "init", "--token", "soft", "--label", "soft", "--pin-file", File(t, doctorPass), "--recovery-password-file", File(t, doctorPassword))
	enroll := []string{"token", "enroll", "--token", "fido2", "--device", l.port.Path(), "--label", "stick", "--auth-token", "soft", "--auth-pin-file", File(t, doctorPass), "--pin-file"}
	stick := func() string {
		var list ipc.TokenList
		w.JSON(&list, "token", "list")
		for _, k := range list.Tokens {
			if k.Label == "stick" {
				return k.ID
			}
		}
		t.Fatalf("no stick: %+v", list)
		return ""
	}
	says := []answer{
		{`yes to go on`, "yes"}, {`(?i)passphrase`, doctorPass}, {`(?i)recovery password`, doctorPassword},
		{`(?i)new pin|once more`, newPIN}, {`(?i)present pin`, keyPIN}, {`PIN`, keyPIN},
	}
	renewed := append([]answer{{`(?i)^PIN`, newPIN}}, says...)
	pull := func(*ward) { l.pull() }
	replug := func(*ward, ipc.Finding) { l.key.ClearFaults(); l.replug() }
	insert := func(o vfido.Options) func(*ward) { return func(*ward) { l.insert(o) } }
	bad := func(f vfido.Fault) func(*ward) {
		return func(*ward) {
			l.insert(vfido.Options{PIN: keyPIN})
			l.pull()
			f.Times = -1
			l.key.Inject(f)
			l.must(l.port.Insert(l.key))
		}
	}
	for _, f := range []finding{
		{code: "token-invalid", level: "note", hand: func(w *ward, _ ipc.Finding) {
			w.Daemon.Stop()
			w.must(os.Remove(file))
			w.Args = w.Args[:2]
			w.Start()
			w.unlock()
		}},
		{code: "token-pin-not-set", level: "note", cause: insert(vfido.Options{AlwaysUV: true}), says: says, tidy: pull},
		{code: "token-pin-change", level: "note", cause: insert(vfido.Options{PIN: keyPIN, ForcePINChange: true}), says: says, tidy: pull},
		{code: "token-unsupported", level: "note", cause: insert(vfido.Options{NoHMACSecret: true}), hand: func(*ward, ipc.Finding) { l.pull() }},
		{code: "token-timeout", level: "warning", cause: bad(vfido.Fault{Kind: vfido.FaultMute}), hand: replug, tidy: pull},
		{code: "token-protocol", level: "warning", cause: bad(vfido.Fault{Kind: vfido.FaultGarbage, Command: vfido.CommandGetInfo}), hand: replug, tidy: pull},
		{code: "token-pin-paused", level: "error", hand: replug, cause: func(w *ward) {
			l.insert(vfido.Options{PIN: keyPIN})
			Eventually(w.t, patience, func() error { return failed(w.Ctl(keyPIN, append(enroll, "-")...)) })
			w.OK("", "lock")
			for range 3 {
				w.Ctl("not the PIN", "unlock", "--token", stick(), "--pin-file", "-")
			}
		}},
		{code: "token-last-try", level: "warning", says: says, cause: func(w *ward) {
			l.wrong(l.key.PINTries()-1, "unlock", "--token", stick(), "--pin-file", "-")
			l.replug()
		}},
		{code: "token-pin-blocked", level: "error", says: says, cause: func(w *ward) {
			l.wrong(l.key.PINTries()-1, "unlock", "--token", stick(), "--pin-file", "-")
			l.wrong(1, "unlock", "--token", stick(), "--pin-file", "-", "--spend-last-try")
		}},
		{code: "no-pin", level: "warning", says: renewed},
		{code: "pin-bypass", level: "warning", cause: func(w *ward) {
			l.pull()
			l.insert(vfido.Options{PIN: keyPIN, OneCredRandom: true})
			Eventually(w.t, patience, func() error { return failed(w.Ctl(keyPIN, append(enroll, "-")...)) })
		}, hand: func(w *ward, _ ipc.Finding) {
			w.OK(doctorPass, "token", "revoke", "stick", "--yes", "--auth-token", "soft", "--pin-file", "-")
		}},
	} {
		w.prove(f)
	}
	return w
}

// failed is an error where a command failed.
func failed(r Result) error {
	if r.Exit != 0 {
		return &failure{r}
	}
	return nil
}

type failure struct{ Result }

func (f *failure) Error() string { return f.String() }
