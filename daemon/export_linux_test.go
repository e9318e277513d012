//go:build cgo

package daemon_test

import (
	"fmt"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// TestExportTakesOneTouch: ten touch accounts leave together by one touch, and
// none of them without.
func TestExportTakesOneTouch(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), nil)
	b.init(t)
	var ids []string
	for i := range 10 {
		ids = append(ids, add(t, b.d, b.p, fmt.Sprintf("otpauth://totp/n%d?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", i)).ID)
	}
	before := b.card.Counts().TouchesAsked
	x, err := b.d.ExportAccounts(t.Context(), b.p, ipc.ExportRequest{Accounts: ids})
	if err != nil || len(x.Accounts) != len(ids) {
		t.Fatalf("%d accounts, %v", len(x.Accounts), err)
	}
	for i, a := range x.Accounts {
		if a.Account.ID != ids[i] || len(a.URI) == 0 {
			t.Errorf("place %d holds %+v", i, a.Account)
		}
	}
	if n := b.card.Counts().TouchesAsked - before; n != 1 {
		t.Errorf("%d touches were asked for", n)
	}
	b.rig.Remove(0)
	// Which of these it is depends on how far the daemon has heard of it.
	x, err = b.d.ExportAccounts(t.Context(), b.p, ipc.ExportRequest{Accounts: ids})
	if k := ipc.KindOf(err); k != ipc.TokenNotPresent && k != ipc.TokenRemoved && k != ipc.VaultLocked || len(x.Accounts) > 0 {
		t.Errorf("without the token: %d accounts, %v", len(x.Accounts), err)
	}
}
