package daemon

import (
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// TestDenyWhileTheUserIsHeld denies everything while another, as a purge does,
// holds the user and waits for his grants.
func TestDenyWhileTheUserIsHeld(t *testing.T) {
	d, err := New(Config{
		StateDir: filepath.Join(t.TempDir(), "state"), Mode: ModeUser, Owner: "1000", ScryptLogN: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	p := ipc.Principal{UID: "1000"}
	if _, err := d.Init(t.Context(), p, ipc.InitRequest{RecoveryPassword: ipc.Secret("correct horse battery staple")}); err != nil {
		t.Fatal(err)
	}
	u, err := d.user(&p)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		u.grants.list = append(u.grants.list, &grant{key: grantKey{account: strconv.Itoa(i)}})
	}
	denied, other := make(chan error, 1), make(chan struct{})
	go func() {
		_, err := d.SetGrantMode(t.Context(), p, ipc.SetGrantModeRequest{Mode: ipc.GrantDeny})
		denied <- err
	}()
	go func() {
		defer close(other)
		for {
			u.mu.Lock()
			u.grants.forgive(func(grantKey) bool { return true })
			u.mu.Unlock()
			select {
			case <-t.Context().Done():
				return
			case err := <-denied:
				denied <- err
				return
			default:
			}
		}
	}()
	select {
	case <-other:
	case <-time.After(20 * time.Second):
		t.Fatal("whoever denies and whoever holds the user wait for one another")
	}
	if err := <-denied; err != nil {
		t.Error(err)
	}
	if n := u.grants.count(0); n != 0 {
		t.Errorf("%d grants are left of what is denied", n)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
