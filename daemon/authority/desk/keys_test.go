package desk_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/daemon/authority/keyslot"
	"github.com/tokenbridge/tokend/ipc"
)

// drawer is the tokens that are plugged in, with PIN 123456 each. That real ones do
// the same is seen in package daemon.
type drawer struct {
	mu    sync.Mutex
	all   []keyslot.Slot
	keys  map[string]*ecdh.PrivateKey
	gone  map[string]bool
	onUse func()
}

func newDrawer(t *testing.T, ids ...string) *drawer {
	t.Helper()
	d := &drawer{keys: map[string]*ecdh.PrivateKey{}, gone: map[string]bool{}}
	for _, id := range ids {
		k, err := ecdh.P256().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s := keyslot.Slot{Keyslot: archive.Keyslot{ID: id, Kind: "piv", Model: "card " + id, Keys: []archive.Key{
			{Kind: "piv", Class: "session", Algorithm: "P-256", Public: k.PublicKey().Bytes()}}}}
		if strings.HasPrefix(id, "soft") {
			s.Kind, s.KeyFile = "soft", []byte("sealed")
		}
		d.keys[id], d.all = k, append(d.all, s)
	}
	return d
}

func (d *drawer) Keyslots(ipc.Principal) ([]keyslot.Slot, error) { return slices.Clone(d.all), nil }

func (d *drawer) Use(ctx context.Context, _ ipc.Principal, a ipc.Auth, _ string, slots []keyslot.Slot,
	f func(context.Context, string, keyslot.Exchange) error,
) error {
	i := slices.IndexFunc(slots, func(s keyslot.Slot) bool { return s.ID == a.Token })
	d.mu.Lock()
	gone := i < 0 || d.gone[a.Token]
	d.mu.Unlock()
	switch {
	case i < 0:
		return ipc.Errorf(ipc.NotFound, "there is no such token in the vault")
	case gone:
		return ipc.Errorf(ipc.TokenNotPresent, "it is not present")
	case len(a.PIN) == 0:
		return &ipc.Error{Kind: ipc.PINRequired, Message: "it wants its PIN", Token: &ipc.TokenRef{ID: a.Token}}
	case string(a.PIN) != "123456":
		return &ipc.Error{Kind: ipc.PINInvalid, Message: "wrong PIN"}
	}
	return f(ctx, a.Token, func(_ context.Context, peer []byte) ([]byte, error) {
		if d.onUse != nil {
			d.onUse()
		}
		p, err := ecdh.P256().NewPublicKey(peer)
		if err != nil {
			return nil, err
		}
		return d.keys[a.Token].ECDH(p)
	})
}

func by(id string) ipc.Auth { return ipc.Auth{Token: id, PIN: ipc.Secret("123456")} }

// safe is a desk whose authority tokens open.
type safe struct {
	*bench
	drawer *drawer
	doors  []bool // what was told of the door
}

// restart closes the desk and opens it again, as a daemon that starts.
func (s *safe) restart(t *testing.T) {
	t.Helper()
	if s.bench != nil && s.Desk != nil {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s.Desk = desk.New(desk.Config{Dir: s.dir, Login: loginOf, Tokens: s.drawer, Opened: func(open bool) { s.doors = append(s.doors, open) }, Now: s.Now, Wait: s.wait})
	s.Open()
	t.Cleanup(func() { _ = s.Close() })
}

func newSafe(t *testing.T, ids ...string) *safe {
	t.Helper()
	s := &safe{bench: &bench{clock: &clock{now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}, dir: filepath.Join(t.TempDir(), "authority"), ids: map[string]string{}}, drawer: newDrawer(t, ids...)}
	s.restart(t)
	return s
}

func (s *safe) file(name string) string { return filepath.Join(s.dir, name) }

func (s *safe) create(t *testing.T, id string) {
	t.Helper()
	info, err := s.CreateAuthority(t.Context(), root, ipc.CreateAuthorityRequest{Name: "Example AG", Key: "token", Auth: by(id)})
	if err != nil || info.KeySource != "keyslot" {
		t.Fatalf("%+v, %v", info, err)
	}
}

func (s *safe) add(t *testing.T, id string) {
	t.Helper()
	if _, err := s.AddAuthorityKey(t.Context(), root, ipc.AddAuthorityKeyRequest{Auth: by(id)}); err != nil {
		t.Fatal(err)
	}
}

func (s *safe) unlock(t *testing.T, who ipc.Principal, id string) error {
	t.Helper()
	_, err := s.UnlockAuthority(t.Context(), who, ipc.UnlockAuthorityRequest{Auth: by(id)})
	return err
}

// holds are the ids of what holds the key.
func (s *safe) holds(t *testing.T) string {
	t.Helper()
	list, err := s.AuthorityKeys(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, 0, len(list.Keys))
	for _, k := range list.Keys {
		ids = append(ids, k.ID)
	}
	return strings.Join(ids, " ")
}

func wantKind(t *testing.T, what string, err error, kind ipc.Kind, message string) {
	t.Helper()
	if err == nil || ipc.KindOf(err) != kind || !strings.Contains(err.Error(), message) {
		t.Errorf("%s: %v, want %s", what, err, kind)
	}
}

func (s *safe) read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(s.file(name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (s *safe) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(s.file(name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLocked: after a start everybody is answered that the authority is locked, and
// those who may unlock it see what opens it.
func TestLocked(t *testing.T) {
	s := newSafe(t, "one", "two")
	s.create(t, "one")
	owner, err := s.AddUser(t.Context(), root, ipc.NewUser{Name: "owner", Logins: []string{"os-owner"}, Roles: []ipc.Role{ipc.RoleOwner}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddAuthorityKey(t.Context(), as("owner"), ipc.AddAuthorityKeyRequest{Auth: by("two")}); err != nil {
		t.Fatal(err)
	}
	s.restart(t)
	for name, row := range table() {
		for _, who := range []ipc.Principal{root, as("owner"), as("verifier"), as("stranger")} {
			err := ask(t, s.bench, name, who, row.args)
			switch name {
			case "UnlockAuthority", "LockAuthority", "AuthorityKeys":
				if may := who.Admin || who.UID == as("owner").UID; may == (ipc.KindOf(err) == ipc.NotAuthorized && err != nil) {
					t.Errorf("%s as %s: %v", name, who.UID, err)
				}
			case "AuthorityMessage", "AuthorityDescriptor":
				wantKind(t, name, err, ipc.VerifierDown, "the authority is locked")
			case "CreateAuthority":
				if who.Admin {
					wantKind(t, name, err, ipc.AlreadyExists, "")
				}
			default:
				wantKind(t, name+" as "+who.UID, err, ipc.AuthorityKey, "the authority is locked")
			}
		}
	}
	for _, who := range []ipc.Principal{root, as("owner"), as("verifier"), as("stranger")} {
		state, found := s.State(who), s.Findings(who)
		if may := who.Admin || who.UID == as("owner").UID; may != (state != nil && state.Locked) || may != (len(found) == 1 && found[0].Fix == "tokenctl admin authority unlock") {
			t.Errorf("%s is told of %+v, %+v", who.UID, state, found)
		}
	}
	if !s.Locked() {
		t.Error("it does not say that it is locked")
	}
	// Who added a keyslot unlocks, also by another's; his role is what it was.
	if err := s.unlock(t, as("owner"), "one"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddUser(t.Context(), root, ipc.NewUser{Name: "another", Roles: []ipc.Role{ipc.RoleOwner}}); err != nil {
		t.Fatal(err)
	}
	no := []ipc.Role{ipc.RoleUser}
	if _, err := s.EditUser(t.Context(), root, owner.ID, ipc.EditUserRequest{Roles: &no}); err != nil {
		t.Fatal(err)
	}
	_, err = s.LockAuthority(t.Context(), as("owner"))
	wantKind(t, "locking without the role", err, ipc.NotAuthorized, "")
	if _, err := s.LockAuthority(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if err := s.unlock(t, as("owner"), "two"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Users(t.Context(), as("owner"), ipc.UserQuery{})
	wantKind(t, "unlocking gives a role", err, ipc.NotAuthorized, "")
	if !slices.Equal(s.doors, []bool{true, true, false, true}) {
		t.Errorf("the door was told %v", s.doors)
	}
	page, err := s.AuthorityAudit(t.Context(), root, ipc.AuditQuery{})
	if err != nil || !page.Intact {
		t.Fatalf("%+v, %v", page, err)
	}
	var log strings.Builder
	for _, e := range page.Entries {
		log.WriteString(e.Action + " by " + e.By + " " + e.Detail + "\n")
	}
	for _, want := range []string{"authority-unlock by uid 1005 keyslot=one", "authority-unlock by uid 1008 not-authorized", "authority-lock by uid 0", "authority-key-add by " + owner.ID + " keyslot=two"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the audit has no %q:\n%s", want, log.String())
		}
	}
}

// TestUnlockRefused: what goes wrong is named, and nothing is lost by it.
func TestUnlockRefused(t *testing.T) {
	s := newSafe(t, "one", "two", "three")
	s.create(t, "one")
	s.add(t, "two")
	whole := s.read(t, "keyslots.json")
	s.restart(t)
	info := func(r ipc.UnlockAuthorityRequest) error {
		_, err := s.UnlockAuthority(t.Context(), root, r)
		return err
	}
	wantKind(t, "no PIN", info(ipc.UnlockAuthorityRequest{Auth: ipc.Auth{Token: "one"}}), ipc.PINRequired, "")
	wantKind(t, "a wrong PIN", info(ipc.UnlockAuthorityRequest{Auth: ipc.Auth{Token: "one", PIN: ipc.Secret("000000")}}), ipc.PINInvalid, "")
	wantKind(t, "a recovery password", info(ipc.UnlockAuthorityRequest{Auth: ipc.Auth{RecoveryPassword: ipc.Secret("x")}}), ipc.InvalidArgument, "no recovery password")
	wantKind(t, "another token", s.unlock(t, root, "three"), ipc.NotFound, "the authority has no such key")
	s.drawer.gone["one"] = true
	wantKind(t, "one that was pulled out", s.unlock(t, root, "one"), ipc.TokenNotPresent, "")
	s.drawer.gone["one"] = false
	// A token that is another than its keyslot says.
	s.drawer.keys["one"], s.drawer.keys["two"] = s.drawer.keys["two"], s.drawer.keys["one"]
	wantKind(t, "an exchanged token", s.unlock(t, root, "one"), ipc.AuthorityKey, "is not the authority's key")
	s.drawer.keys["one"], s.drawer.keys["two"] = s.drawer.keys["two"], s.drawer.keys["one"]

	for what, text := range map[string][]byte{"cut off": whole[:len(whole)/2], "empty": nil, "changed": bytes.Replace(whole, []byte("session"), []byte("sessiom"), 1)} {
		s.write(t, "keyslots.json", text)
		wantKind(t, what, s.unlock(t, root, "one"), ipc.AuthorityKey, "keyslots is damaged")
		if got := s.read(t, "keyslots.json"); !bytes.Equal(got, text) {
			t.Errorf("%s: the file was changed", what)
		}
	}
	s.write(t, "keyslots.json", bytes.Replace(whole, []byte(`"version":1`), []byte(`"version":9`), 1))
	wantKind(t, "newer", s.unlock(t, root, "one"), ipc.NewerVersion, "")
	if err := os.Remove(s.file("keyslots.json")); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "gone", s.unlock(t, root, "one"), ipc.AuthorityKey, "not in its place")
	// Another authority's keyslots, of a token that is at hand.
	other := newSafe(t)
	other.drawer = s.drawer
	other.restart(t)
	other.create(t, "one")
	s.write(t, "keyslots.json", other.read(t, "keyslots.json"))
	wantKind(t, "another authority's", s.unlock(t, root, "one"), ipc.AuthorityKey, "sealed by another key")
	s.write(t, "keyslots.json", whole)
	for _, id := range []string{"one", "two"} {
		if err := s.unlock(t, root, id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		s.restart(t)
	}
}

// TestOldKeyslots: an older file gives way to the newest, and who was removed from
// that is not let in; a newer one, which a crash left, counts.
func TestOldKeyslots(t *testing.T) {
	s := newSafe(t, "one", "two", "three")
	s.create(t, "one")
	s.add(t, "two")
	before := s.read(t, "keyslots.json")
	if _, err := s.RemoveAuthorityKey(t.Context(), root, "one"); err != nil {
		t.Fatal(err)
	}
	s.add(t, "three")
	now := s.read(t, "keyslots.json")

	s.write(t, "keyslots.json", before)
	s.restart(t)
	wantKind(t, "the removed one", s.unlock(t, root, "one"), ipc.NoKeyslot, "was removed")
	if !s.Locked() || !bytes.Equal(s.read(t, "keyslots.json"), now) {
		t.Error("the file is not the newest, or it is open")
	}
	s.write(t, "keyslots.json", before)
	s.restart(t)
	if err := s.unlock(t, root, "two"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.read(t, "keyslots.json"), now) || s.holds(t) != "two three" {
		t.Errorf("an older file stays: %s", s.holds(t))
	}

	// The daemon ended between the file and the registry: put the registry back to
	// before a change, and the file is the newer one.
	registry := s.read(t, "registry.db")
	if _, err := s.RemoveAuthorityKey(t.Context(), root, "two"); err != nil {
		t.Fatal(err)
	}
	now = s.read(t, "keyslots.json")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.write(t, "registry.db", registry)
	s.restart(t)
	wantKind(t, "the one that was being removed", s.unlock(t, root, "two"), ipc.NotFound, "")
	if err := s.unlock(t, root, "three"); err != nil || s.holds(t) != "three" || !bytes.Equal(s.read(t, "keyslots.json"), now) {
		t.Errorf("%s, %v", s.holds(t), err)
	}
	_, err := s.RemoveAuthorityKey(t.Context(), root, "three")
	wantKind(t, "the last", err, ipc.LastKeyslot, "")
}

// TestKeyFileAndTokens: an authority with a key file gets keyslots, and then does
// without the file.
func TestKeyFileAndTokens(t *testing.T) {
	s := newSafe(t, "one", "soft")
	if _, err := s.CreateAuthority(t.Context(), root, ipc.CreateAuthorityRequest{Name: "Example AG"}); err != nil {
		t.Fatal(err)
	}
	_, err := s.RemoveAuthorityKey(t.Context(), root, "file")
	wantKind(t, "the only key", err, ipc.LastKeyslot, "")
	s.add(t, "soft")
	if got := s.holds(t); got != "file soft" {
		t.Errorf("it is held by %s", got)
	}
	_, err = s.LockAuthority(t.Context(), root)
	wantKind(t, "locking", err, ipc.Conflict, "opens by itself")
	// The file of keyslots is lost, and comes back from the registry.
	kept := s.read(t, "keyslots.json")
	for _, text := range [][]byte{nil, kept[:20]} {
		if text == nil {
			_ = os.Remove(s.file("keyslots.json"))
		} else {
			s.write(t, "keyslots.json", text)
		}
		s.restart(t)
		if s.Locked() || !bytes.Equal(s.read(t, "keyslots.json"), kept) {
			t.Errorf("it is locked (%v), or the file is not back", s.Locked())
		}
	}
	if _, err := s.RemoveAuthorityKey(t.Context(), root, "file"); err != nil {
		t.Fatal(err)
	}
	info, err := s.Authority(t.Context(), root)
	if err != nil || info.KeySource != "keyslot" {
		t.Errorf("%+v, %v", info, err)
	}
	var codes []string
	for _, w := range info.Warnings {
		codes = append(codes, w.Code)
	}
	if !slices.Contains(codes, "single-token") || !slices.Contains(codes, "software-token") {
		t.Errorf("it warns of %v", codes)
	}
	s.restart(t)
	if !s.Locked() || s.unlock(t, root, "soft") != nil || !s.Keeps(s.drawer.all[1].Session().Public) || s.Keeps(s.drawer.all[0].Session().Public) {
		t.Error("the token does not open it")
	}
	s.add(t, "one")
	if _, err := s.RemoveAuthorityKey(t.Context(), root, "soft"); err != nil || s.holds(t) != "one" {
		t.Errorf("%s, %v", s.holds(t), err)
	}
}

// TestCreateByTokenCutOff: what a crash leaves of an authority that was not made
// does not stand in the way of another.
func TestCreateByTokenCutOff(t *testing.T) {
	s := newSafe(t, "one", "two")
	create := func(id string) error {
		r := ipc.CreateAuthorityRequest{Name: "Example AG"}
		if id != "" {
			r.Key, r.Auth = "token", by(id)
		}
		_, err := s.CreateAuthority(t.Context(), root, r)
		return err
	}
	_, err := s.CreateAuthority(t.Context(), root, ipc.CreateAuthorityRequest{Name: "x", Key: "token", Auth: ipc.Auth{Token: "one", PIN: ipc.Secret("000000")}})
	wantKind(t, "a wrong PIN", err, ipc.PINInvalid, "")
	_, err = s.CreateAuthority(t.Context(), root, ipc.CreateAuthorityRequest{Name: "x", Key: "nonsense"})
	wantKind(t, "nonsense", err, ipc.InvalidArgument, "")
	if left, _ := os.ReadDir(s.dir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
	// A key file without a registry is somebody's.
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.write(t, "key", []byte("tokend-authority-key-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"))
	wantKind(t, "beside a key file", create("one"), ipc.Conflict, "key already")
	_ = os.Remove(s.file("key"))

	if err := create("one"); err != nil {
		t.Fatal(err)
	}
	slots := s.read(t, "keyslots.json")
	wantKind(t, "twice", create("two"), ipc.AlreadyExists, "")
	if !bytes.Equal(s.read(t, "keyslots.json"), slots) {
		t.Error("a refused one has changed the keyslots")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// The daemon ended before there was a registry, or one of nothing.
	for _, id := range []string{"two", ""} {
		_ = os.Remove(s.file("registry.db"))
		_ = os.Remove(s.file("key"))
		s.write(t, "keyslots.json", slots)
		s.restart(t)
		if err := create(id); err != nil {
			t.Fatalf("%q: %v", id, err)
		}
		s.restart(t)
		if s.Locked() != (id != "") {
			t.Errorf("%q: locked: %v", id, s.Locked())
		}
		if id != "" && s.unlock(t, root, id) != nil {
			t.Errorf("%s does not open it", id)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLockedMeanwhile: who locks an authority while a token is asked means it.
func TestLockedMeanwhile(t *testing.T) {
	s := newSafe(t, "one", "two")
	s.create(t, "one")
	s.add(t, "two")
	s.restart(t)
	first := true
	s.drawer.onUse = func() {
		if !first {
			return
		}
		first = false
		if err := s.unlock(t, root, "two"); err != nil {
			t.Error(err)
		}
		if _, err := s.LockAuthority(t.Context(), root); err != nil {
			t.Error(err)
		}
	}
	wantKind(t, "unlocking", s.unlock(t, root, "one"), ipc.Conflict, "locked meanwhile")
	if !s.Locked() {
		t.Error("it is open all the same")
	}
	// Calls that are under way while it is locked and unlocked end, one way or the other.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				_, err := s.AddUser(t.Context(), root, ipc.NewUser{Name: rand.Text()})
				if k := ipc.KindOf(err); err != nil && k != ipc.AuthorityKey && k != ipc.Cancelled {
					t.Errorf("%v", err)
				}
			}
		})
	}
	for range 5 {
		if err := s.unlock(t, root, "one"); err != nil {
			t.Error(err)
		}
		if _, err := s.LockAuthority(t.Context(), root); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}
