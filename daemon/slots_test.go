package daemon

import (
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/soft"
)

// TestSlotsOfAVaultThatIsLockedMeanwhile: between the look at the session and the look at
// its vault, another call may have locked it. The keyslots are there all the same.
func TestSlotsOfAVaultThatIsLockedMeanwhile(t *testing.T) {
	d, err := New(Config{
		StateDir: filepath.Join(t.TempDir(), "state"), Mode: ModeUser, Owner: "1000", ScryptLogN: 10,
		Drivers: map[tokens.Kind]tokens.Driver{tokens.KindSoft: soft.New(rand.Reader, soft.Cost{Memory: 8 << 10, Passes: 1, Lanes: 1})},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	p := ipc.Principal{UID: "1000"}
	made, err := d.Init(t.Context(), p, ipc.InitRequest{
		Enroll:           &ipc.EnrollRequest{Kind: "soft", Label: "key file", PIN: ipc.Secret("correct horse battery staple")},
		RecoveryPassword: ipc.Secret("another horse, another battery"),
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := d.user(&p)
	if err != nil {
		t.Fatal(err)
	}
	if list := u.slots(); len(list) != 1 { // its label is remembered
		t.Fatalf("the open vault's keyslots: %+v", list)
	}
	s := u.sess.Load()
	s.vault.Lock() // and not yet the session
	list := u.slots()
	if len(list) != 1 || list[0].ID != made.Token.ID || list[0].Label != "key file" {
		t.Errorf("got %+v", list)
	}
	if _, err := s.keyslot(made.Token.ID); ipc.KindOf(err) != ipc.VaultLocked {
		t.Errorf("a call for a token says %v", err)
	}
}
