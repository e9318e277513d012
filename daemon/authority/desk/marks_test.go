package desk_test

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/ipc"
)

// folder is the files of an authority's folder, by their names.
func (b *bench) folder(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(b.dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out[path], err = os.ReadFile(filepath.Join(b.dir, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// restart closes the authority, puts files in the place of those that are there, and
// opens it. What the daemon's log gets meanwhile is returned.
func (b *bench) restart(t *testing.T, files map[string][]byte) string {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(b.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log journal
	b.Desk = desk.New(desk.Config{Dir: b.dir, Login: loginOf, Now: b.clock.Now, Wait: b.clock.wait, Log: slog.New(slog.NewTextHandler(&log, nil))})
	b.Open()
	log.mu.Lock()
	defer log.mu.Unlock()
	return log.String()
}

// warned is the codes of the warnings about copies: of the authority's document, of
// the status and of the doctor, which have to agree.
func (b *bench) warned(t *testing.T) []string {
	t.Helper()
	info, err := b.Authority(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	var list, status, doctor []string
	about := func(code string) bool { return code == "authority-older" || code == "authority-audit-cut" }
	for _, w := range info.Warnings {
		if about(w.Code) {
			list = append(list, w.Code)
		}
	}
	for _, w := range b.State(root).Warnings {
		status = append(status, w.Code)
	}
	for _, f := range b.Findings(root) {
		if about(f.Code) && f.Level == "error" {
			doctor = append(doctor, f.Code)
		}
	}
	if !slices.Equal(list, status) || !slices.Equal(list, doctor) {
		t.Errorf("the authority warns of %v, the status of %v, the doctor of %v", list, status, doctor)
	}
	if s := b.State(as("helpdesk")); len(s.Warnings) != 0 {
		t.Errorf("the helpdesk is warned: %v", s.Warnings)
	}
	return list
}

// TestOlderCopies: a registry that goes back behind the audit log, and an audit log
// that goes back behind the registry, are told of until an owner says that he knows;
// what goes back together is not, nor is a crash.
func TestOlderCopies(t *testing.T) {
	b := furnished(t)
	pass := func(serial string, n uint64) bool {
		t.Helper()
		a, err := b.Verify(t.Context(), root, ipc.VerifyRequest{User: "bob", Service: "pam", Passcode: ipc.Secret(passcode(t, serial, n))})
		return err == nil && a.Accepted
	}
	if text := b.restart(t, nil); strings.Contains(text, "ERROR") || len(b.warned(t)) != 0 {
		t.Fatalf("after a restart: %v, %s", b.warned(t), text)
	}
	b.verified(t, true)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	early := b.folder(t)
	b.restart(t, nil)
	if !pass("bob-fob", 3) || pass("bob-fob", 3) {
		t.Fatal("a passcode is not accepted once")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	late := b.folder(t)

	// All of it, as a copy that is put back: nothing here tells.
	if text := b.restart(t, early); strings.Contains(text, "ERROR") || len(b.warned(t)) != 0 {
		t.Errorf("all of an older copy: %v, %s", b.warned(t), text)
	}
	b.restart(t, late)

	// The registry alone.
	text := b.restart(t, map[string][]byte{"registry.db": early["registry.db"]})
	if !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "older copy") || !slices.Equal(b.warned(t), []string{"authority-older"}) {
		t.Errorf("an older registry: %v, %s", b.warned(t), text)
	}
	if !slices.ContainsFunc(b.since(t, 0), func(e ipc.AuditEntry) bool { return e.Action == "registry-older" && !e.OK && e.By == "tokend" }) {
		t.Error("the audit does not have it")
	}
	b.clock.pass(time.Hour)
	if !pass("bob-fob", 3) {
		t.Error("what is warned of is not so: the passcode does not count again")
	}
	if b.restart(t, nil); !slices.Equal(b.warned(t), []string{"authority-older"}) {
		t.Errorf("after another restart: %v", b.warned(t))
	}
	b.verified(t, true, "authority-was-older")
	b.accepted(t)
	b.verified(t, true, "authority-was-older")

	// The audit log alone.
	text = b.restart(t, map[string][]byte{"audit.log": early["audit.log"]})
	if !strings.Contains(text, "level=ERROR") || !slices.Equal(b.warned(t), []string{"authority-audit-cut"}) {
		t.Errorf("an older audit log: %v, %s", b.warned(t), text)
	}
	b.verified(t, false, "authority-audit-was-cut")
	b.accepted(t)
	b.verified(t, true, "authority-audit-was-cut")
	if b.restart(t, map[string][]byte{"audit.log": nil}); !slices.Equal(b.warned(t), []string{"authority-audit-cut"}) {
		t.Errorf("no audit log: %v", b.warned(t))
	}
	b.accepted(t)
}

// verified: `audit verify` says what was found, and calls a chain intact where nothing
// was, or an owner has accepted it.
func (b *bench) verified(t *testing.T, intact bool, codes ...string) {
	t.Helper()
	v, err := b.VerifyAuthorityAudit(t.Context(), root, ipc.VerifyAuditRequest{})
	if err != nil || v.Intact != intact || (v.Problem == "") != intact {
		t.Errorf("%+v, %v", v, err)
	}
	var got []string
	for _, w := range v.Warnings {
		got = append(got, w.Code)
	}
	if !slices.Equal(got, codes) {
		t.Errorf("%v, not %v", got, codes)
	}
}

// accepted has an owner accept what is warned of, which nobody else can.
func (b *bench) accepted(t *testing.T) {
	t.Helper()
	before := b.warned(t)
	if _, err := b.EditAuthority(t.Context(), as("admin"), ipc.EditAuthorityRequest{AcceptCopy: true}); ipc.KindOf(err) != ipc.NotAuthorized || !slices.Equal(b.warned(t), before) {
		t.Errorf("an administrator accepts it: %v", err)
	}
	if _, err := b.EditAuthority(t.Context(), caller("owner"), ipc.EditAuthorityRequest{AcceptCopy: true}); err != nil || len(b.warned(t)) != 0 {
		t.Errorf("%v: %v", err, b.warned(t))
	}
	for _, ok := range []bool{false, true} {
		if !slices.ContainsFunc(b.since(t, 0), func(e ipc.AuditEntry) bool { return e.Action == "registry-accept" && e.OK == ok }) {
			t.Errorf("the audit does not have that it was accepted: %v", ok)
		}
	}
	if text := b.restart(t, nil); strings.Contains(text, "ERROR") || len(b.warned(t)) != 0 {
		t.Errorf("after a restart: %v, %s", b.warned(t), text)
	}
}

// TestCopiesOfCrashes: whatever a crash leaves on disk, of the registry as it was a
// moment ago or of the log, is no older copy; and what was done more than a minute ago
// is not forgotten silently by a copy from before.
func TestCopiesOfCrashes(t *testing.T) {
	b := furnished(t)
	b.restart(t, nil)
	var crashed []map[string][]byte
	note := func() { crashed = append(crashed, b.folder(t)) }
	note()
	for _, name := range []string{"one", "two"} {
		if _, err := b.AddUser(t.Context(), as("admin"), ipc.NewUser{Name: name}); err != nil {
			t.Fatal(err)
		}
		note()
		b.KeepUp()
		note()
	}
	if bytes.Equal(crashed[0]["registry.db"], crashed[2]["registry.db"]) {
		t.Fatal("nothing was marked")
	}
	for i, files := range crashed {
		if text := b.restart(t, files); strings.Contains(text, "ERROR") || len(b.warned(t)) != 0 {
			t.Errorf("crash %d: %v, %s", i, b.warned(t), text)
		}
	}
	b.restart(t, crashed[4])
	if b.restart(t, map[string][]byte{"audit.log": crashed[4]["audit.log"], "registry.db": crashed[1]["registry.db"]}); !slices.Equal(b.warned(t), []string{"authority-older"}) {
		t.Errorf("a copy from before the last marks, with the log of a crash: %v", b.warned(t))
	}
}
