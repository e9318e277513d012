//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// foreign runs another program on the rig's pcscd.
func (b *bench) foreign(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), b.Env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestInTurnWithYkman has ykman and the daemon use the card in turn.
func TestInTurnWithYkman(t *testing.T) {
	t.Parallel()
	b, _, touch := faultBench(t, yubikey())
	reader := strings.TrimPrefix(b.rig.Reader(), "Yubico YubiKey ")
	for i := range 100 {
		out, err := b.foreign("ykman", "-r", reader, "piv", "info")
		if err != nil || !strings.Contains(out, "PIV version") {
			t.Fatalf("turn %d: ykman: %v: %s", i, err, out)
		}
		if i%2 == 0 {
			checkOne(t, b.Daemon, touch)
			continue
		}
		b.OK("", "lock")
		b.OK("", "unlock", "--pin-file", b.pin)
	}
}

// TestNothingLeftAuthenticated has a second program try the session key right
// after the daemon has used it with a PIN.
func TestNothingLeftAuthenticated(t *testing.T) {
	t.Parallel()
	b, _, _ := faultBench(t, yubikey())
	for range 5 {
		b.OK("", "lock")
		b.OK("", "unlock", "--pin-file", b.pin)
		if b.card.PINVerified() {
			t.Error("the card holds its user for authenticated after an unlock")
		}
		before := b.card.Counts().ECDHs
		// An ECDH with slot 82 by somebody else, no PIN shown: refused.
		out, err := b.foreign("opensc-tool", "-r", b.rig.Reader(),
			"-s", "00:A4:04:00:05:A0:00:00:03:08",
			"-s", "00:87:11:82:47:7C:45:82:00:85:41:04:"+
				"6B:17:D1:F2:E1:2C:42:47:F8:BC:E6:E5:63:A4:40:F2:77:03:7D:81:2D:EB:33:A0:F4:A1:39:45:D8:98:C2:96:"+
				"4F:E3:42:E2:FE:1A:7F:9B:8E:E7:EB:4A:7C:0F:9E:16:2B:CE:33:57:6B:31:5E:CE:CB:B6:40:68:37:BF:51:F5:00")
		if !strings.Contains(out, "SW1=0x69, SW2=0x82") || b.card.Counts().ECDHs != before {
			t.Errorf("a second program used the session key: %v: %s", err, out)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
