package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/drill"
	"github.com/tokenbridge/tokend/ipc"
)

// DrillBackup drills what it is given; the password of the sample backup opens it,
// and so does the fake's token.
func (f *fake) DrillBackup(_ context.Context, _ ipc.Principal, r ipc.DrillRequest) (ipc.DrillResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	by, err := f.openWith(r.Auth)
	if err != nil {
		return ipc.DrillResult{}, err
	}
	a, err := archive.Parse(r.Data)
	if err != nil {
		return ipc.DrillResult{}, ipc.Errorf(ipc.BackupDamaged, "the backup is damaged")
	}
	c, err := a.OpenPassword([]byte(backupPassword))
	if err != nil {
		return ipc.DrillResult{}, ipc.Errorf(ipc.WrongPassword, "the recovery password is wrong")
	}
	key, err := c.TouchKey()
	if err != nil {
		return ipc.DrillResult{}, ipc.Errorf(ipc.BackupDamaged, "the backup is damaged")
	}
	if by != "recovery password" {
		key = nil // its token guards nothing by touch
	}
	sum := sha256.Sum256(r.Data)
	res := ipc.DrillResult{Version: 1, VaultID: c.VaultID, Generation: c.Generation, Written: c.Written, Signer: c.Signer, SHA256: hex.EncodeToString(sum[:]),
		OpenedBy: by, Proved: key != nil, At: time.Now().UTC(), Recorded: key != nil, Own: true, Accounts: []ipc.DrillAccount{}, Missing: f.accounts}
	for i, o := range drill.Prove(c, key, time.Now(), nil) {
		res.Accounts = append(res.Accounts, ipc.DrillAccount{Account: wireAccount(c.Accounts[i]), State: string(o.State), Problem: o.Problem})
	}
	return res, nil
}
