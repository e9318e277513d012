//go:build cgo

package daemon_test

import (
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// TestPIVMergeTouches: touch accounts of one vault are compared without a touch;
// another vault's take one more, announced, and only when it is done.
func TestPIVMergeTouches(t *testing.T) {
	b := workbench(t, vpiv.YubiKey(5, 4, 3), nil)
	b.init(t)
	alice := add(t, b.d, b.p, aliceURI)
	add(t, b.d, b.p, "otpauth://totp/Other:bob?secret=GEZDGNBVGY3TQOJQ&issuer=Other")
	backup, err := b.d.CreateBackup(t.Context(), b.p)
	if err != nil {
		t.Fatal(err)
	}
	touches := func() int { return b.card.Counts().TouchesAsked }
	merge := func(p ipc.Principal, a ipc.Auth, apply bool) ipc.Plan {
		t.Helper()
		plan, err := b.d.MergeBackup(t.Context(), p, ipc.MergeBackupRequest{Auth: a, Data: backup.Data, Apply: apply})
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	byPIN := func() ipc.Auth { return ipc.Auth{PIN: secretOf(factoryPIN)} }
	before := touches()
	rename := "renamed"
	if _, err := b.d.EditAccount(t.Context(), b.p, alice.ID, ipc.EditAccountRequest{Name: &rename}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []ipc.Auth{byPIN(), {}} {
		if plan := merge(b.p, a, true); planned(plan) != "same same" || plan.Touch || !strings.HasSuffix(plan.Items[0].Reason, " is known as Example: renamed") {
			t.Errorf("into its own vault: %+v", plan)
		}
	}
	// The same class of the same card, in another vault.
	bob := caller("1001")
	initSoft(t, b.d, bob)
	plan := merge(bob, byPIN(), false)
	if planned(plan) != "add add" || !plan.Touch || plan.Items[0].Account.Class != "session" || !has(plan.Notices, "signer-unproved") {
		t.Errorf("a plan for another vault: %+v", plan)
	}
	if n := touches() - before; n != 0 {
		t.Fatalf("comparing asked for %d touches", n)
	}
	events := listen(t, b.d, bob)
	if plan = merge(bob, byPIN(), true); planned(plan) != "add add" || !plan.Applied {
		t.Errorf("%+v", plan)
	}
	if n := touches() - before; n != 1 {
		t.Errorf("two accounts asked for %d touches", n)
	}
	if e := events.next(t, ipc.EventTouchWanted); e.Token == nil || e.Operation == "" {
		t.Errorf("the touch is announced as %+v", e)
	}
	if c, err := b.d.Code(t.Context(), bob, "alice", ipc.CodeRequest{}); err != nil || c.Code == "" {
		t.Errorf("%+v, %v", c, err)
	}
	// The recovery password opens it without any.
	carol := caller("1002")
	initSoft(t, b.d, carol)
	before = touches()
	if plan = merge(carol, ipc.Auth{RecoveryPassword: secretOf(recovery)}, true); planned(plan) != "add add" || plan.Touch {
		t.Errorf("%+v", plan)
	}
	if n := touches() - before; n != 0 {
		t.Errorf("by password it asked for %d touches", n)
	}
	// Declined: nothing is there.
	dave := caller("1003")
	initSoft(t, b.d, dave)
	b.card.SetTouch(vpiv.TouchNever)
	_, err = b.d.MergeBackup(t.Context(), dave, ipc.MergeBackupRequest{Auth: byPIN(), Data: backup.Data, Apply: true})
	if k := ipc.KindOf(err); k != ipc.TouchTimeout && k != ipc.TouchDenied {
		t.Errorf("a touch that never comes: %v", err)
	}
	if all, err := b.d.Accounts(t.Context(), dave); err != nil || len(all.Accounts) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}
