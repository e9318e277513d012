package vault

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/tokens"
)

// TestChangeDevice: what an account has of its authority is in backups, and what the
// device has under way is not; both survive new keys.
func TestChangeDevice(t *testing.T) {
	r := newRig(t)
	v := r.create()
	by := Issued{Authority: []byte("a descriptor"), Account: "0011", Key: bytes.Repeat([]byte{7}, 32)}
	state := []byte("under way")
	var a, b Account
	err := v.ChangeDevice(t.Context(), func(c *DeviceChange) (err error) {
		if c.State != nil {
			t.Errorf("%q", c.State)
		}
		c.State = bytes.Clone(state)
		if a, err = c.Put("", NewAccount{Account{Name: "one", Class: tokens.ClassSession}, []byte("first secret")}, by); err != nil {
			return err
		}
		b, err = c.Put("", NewAccount{Account{Name: "two", Class: tokens.ClassTouch}, []byte("second secret")}, by)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed")
	if err := v.ChangeDevice(t.Context(), func(c *DeviceChange) error {
		c.State = nil
		if _, err := c.Forget(a.ID); err != nil {
			return err
		}
		return failed
	}); !errors.Is(err, failed) {
		t.Error(err)
	}
	if _, err := v.RevokeSlot(t.Context(), "one", r.key.way("one")); err != nil {
		t.Fatal(err)
	}
	v.Lock()
	v = r.unlock(passwordWay())
	has := func(v *Vault, want []byte) {
		t.Helper()
		if err := v.ViewDevice(func(got []byte) error {
			if !bytes.Equal(got, want) {
				t.Errorf("%q", got)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if got, err := v.Issued(b.ID); err != nil || !bytes.Equal(got.Key, by.Key) || got.Account != by.Account || !bytes.Equal(got.Authority, by.Authority) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	has(v, state)
	for id, want := range map[string]string{a.ID: "first secret", b.ID: "second secret"} {
		if got := r.secret(v, id, passwordWay()); got != want {
			t.Errorf("%q", got)
		}
	}
	backup, info, err := r.store.Backup()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.CompareBackup(backup); err != nil {
		t.Error(err)
	}
	r2 := newRig(t)
	v2, err := r2.store.Restore(t.Context(), backup, passwordWay(), info.Signer)
	if err != nil {
		t.Fatal(err)
	}
	has(v2, nil)
	if got, _ := v2.Account(a.ID); !got.Inactive {
		t.Errorf("%+v", got)
	}
	if err := v.ChangeDevice(t.Context(), func(c *DeviceChange) error {
		c.State = make([]byte, archive.MaxDeviceState+1)
		return nil
	}); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	v.Lock()
	if err := v.ChangeDevice(t.Context(), func(*DeviceChange) error { return nil }); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
	if _, err := v.Issued(a.ID); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
}
