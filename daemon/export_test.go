package daemon_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

func TestExport(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	alice := add(t, d, p, aliceURI)
	var ids []string
	for i := range 20 {
		ids = append(ids, add(t, d, p, fmt.Sprintf("otpauth://hotp/n%d?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=%d", i, i)).ID)
	}
	if _, err := d.Code(t.Context(), p, ids[3], ipc.CodeRequest{}); err != nil {
		t.Fatal(err)
	}
	before, err := d.Audit(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	x, err := d.ExportAccounts(t.Context(), p, ipc.ExportRequest{Accounts: append([]string{ids[3], alice.ID, ids[3]}, ids[:3]...)})
	if err != nil || len(x.Accounts) != 5 || len(x.Refused) != 0 {
		t.Fatalf("%d accounts, %+v, %v", len(x.Accounts), x.Refused, err)
	}
	if got := string(x.Accounts[0].URI); x.Accounts[0].Account.ID != ids[3] || !strings.Contains(got, "counter=4") || !strings.Contains(got, "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ") {
		t.Errorf("the first is %+v", x.Accounts[0].Account)
	}
	if strings.Contains(fmt.Sprintf("%+v", x), "GEZDG") {
		t.Error("an answer prints its secrets")
	}
	after, err := d.Audit(t.Context(), p)
	if err != nil || !after.Intact {
		t.Fatal(err)
	}
	if n := len(after.Entries) - len(before.Entries); n != 5 {
		t.Errorf("%d entries for five accounts", n)
	}
	for _, e := range after.Entries[len(before.Entries):] {
		if e.Action != "account-export" || !e.OK || e.Object == "" {
			t.Errorf("%+v", e)
		}
	}
	_, err = d.ExportAccounts(t.Context(), p, ipc.ExportRequest{Accounts: []string{alice.ID, "no-such-id"}})
	wantKind(t, err, ipc.NotFound)
	_, err = d.ExportAccounts(t.Context(), p, ipc.ExportRequest{})
	wantKind(t, err, ipc.InvalidArgument)
	_, err = d.ExportAccounts(t.Context(), caller("1001"), ipc.ExportRequest{Accounts: []string{alice.ID}})
	wantKind(t, err, ipc.NoVault)
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	_, err = d.ExportAccounts(t.Context(), p, ipc.ExportRequest{Accounts: []string{alice.ID}})
	wantKind(t, err, ipc.VaultLocked)
}
