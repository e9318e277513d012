//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/remedy"
	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

const (
	cardPIN = "739157"
	cardPUK = "48151623"
)

// cardSecrets answers what may be asked of the owner of a card.
func cardSecrets() []answer {
	return []answer{
		{`yes to go on`, "yes"}, {`current management key`, ""}, {`(?i)recovery password`, doctorPassword}, {`(?i)passphrase`, doctorPass},
		{`(?i)present pin`, vpiv.FactoryPIN}, {`(?i)present puk`, vpiv.FactoryPUK}, {`(?i)new pin`, cardPIN}, {`(?i)new puk`, cardPUK},
		{`(?i)^puk`, cardPUK}, {`(?i)pin`, cardPIN},
	}
}

// again answers a repetition.
func again(text string, list []answer) []answer {
	return append([]answer{{`Once more`, text}}, list...)
}

// holdCard is another program that keeps a card to itself, as GnuPG's scdaemon does.
const holdCard = `
import sys, time
from smartcard.System import readers
from smartcard.scard import SCARD_SHARE_EXCLUSIVE
c = readers()[0].createConnection()
c.connect(mode=SCARD_SHARE_EXCLUSIVE)
print("held", flush=True)
time.sleep(600)
`

// holds starts that program, which gpgconf ends.
func (w *ward) holds(env []string) {
	w.t.Helper()
	cmd := exec.Command("/usr/bin/python3", "-c", holdCard)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	w.must(err)
	w.must(cmd.Start())
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line := make([]byte, 4)
	_, err = out.Read(line)
	w.must(err)
	w.tool("gpgconf", fmt.Sprintf(`[ "$*" = "--kill scdaemon" ] && kill %d`, cmd.Process.Pid))
}

// doctorCard is about a card in a reader, from the factory to its reset.
func doctorCard(t *testing.T) *ward {
	card, err := vpiv.New(yubikey())
	if err != nil {
		t.Fatal(err)
	}
	r := rig.Start(t, rig.Options{})
	w := newWard(t, r.Env())
	said := filepath.Join(t.TempDir(), "said")
	for _, name := range []string{"systemctl", "pcscd"} { // the machine's own: what they are told, the test does
		w.tool(name, fmt.Sprintf(`echo %s "$@" >>%s`, name, said))
	}
	w.Start()
	w.OK("", "init", "--token", "soft", "--label", "soft", "--pin-file", File(t, doctorPass), "--no-recovery-password")
	wrong := func(times int, args ...string) func(*ward) {
		return func(w *ward) {
			for range times {
				w.OK("", "lock")
				w.Fails(14, "111111", append([]string{"unlock", "--token", w.token(), "--pin-file", "-"}, args...))
			}
		}
	}
	for _, f := range []finding{
		{code: "token-not-present", level: "note", about: r.Reader(), hand: func(w *ward, _ ipc.Finding) { w.must(r.Insert(card, 0)) }},
		{code: "single-token", level: "warning", says: []answer{{`(?i)passphrase`, doctorPass}, {`yes to go on`, "yes"}, {`PIN`, vpiv.FactoryPIN}}},
		{code: "software-token", level: "warning", says: []answer{{`(?i)passphrase`, doctorPass}, {`yes to go on`, "yes"}, {`PIN`, vpiv.FactoryPIN}}},
		{code: "factory-pin", level: "warning", says: again(cardPIN, cardSecrets())},
		{code: "factory-puk", level: "warning", says: again(cardPUK, cardSecrets())},
		{code: "factory-management-key", level: "warning", says: cardSecrets()},
		{code: "pin-last-try", level: "warning", says: cardSecrets(), cause: wrong(2)},
		{code: "pin-blocked", level: "error", says: again(cardPIN, cardSecrets()), cause: func(w *ward) {
			wrong(2)(w)
			w.Fails(14, "111111", []string{"unlock", "--token", w.token(), "--pin-file", "-", "--spend-last-try"})
		}},
		{code: "token", level: "warning", about: "another program may hold it", cause: func(w *ward) { w.holds(r.Env()) }},
		{code: "service-piv", level: "error", cause: func(w *ward) { w.must(r.StopPCSCD()) },
			after: func(w *ward, _ ipc.Finding) {
				want := "pcscd\n"
				if remedy.Here().Systemd() {
					want = "systemctl enable --now pcscd.socket\n"
				}
				if b, _ := os.ReadFile(said); strings.ReplaceAll(string(b), " \n", "\n") != want {
					w.t.Errorf("told was %q, not %q", b, want)
				}
				w.must(r.StartPCSCD())
				if r.Card(0) == nil {
					w.must(r.Insert(card, 0))
				}
			}},
		{code: "tokens", level: "note", cause: func(w *ward) { w.must(r.Remove(0)) }, hand: func(w *ward, _ ipc.Finding) { w.must(r.Insert(card, 0)) }},
		{code: "token-reset", level: "error", says: []answer{{`yes to go on`, "yes"}, {`(?i)recovery password`, doctorPassword}, {`PIN`, vpiv.FactoryPIN}}, cause: func(w *ward) {
			w.OK(cardPIN, "unlock", "--pin-file", "-")
			w.OK(cardPIN, "recovery", "set-password", "--recovery-password-file", File(w.t, doctorPassword), "--pin-file", "-")
			w.runs("ykman --device 12345678 piv reset -f").ends(0)
		}},
		{code: "recovery-only", level: "warning", says: []answer{{`Type beside`, "beside"}, {`(?i)recovery password`, doctorPassword}, {`PIN`, vpiv.FactoryPIN}},
			cause: func(w *ward) {
				w.OK("", "token", "revoke", w.token(), "--yes", "--recovery-password-file", File(w.t, doctorPassword))
			}},
	} {
		w.prove(f)
	}
	return w
}

// token is the id of the only token that is enrolled.
func (w *ward) token() string {
	w.t.Helper()
	var list ipc.TokenList
	w.JSON(&list, "token", "list")
	for _, t := range list.Tokens {
		if t.Enrolled {
			return t.ID
		}
	}
	w.t.Fatalf("no token is enrolled: %+v", list)
	return ""
}
