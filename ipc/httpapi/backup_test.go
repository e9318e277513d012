package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/httpapi"
	"github.com/tokenbridge/tokend/ipc/local"
)

// backupOf hands out a backup of the test's.
type backupOf struct {
	*backend
	made ipc.Backup
}

func (b *backupOf) CreateBackup(context.Context, ipc.Principal) (ipc.Backup, error) {
	return b.made, nil
}

// TestBackupsGoOutInPieces holds the answer against encoding/json's, for sizes around
// what goes out at a time, over one connection: what follows must be the next answer.
func TestBackupsGoOutInPieces(t *testing.T) {
	b := &backupOf{backend: newBackend()}
	socket := start(t, httpapi.Config{Backend: b}, local.Options{})
	c := dial(t, socket)
	r := bufio.NewReader(c)
	for _, size := range []int{0, 1, 2, 3, 767, 768, 769, 49_152, 65_537, 3_000_001} {
		b.made = ipc.Backup{
			Version: 1, Name: `"data":"" \ `, VaultID: "v", Generation: 7, SHA256: "s", Accounts: -1,
			OpenedBy: []string{`","data":""`, "<é>"}, Data: bytes.Repeat([]byte{0xfb, 0xff, 1}, size)[:size],
		}
		go func() { _, _ = io.WriteString(c, post("/v1/backups", "")) }()
		a := readAnswer(t, r)
		want, err := json.Marshal(b.made)
		if err != nil {
			t.Fatal(err)
		}
		if a.status != 200 || string(a.body) != string(want)+"\n" {
			t.Errorf("%d bytes: status %d, %d bytes, want %d", size, a.status, len(a.body), len(want)+1)
		}
		var got ipc.Backup
		if err := json.Unmarshal(a.body, &got); err != nil || !reflect.DeepEqual(got, b.made) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestBackupsAreNoSecret sees that nothing is erased for one, which would stop
// everybody.
func TestBackupsAreNoSecret(t *testing.T) {
	var entered, settled atomic.Int32
	socket := start(t, httpapi.Config{Backend: newBackend(), Settle: func() { settled.Add(1) }, Guard: func(f func()) {
		entered.Add(1)
		f()
	}}, local.Options{})
	if a := ask(t, socket, post("/v1/backups", "")); a.status != 200 || entered.Load()+settled.Load() != 0 {
		t.Errorf("status %d, guarded %d times, settled %d times", a.status, entered.Load(), settled.Load())
	}
	if a := ask(t, socket, post("/v1/accounts/a1/reveal", `{}`)); a.status != 200 || entered.Load() == 0 {
		t.Errorf("a secret: status %d, guarded %d times", a.status, entered.Load())
	}
}

// TestBackupToNobody lets the caller go in the midst of a backup: the next one is
// served.
func TestBackupToNobody(t *testing.T) {
	b := &backupOf{backend: newBackend(), made: ipc.Backup{Data: make([]byte, 20<<20), OpenedBy: []string{}}}
	socket := start(t, httpapi.Config{Backend: b}, local.Options{})
	c := dial(t, socket)
	if _, err := io.WriteString(c, post("/v1/backups", "")); err != nil {
		t.Fatal(err)
	}
	head, err := bufio.NewReaderSize(c, 4096).ReadString('\n')
	if err != nil || !strings.HasPrefix(head, "HTTP/1.1 200") {
		t.Fatalf("%q, %v", head, err)
	}
	_ = c.Close()
	if a := ask(t, socket, get("/v1/status")); a.status != 200 {
		t.Errorf("status %d", a.status)
	}
}
