//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// beside checks what lies beside the vault: the pin, generations of earlier
// epochs, key files of software tokens, half-written files.
func (l *lane) beside() {
	status := l.status()
	err := filepath.WalkDir(l.State, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name := filepath.Base(path)
		var epoch uint64
		switch {
		case strings.HasSuffix(name, ".tmp") && !strings.Contains(path, "/pins/") && name != "daemon.json.tmp":
			return errors.New("half-written: " + path)
		case filepath.Base(filepath.Dir(path)) == "generations":
			if _, err := fmt.Sscanf(name, "e%d-", &epoch); err != nil || epoch != status.Vault.Epoch {
				return fmt.Errorf("%s in epoch %d", name, status.Vault.Epoch)
			}
		case filepath.Base(filepath.Dir(path)) == "soft":
			id := strings.TrimSuffix(name, ".key")
			if !slices.ContainsFunc(l.tokens(), func(t ipc.Token) bool { return t.ID == id && t.Enrolled }) {
				return errors.New("a key file of no keyslot: " + name)
			}
		case filepath.Base(filepath.Dir(path)) == "pins" && strings.HasSuffix(name, ".json"):
			return l.pinned(path, status.Vault)
		case name == "daemon.json":
			return l.noted(path)
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.OK("", "audit", "verify")
}

func (l *lane) pinned(path string, v ipc.Vault) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var p struct {
		Signer            string
		Epoch, Generation uint64
		Next              any
	}
	if err := unmarshal(string(raw), &p); err != nil {
		return err
	}
	if p.Signer != v.Signer || p.Epoch != v.Epoch || p.Generation != v.Generation || p.Next != nil {
		return fmt.Errorf("the pin is %s, the vault %+v", raw, v)
	}
	return nil
}

// noted checks that the daemon's notes are of keyslots that there are.
func (l *lane) noted(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var n struct {
		Slots    map[string]any
		Underway any
	}
	if err := unmarshal(string(raw), &n); err != nil {
		return err
	}
	if n.Underway != nil {
		return fmt.Errorf("noted as under way: %s", raw)
	}
	for id := range n.Slots {
		if !slices.ContainsFunc(l.tokens(), func(t ipc.Token) bool { return t.ID == id && t.Enrolled }) {
			return fmt.Errorf("notes on keyslot %s, which is not there: %s", id, raw)
		}
	}
	return nil
}

func (l *lane) lastAudit() uint64 {
	var log ipc.AuditLog
	l.JSON(&log, "audit", "list")
	return log.Entries[len(log.Entries)-1].Seq
}

// audited checks that the log says of the change what became of it, once.
func (l *lane) audited(c change, since uint64, made bool) {
	var log ipc.AuditLog
	l.JSON(&log, "audit", "list")
	said := 0
	for _, e := range log.Entries {
		if e.Seq > since && e.Action == c.action {
			said++
			if e.OK != made {
				l.t.Fatalf("the audit log says %+v of %s, made %v", e, c.name, made)
			}
		}
	}
	if made && said != 1 || said > 1 {
		l.t.Fatalf("the audit log has %d entries on %s, made %v", said, c.name, made)
	}
}
