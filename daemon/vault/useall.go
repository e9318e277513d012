package vault

import (
	"context"
	"fmt"

	"github.com/tokenbridge/tokend/daemon/archive"
)

// UseAll is Use for several accounts: f has the secret of each in turn. The touch
// key is opened at most once, by w, for all touch accounts among them; they come
// after the others, so that f runs for as short as can be while it is open.
func (v *Vault) UseAll(ctx context.Context, ids []string, w Way, f func(id string, secret []byte) error) error {
	var guarded []archive.Record
	for _, id := range ids {
		var r archive.Record
		if err := v.copyRecord(id, &r); err != nil {
			return err
		}
		switch {
		case r.Inactive:
			return fmt.Errorf("%w: %s", ErrNoSecret, id)
		case r.Class == archive.ClassTouch:
			guarded = append(guarded, r)
			continue
		}
		if err := v.useSession(id, func(secret []byte) error { return f(id, secret) }); err != nil {
			return err
		}
	}
	if len(guarded) == 0 {
		return nil
	}
	t, err := v.touchLock(w)
	if err != nil {
		return err
	}
	return t.with(ctx, w, func(key []byte) error {
		for _, r := range guarded {
			if err := ctx.Err(); err != nil {
				return err
			}
			plain, err := archive.Decrypt(r.Touch, key)
			if err != nil {
				return fmt.Errorf("%w: account %s: %w", ErrConflict, r.ID, err)
			}
			err = f(r.ID, plain)
			clear(plain)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
