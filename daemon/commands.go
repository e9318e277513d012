package daemon

import (
	"runtime"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// fixLibraries is for a helper that lacks what it is linked with.
const fixLibraries = "sudo apt-get install libfido2-1 libpcsclite1"

// fixAccess is the command that mends tokens.CodeNoAccess.
func (d *Daemon) fixAccess() string {
	if d.cfg.Mode == ModeSystem {
		return "sudo tokenctl service install"
	}
	return tokens.FixAccess
}

// asOwner is a command that changes the state folder, as whom it takes to do that.
func (d *Daemon) asOwner(command string) string {
	if d.cfg.Mode == ModeSystem && runtime.GOOS != "windows" {
		return "sudo " + command
	}
	return command
}

// inOrder is several commands, each of which is run when the one before it succeeded.
func inOrder(commands ...string) string {
	return strings.Join(slices.DeleteFunc(commands, func(s string) bool { return s == "" }), " && ")
}

// insteadOf enrols another token, where enroll does, and has a keyslot open the vault
// no more.
func insteadOf(id, enroll string) string { return inOrder(enroll, "tokenctl token revoke "+id) }

// withPIN is how a token that opens the vault without a PIN comes to do it with one. It
// is given one, where it has none yet, and enrolled anew, for which the vault needs
// another way meanwhile.
func (u *user) withPIN(t ipc.Token) string {
	before, pin := "", ""
	if len(u.slots()) == 1 && u.vaultInfo().RecoverySet.IsZero() {
		before = "tokenctl recovery set-password"
	}
	if t.NoPIN || !t.Present {
		pin = "tokenctl token pin " + t.ID
	}
	return inOrder(before, pin, "tokenctl token revoke "+t.ID, "tokenctl token enroll --token "+t.Kind)
}
