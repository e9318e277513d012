//go:build linux

package e2e

import (
	"encoding/json"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// bench is a daemon with a real pcscd and a virtual card in its first reader.
type bench struct {
	*Daemon
	rig          *rig.Rig
	card         *vpiv.Card
	pin          string // a file
	password     string // a file
	passwordText string
}

// newBench starts pcscd, card and daemon, without a vault. args are the daemon's.
func newBench(t *testing.T, o vpiv.Options, args ...string) *bench {
	t.Helper()
	card, err := vpiv.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := rig.Start(t, rig.Options{})
	if err := r.Insert(card, 0); err != nil {
		t.Fatal(err)
	}
	b := &bench{
		Daemon: NewDaemon(t, programs(t), r.Env(), args...), rig: r, card: card,
		pin: File(t, vpiv.FactoryPIN), passwordText: "a recovery password to remember",
	}
	b.password = File(t, b.passwordText)
	b.Start()
	return b
}

// putBack puts the card back that was pulled out in the midst of a command. The
// driver of virtual readers hangs after that now and then; the service is started
// anew then, once, as a person would do.
func (b *bench) putBack() {
	b.tb.Helper()
	err := b.rig.Insert(b.card, 0)
	if err == nil {
		return
	}
	b.tb.Logf("the smart card service is restarted: %v", err)
	if err := b.rig.RestartPCSCD(); err != nil {
		b.tb.Fatal(err)
	}
	if b.rig.Card(0) == nil {
		if err := b.rig.Insert(b.card, 0); err != nil {
			b.tb.Fatal(err)
		}
	}
}

// init makes a vault on the card.
func (b *bench) init() {
	b.tb.Helper()
	b.OK("", "init", "--token", "piv", "--pin-file", b.pin, "--recovery-password-file", b.password)
}

// add adds an account.
func (b *bench) add(a sample) {
	b.tb.Helper()
	b.OK(a.uri(), "account", "add", "--uri-file", "-", "--class", a.class)
}

// code asks for a code and fails the test where there is none.
func (d *Daemon) code(name string, args ...string) ipc.Code {
	d.tb.Helper()
	r := d.OK("", append([]string{"--json", "code", name}, args...)...)
	var c ipc.Code
	if err := json.Unmarshal([]byte(r.Stdout), &c); err != nil {
		d.tb.Fatalf("%v: %s", err, r)
	}
	return c
}

// yubikey is a factory-fresh YubiKey 5.
func yubikey() vpiv.Options { return vpiv.YubiKey(5, 4, 3) }
