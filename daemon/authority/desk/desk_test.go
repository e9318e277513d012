package desk_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/ipc"
)

func TestCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "authority")
	b := empty(t, dir)
	ctx := t.Context()
	for _, r := range []ipc.CreateAuthorityRequest{
		{}, {Name: "X", Portal: "http://plain.example.org"}, {Name: "X", Preset: "none"}, {Name: "X\n"}, {Name: "X", Contact: strings.Repeat("x", 300)},
	} {
		if _, err := b.CreateAuthority(ctx, root, r); ipc.KindOf(err) != ipc.InvalidArgument || err == nil {
			t.Errorf("%+v: %v", r, err)
		}
		left, _ := filepath.Glob(filepath.Join(dir, "*"))
		if slices.Contains(left, filepath.Join(dir, "key")) || slices.Contains(left, filepath.Join(dir, "policy.toml")) || slices.Contains(left, filepath.Join(dir, store.FileName)) {
			t.Errorf("%+v leaves %q", r, left)
		}
	}
	made, err := b.CreateAuthority(ctx, root, ipc.CreateAuthorityRequest{Name: "Example AG", Contact: "IT desk"})
	if err != nil || made.Name != "Example AG" || made.KeySource != "key-file" || len(made.Warnings) != 0 || made.Policy == "" {
		t.Fatalf("%+v, %v", made, err)
	}
	if _, err := b.CreateAuthority(ctx, root, ipc.CreateAuthorityRequest{Name: "Again"}); ipc.KindOf(err) != ipc.AlreadyExists {
		t.Errorf("a second: %v", err)
	}
	all, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, path := range all {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	// What is in it is there at the next start.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Authority(ctx, root); ipc.KindOf(err) != ipc.Cancelled {
		t.Errorf("after Close: %v", err)
	}
	again := empty(t, dir)
	now, err := again.Authority(ctx, root)
	now.Size = made.Size
	if err != nil || !reflect.DeepEqual(now, made) {
		t.Errorf("%+v became %+v, %v", made, now, err)
	}
	name := "Renamed"
	if now, err = again.EditAuthority(ctx, root, ipc.EditAuthorityRequest{Name: &name}); err != nil || now.Name != name || now.Contact != "IT desk" {
		t.Errorf("%+v, %v", now, err)
	}
	if s := again.State(root); s == nil || s.Name != name || !s.Local || !slices.Contains(s.Roles, ipc.RoleOwner) {
		t.Errorf("%+v", s)
	}
}

// TestTroubles: an authority that cannot be opened says so to root, does not exist
// for others, and is opened once what was wrong is mended, without a restart.
func TestTroubles(t *testing.T) {
	spoil := func(name string, change func([]byte) []byte) func(*testing.T, string) func() {
		return func(t *testing.T, dir string) func() {
			path := filepath.Join(dir, name)
			old, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write := func(b []byte) {
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(change(bytes.Clone(old)))
			return func() { write(old) }
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string) (mend func())
		want  ipc.Kind
	}{
		{"damaged", spoil(store.FileName, func(b []byte) []byte { clear(b[:len(b)/2]); return b }), ipc.AuthorityDamaged},
		{"cut off", spoil(store.FileName, func(b []byte) []byte { return b[:5000] }), ipc.AuthorityDamaged},
		{"another key", spoil("key", func([]byte) []byte {
			return []byte("tokend-authority-key-1:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n")
		}), ipc.AuthorityKey},
		{"no key", spoil("key", func([]byte) []byte { return []byte("something else") }), ipc.AuthorityKey},
		{"open key", func(t *testing.T, dir string) func() {
			path := filepath.Join(dir, "key")
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			return func() { _ = os.Chmod(path, 0o600) }
		}, ipc.AuthorityKey},
		{"key away", func(t *testing.T, dir string) func() {
			path := filepath.Join(dir, "key")
			if err := os.Rename(path, path+".away"); err != nil {
				t.Fatal(err)
			}
			return func() { _ = os.Rename(path+".away", path) }
		}, ipc.AuthorityKey},
		{"locked", func(t *testing.T, dir string) func() {
			other := empty(t, dir)
			return func() { _ = other.Close() }
		}, ipc.Busy},
	} {
		t.Run(c.name, func(t *testing.T) {
			old := furnished(t)
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			mend := c.spoil(t, old.dir)
			b := empty(t, old.dir)
			_, err := b.Authority(t.Context(), root)
			if ipc.KindOf(err) != c.want {
				t.Errorf("root is told %v", err)
			}
			if _, err := b.CreateAuthority(t.Context(), root, ipc.CreateAuthorityRequest{Name: "New"}); err == nil || ipc.KindOf(err) == ipc.Internal {
				t.Errorf("it can be made anew: %v", err)
			}
			if _, err := b.Authority(t.Context(), as("owner")); !reflect.DeepEqual(err, error(ipc.ErrNoAuthority())) {
				t.Errorf("an owner is told %v", err)
			}
			if s := b.State(root); s == nil || s.Problem == nil || s.Problem.Kind != c.want {
				t.Errorf("the state is %+v", s)
			}
			if f := b.Findings(root); len(f) != 1 || f[0].Level != "error" {
				t.Errorf("the doctor finds %+v", f)
			}
			if b.State(as("owner")) != nil || b.Findings(as("owner")) != nil {
				t.Error("others are told of it")
			}
			mend()
			if _, err := b.Authority(t.Context(), root); err != nil {
				t.Errorf("after it was mended: %v", err)
			}
			if err := b.verify(t, "user", passcode(t, "user-fob", 3)); err != nil {
				t.Errorf("after it was mended: %v", err)
			}
		})
	}
}

// TestUnborn: what a crash leaves of an authority that was being made is none, and
// one can be made.
func TestUnborn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "authority")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{store.FileName: "", "policy.toml": "version = 1\n", "audit.log": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.KeyFile(filepath.Join(dir, "key")).Create(); err != nil {
		t.Fatal(err)
	}
	b := empty(t, dir)
	if _, err := b.Authority(t.Context(), root); !reflect.DeepEqual(err, error(ipc.ErrNoAuthority())) {
		t.Fatalf("%v", err)
	}
	if _, err := b.CreateAuthority(t.Context(), root, ipc.CreateAuthorityRequest{Name: "X"}); err != nil {
		t.Error(err)
	}
}

// TestCredential: without the credential no authority is made, and its key opens
// the registry.
func TestCredential(t *testing.T) {
	dir, credentials := filepath.Join(t.TempDir(), "authority"), t.TempDir()
	d := desk.New(desk.Config{Dir: dir, Key: store.Credential(credentials), Login: loginOf})
	defer d.Close()
	d.Open()
	if _, err := d.CreateAuthority(t.Context(), root, ipc.CreateAuthorityRequest{Name: "X"}); ipc.KindOf(err) != ipc.AuthorityKey {
		t.Errorf("without the credential: %v", err)
	}
	if err := store.KeyFile(filepath.Join(credentials, store.CredentialName)).Create(); err != nil {
		t.Fatal(err)
	}
	made, err := d.CreateAuthority(t.Context(), root, ipc.CreateAuthorityRequest{Name: "X"})
	if err != nil || made.KeySource != "credential" {
		t.Errorf("%+v, %v", made, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "key")); err == nil {
		t.Error("there is a key file")
	}
}

func TestPolicy(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	was, err := b.Policy(ctx, root)
	if err != nil || !strings.Contains(was.Text, "IT desk") || !strings.Contains(was.Text, "https://help.example.org") {
		t.Fatalf("%+v, %v", was, err)
	}
	const strict = "version = 1\n[reactivation]\nallow = [\"security_key\"]\nafter_restore = \"allowed\"\nold_device = \"revoke\"\n"
	checked, err := b.CheckPolicy(ctx, root, ipc.CheckPolicyRequest{Text: strict})
	if err != nil || checked.Failed || !slices.ContainsFunc(checked.Findings, func(f ipc.PolicyFinding) bool {
		return f.Severity == ipc.SeverityWarning && strings.Contains(f.Message, "bob would have no way back")
	}) {
		t.Errorf("%+v, %v", checked, err)
	}
	if slices.ContainsFunc(checked.Findings, func(f ipc.PolicyFinding) bool { return strings.Contains(f.Message, "ghost") }) {
		t.Error("a disabled user is to have a way back")
	}
	if now, err := b.Policy(ctx, root); err != nil || now != was {
		t.Errorf("checking changed it: %v", err)
	}
	bad, err := b.CheckPolicy(ctx, root, ipc.CheckPolicyRequest{Text: "version = 1\nnonsense = 2\n"})
	if err != nil || !bad.Failed || len(bad.Findings) == 0 || bad.Findings[0].Line == 0 {
		t.Errorf("%+v, %v", bad, err)
	}
	if _, err := b.SetPolicy(ctx, root, ipc.SetPolicyRequest{Text: "version = 1\nnonsense = 2\n"}); ipc.KindOf(err) != ipc.InvalidArgument {
		t.Errorf("%v", err)
	}
	if _, err := b.SetPolicy(ctx, root, ipc.SetPolicyRequest{Text: strict, Was: strings.Repeat("0", 64)}); ipc.KindOf(err) != ipc.Conflict {
		t.Errorf("%v", err)
	}
	if e, err := b.ExplainPolicy(ctx, as("helpdesk"), ipc.ExplainPolicyRequest{User: "bob"}); err != nil || e.Outcome != "offered" || e.Has[0] != (ipc.FactorHolding{Factor: ipc.FactorFob, Working: 1}) {
		t.Errorf("%+v, %v", e, err)
	}
	set, err := b.SetPolicy(ctx, as("admin"), ipc.SetPolicyRequest{Text: strict, Was: was.SHA256})
	if err != nil || set.SHA256 != checked.SHA256 {
		t.Errorf("%+v, %v", set, err)
	}
	e, err := b.ExplainPolicy(ctx, root, ipc.ExplainPolicyRequest{User: "bob"})
	want := []ipc.PolicyAlternative{{Kind: "portal", Value: "https://help.example.org"}, {Kind: "contact", Value: "IT desk"}}
	if err != nil || e.Outcome != "nothing-left" || !reflect.DeepEqual(e.Alternatives, want) {
		t.Errorf("%+v, %v", e, err)
	}
	page, err := b.AuthorityAudit(ctx, root, ipc.AuditQuery{})
	last := page.Entries[len(page.Entries)-1]
	if err != nil || last.Action != "policy-set" || last.By != b.ids["admin"] || last.Detail != "sha256="+set.SHA256 {
		t.Errorf("%+v, %v", last, err)
	}
	// It is in force after a restart; one that was spoilt meanwhile allows nothing,
	// and passcodes are verified all the same.
	_ = b.Close()
	again := empty(t, b.dir)
	if now, err := again.Policy(ctx, root); err != nil || now.Text != strict {
		t.Errorf("%+v, %v", now, err)
	}
	_ = again.Close()
	if err := os.WriteFile(filepath.Join(b.dir, "policy.toml"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	spoilt := empty(t, b.dir)
	if _, err := spoilt.ExplainPolicy(ctx, root, ipc.ExplainPolicyRequest{User: "bob"}); ipc.KindOf(err) != ipc.AuthorityDamaged {
		t.Errorf("%v", err)
	}
	if i, err := spoilt.Authority(ctx, root); err != nil || len(i.Warnings) != 1 || i.Warnings[0].Code != "authority-policy" {
		t.Errorf("%+v, %v", i, err)
	}
	if f := spoilt.Findings(root); len(f) != 1 || f[0].Level != "error" {
		t.Errorf("%+v", f)
	}
	if err := spoilt.verify(t, "user", passcode(t, "user-fob", 0)); err != nil {
		t.Error(err)
	}
}

func TestImport(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	yubico := ipc.NewFob{Serial: "yk", Type: ipc.FobYubico, Secret: ipc.Secret(base64.StdEncoding.EncodeToString(make([]byte, 16))),
		PublicID: "cccccccccccb", PrivateID: ipc.Secret("AAAAAAAA")}
	bad, short, odd := newFob("bad"), newFob("short"), yubico
	bad.Secret, short.Secret = ipc.Secret("not base64!"), ipc.Secret("AAAA")
	odd.Serial, odd.PublicID = "odd", "xyz"
	other := newFob("user-fob")
	other.Secret = ipc.Secret(base64.StdEncoding.EncodeToString(seed("different")))
	rows := func() []ipc.NewFob {
		in := []ipc.NewFob{bad, newFob("new"), short, newFob("bob-fob"), other, yubico, odd, newFob("NEW")}
		for i := range in {
			in[i].Secret, in[i].PrivateID = bytes.Clone(in[i].Secret), bytes.Clone(in[i].PrivateID)
		}
		return in
	}
	want := []ipc.FobOutcome{ipc.FobRefused, ipc.FobAdded, ipc.FobRefused, ipc.FobSame, ipc.FobConflict, ipc.FobAdded, ipc.FobRefused, ipc.FobConflict}
	for _, apply := range []bool{false, true} {
		r, err := b.ImportFobs(ctx, as("admin"), ipc.ImportFobsRequest{Fobs: rows(), Apply: apply})
		if err != nil || r.Applied != apply || len(r.Rows) != len(want) {
			t.Fatalf("%+v, %v", r, err)
		}
		for i, row := range r.Rows {
			if row.Outcome != want[i] || row.Serial != rows()[i].Serial || (row.Problem == "") != (row.Outcome == ipc.FobAdded || row.Outcome == ipc.FobSame) {
				t.Errorf("row %d is %+v, not %s", i, row, want[i])
			}
		}
		if _, err := b.Fob(ctx, root, "new"); (err == nil) != apply {
			t.Errorf("after apply=%t: %v", apply, err)
		}
	}
	if f, err := b.Fob(ctx, root, "yk"); err != nil || f.PublicID != "cccccccccccb" || f.State != ipc.FobUnassigned {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := b.ImportFobs(ctx, root, ipc.ImportFobsRequest{Fobs: make([]ipc.NewFob, ipc.MaxFobRows+1)}); ipc.KindOf(err) != ipc.InvalidArgument {
		t.Errorf("%v", err)
	}
	// Pages.
	var serials []string
	for q := (ipc.FobQuery{Limit: 3}); ; {
		page, err := b.Fobs(ctx, as("helpdesk"), q)
		if err != nil || len(page.Fobs) > 3 {
			t.Fatalf("%+v, %v", page, err)
		}
		for _, f := range page.Fobs {
			serials = append(serials, f.Serial)
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	if len(serials) != 11 || !slices.IsSorted(serials) {
		t.Errorf("%q", serials)
	}
	for _, limit := range []int{-1, 1001} {
		if _, err := b.Users(ctx, root, ipc.UserQuery{Limit: limit}); ipc.KindOf(err) != ipc.InvalidArgument {
			t.Errorf("a page of %d: %v", limit, err)
		}
	}
}
