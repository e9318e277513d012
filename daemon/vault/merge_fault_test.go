package vault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
)

// mergeScenario is a vault on a memFS with a merge to come.
type mergeScenario struct {
	fs    *memFS
	key   *softKey
	vault *Vault
	in    *Incoming
}

func newMergeScenario(t *testing.T, key *softKey) *mergeScenario {
	t.Helper()
	s := &mergeScenario{fs: newMemFS(), key: key}
	store, err := OpenStore(faultOptions(s.fs))
	if err != nil {
		t.Fatal(err)
	}
	n := key.slot("one", "")
	if s.vault, err = store.Create(t.Context(), &n, nil); err != nil {
		t.Fatal(err)
	}
	list := []NewAccount{totp("Bank", "me", "secret-of-the-bank-1"), touchTOTP("Touch", "me", "secret-of-the-touch1"), hotpAt("Count", "me", "secret-of-the-count-", 5)}
	if _, err := s.vault.Add(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	s.in = incoming(t, totp("Bank", "me", "another secret 12345"), touchTOTP("New", "me", "a third secret 123456"), touchTOTP("Touch", "called else", "secret-of-the-touch1"))
	return s
}

func (s *mergeScenario) options() MergeOptions {
	return MergeOptions{Apply: true, Source: "a file", Decide: map[int]Decision{1: {Action: MergeReplace}, 3: {Action: MergeReplace}}}
}

// looks is what a vault on m has, by name, and the steps that can be taken back.
func looks(t *testing.T, m *memFS, key *softKey) (names string, steps []UndoStep, v *Vault) {
	t.Helper()
	store, err := OpenStore(faultOptions(m))
	if err != nil {
		t.Fatal(err)
	}
	if v, err = store.Unlock(t.Context(), key.way("one")); err != nil {
		t.Fatal(err)
	}
	if v.ReadOnly() || len(v.Notices()) > 0 {
		t.Fatalf("%v %q", v.Problem(), v.Notices())
	}
	if steps, err = v.Undos(); err != nil {
		t.Fatal(err)
	}
	return namesOf(v), steps, v
}

func namesOf(v *Vault) string {
	var out []string
	for _, a := range v.Accounts() {
		out = append(out, a.Issuer+":"+a.Name)
	}
	return strings.Join(out, " ")
}

const (
	mergeBefore = "Bank:me Touch:me Count:me"
	mergeAfter  = "Bank:me Touch:called else Count:me New:me"
)

// TestCrashInAMerge stops the machine, or lets the disk be full, at every operation
// of a merge and of its undo: the vault is as before or as after, and what takes
// the step back is there exactly when the step was made.
func TestCrashInAMerge(t *testing.T) {
	key := newSoftKey(t, tokens.X25519, tokens.ClassSession, tokens.ClassTouch)
	plain := newMergeScenario(t, key)
	begin := plain.fs.ops
	if _, err := plain.vault.Merge(t.Context(), plain.in, plain.options()); err != nil {
		t.Fatal(err)
	}
	middle := plain.fs.ops
	if _, err := plain.vault.Undo(t.Context(), "", true); err != nil {
		t.Fatal(err)
	}
	log := plain.fs.log
	outcomes := map[string]int{}
	for n := begin + 1; n <= plain.fs.ops; n += faultStride {
		for _, mode := range faultModes(log, n) {
			for _, fault := range []error{errCrash, errNoSpace} {
				s := newMergeScenario(t, key)
				s.fs.short = mode&1 == 1
				s.fs.fault = func(op string) error {
					if s.fs.ops >= n && (errors.Is(fault, errCrash) || needsRoom(op)) {
						return fault
					}
					return nil
				}
				what := fmt.Sprintf("operation %d (%s), mode %d, %v", n, log[n-1], mode, fault)
				m, err := s.vault.Merge(t.Context(), s.in, s.options())
				merged := m.Applied
				undone := false
				if err == nil && n > middle {
					var u Merged
					u, err = s.vault.Undo(t.Context(), "", true)
					undone = u.Applied
				}
				if err == nil {
					outcomes["no failure"]++
				}
				s.fs.fault = nil
				lose := mode&2 == 2 && !errors.Is(err, ErrUncertain)
				names, steps, v := looks(t, s.fs.reboot(lose), key)
				outcomes[names]++
				checkMerged(t, what, names, steps, merged && err == nil && !undone, undone && err == nil)
				takeBack(t, what, v, names, steps)
			}
		}
	}
	if outcomes[mergeBefore] == 0 || outcomes[mergeAfter] == 0 || len(outcomes) > 3 {
		t.Fatalf("%v", outcomes)
	}
}

// checkMerged: acknowledged steps are there, and a step has what takes it back.
func checkMerged(t *testing.T, what, names string, steps []UndoStep, mustBeAfter, mustBeBefore bool) {
	t.Helper()
	if names != mergeBefore && names != mergeAfter || mustBeAfter && names != mergeAfter || mustBeBefore && names != mergeBefore {
		t.Fatalf("%s: %s", what, names)
	}
	made := slices.ContainsFunc(steps, func(s UndoStep) bool { return s.Undoes == "" && !s.Undone })
	if made != (names == mergeAfter) {
		t.Fatalf("%s: %s and %+v", what, names, steps)
	}
}

// takeBack takes the step back after the crash.
func takeBack(t *testing.T, what string, v *Vault, names string, steps []UndoStep) {
	t.Helper()
	if names != mergeAfter {
		return
	}
	if _, err := v.Undo(t.Context(), "", true); err != nil {
		t.Fatalf("%s: %v, %+v", what, err, steps)
	}
	if got := namesOf(v); got != mergeBefore {
		t.Fatalf("%s: %s after the undo", what, got)
	}
}

// TestUndoFilesGo: after 30 days, beyond 20, with a rotation, and never before.
func TestUndoFilesGo(t *testing.T) {
	r := newRig(t)
	v := r.create()
	files := func() int { return len(r.store.undoFiles()) }
	for i := range MaxUndos + 3 {
		r.clock.t = r.clock.t.Add(time.Minute)
		r.merge(v, incoming(t, totp("N", fmt.Sprint(i), fmt.Sprintf("a secret of its own %d", i))), MergeOptions{Apply: true})
	}
	if n := files(); n != MaxUndos {
		t.Fatalf("%d undo files", n)
	}
	steps, err := v.Undos()
	if err != nil || len(steps) != MaxUndos || !steps[0].Made.Equal(r.clock.t) {
		t.Fatalf("%d steps, %v", len(steps), err)
	}
	r.clock.t = r.clock.t.Add(UndoFor - time.Minute)
	if steps, _ = v.Undos(); len(steps) != 2 {
		t.Fatalf("%d steps after 30 days", len(steps))
	}
	r.add(v, totp("Any", "write", "a secret 1234567890"))
	if n := files(); n != 2 {
		t.Fatalf("%d undo files after 30 days and a write", n)
	}
	// What a revoked token's session opens goes in the same step.
	extra := newSoftKey(t, tokens.P256, tokens.ClassSession)
	if _, err := v.AddSlot(t.Context(), extra.slot("extra", ""), Way{}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.RevokeSlot(t.Context(), "extra", Way{}); err != nil {
		t.Fatal(err)
	}
	if n := files(); n != 0 {
		t.Fatalf("%d undo files after a revocation", n)
	}
	_, err = v.Undo(t.Context(), steps[0].ID, true)
	wantErr(t, err, ErrNotFound)
}

// TestUndoFilesAreKeptAside: a restore over an unusable vault deletes nothing, and
// leaves nothing that is of the vault before.
func TestUndoFilesAreKeptAside(t *testing.T) {
	r := newRig(t)
	v := r.create()
	r.merge(v, incoming(t, totp("N", "n", "another secret 12345")), MergeOptions{Apply: true})
	data := r.backup()
	v.Lock()
	for _, g := range r.store.earlier() {
		writeAll(t, filepath.Join(r.store.generations(), g.name), []byte("damaged"))
	}
	writeAll(t, r.store.vaultFile(), []byte("damaged"))
	v, err := r.store.Restore(t.Context(), data, passwordWay(), "")
	if err != nil {
		t.Fatal(err)
	}
	if steps, err := v.Undos(); err != nil || len(steps) != 0 {
		t.Errorf("%+v, %v", steps, err)
	}
	kept, err := filepath.Glob(filepath.Join(r.aside()[0], "*.undo"))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept aside: %q, %v", kept, err)
	}
}

// TestUndoAfterANewTouchKey: what was sealed to a touch key that is gone is not
// put back as an account that nothing opens.
func TestUndoAfterANewTouchKey(t *testing.T) {
	r := newRig(t)
	v := r.create()
	r.add(v, touchTOTP("T", "t", "secret-of-account-tt"))
	m := r.merge(v, incoming(t, totp("T", "t", "another secret 12345")), MergeOptions{Apply: true, Decide: map[int]Decision{1: {Action: MergeReplace}}})
	if err := v.SetRecovery(t.Context(), []byte("another recovery password"), Way{}); err != nil {
		t.Fatal(err)
	}
	u, err := v.Undo(t.Context(), m.Undo, true)
	if err != nil || actions(u) != "leave" || !strings.Contains(u.Items[0].Reason, "touch key that is no more") {
		t.Fatalf("%+v, %v", u, err)
	}
	r.checkNames(v, "T:t")
}

// TestUndoKeepsWhatCameLater: an undo takes back its step and no more.
func TestUndoKeepsWhatCameLater(t *testing.T) {
	r := newRig(t)
	v := r.create()
	old := r.add(v, totp("Bank", "me", "secret-of-the-bank-1"), totp("Mail", "me", "secret-of-the-mail-1"), totp("Gone", "me", "secret-of-the-gone-1"), hotpAt("Count", "me", "secret-of-the-count-", 5))
	in := incoming(t, totp("Bank", "me", "another secret 12345"), totp("Mail", "renamed", "secret-of-the-mail-1"), totp("Gone", "me", "a third secret 123456"),
		totp("New", "one", "a fourth secret 12345"), totp("New", "two", "a fifth secret 123456"), hotpAt("Count", "me", "secret-of-the-count-", 9))
	m := r.merge(v, in, MergeOptions{Apply: true, Decide: map[int]Decision{1: {Action: MergeReplace}, 2: {Action: MergeReplace}, 3: {Action: MergeReplace}}})
	r.checkNames(v, "Bank:me Mail:renamed Gone:me Count:me New:one New:two")
	edit := func(id, name string) {
		t.Helper()
		if _, err := v.Edit(t.Context(), id, func(a *Account) error { a.Name = name; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	edit(old[1].ID, "renamed once more")        // stays so
	edit(m.Items[3].Account.ID, "edited since") // is removed all the same, and said so
	if _, err := v.Remove(t.Context(), m.Items[2].Account.ID); err != nil {
		t.Fatal(err)
	}
	later := r.add(v, totp("Later", "me", "a sixth secret 123456"))
	u, err := v.Undo(t.Context(), m.Undo, false)
	if err != nil || actions(u) != "restore leave restore remove remove" {
		t.Fatalf("%q %+v, %v", actions(u), u.Items, err)
	}
	for i, part := range []string{"", "changed since, and stays: name", "removed since", "changed since: name", ""} {
		if !strings.Contains(u.Items[i].Reason, part) {
			t.Errorf("item %d: %q", i+1, u.Items[i].Reason)
		}
	}
	if u, err = v.Undo(t.Context(), m.Undo, true); err != nil {
		t.Fatal(err)
	}
	r.checkNames(v, "Bank:me Mail:renamed once more Gone:me Count:me Later:me")
	for i, want := range map[int]string{0: "secret-of-the-bank-1", 2: "secret-of-the-gone-1"} {
		if got := r.secret(v, v.Accounts()[i].ID, Way{}); got != want || v.Accounts()[i].ID != old[i].ID {
			t.Errorf("%q, %+v", got, v.Accounts()[i])
		}
	}
	if a, _ := v.Account(old[3].ID); a.Counter != 9 {
		t.Errorf("a counter went back to %d", a.Counter)
	}
	if _, err := v.Account(later[0].ID); err != nil {
		t.Error(err)
	}
	// The undo can be taken back itself.
	if _, err := v.Undo(t.Context(), u.Undo, true); err != nil {
		t.Fatal(err)
	}
	r.checkNames(v, "Bank:me Mail:renamed once more Count:me New:edited since New:two Later:me")
}

// TestMergeManyIsQuick: a plan of 10,000 accounts against 10,000 others, and its
// taking back.
func TestMergeManyIsQuick(t *testing.T) {
	r := newRig(t)
	v := r.create()
	many := func(from, n int) []NewAccount {
		var out []NewAccount
		for i := range n {
			out = append(out, totp("Service", fmt.Sprintf("user%05d", from+i), fmt.Sprintf("secret-%013d", from+i)))
		}
		return out
	}
	r.add(v, many(0, 10_000)...)
	before := r.show(v)
	in := incoming(t, many(5_000, 10_000)...)
	began := time.Now()
	m := r.merge(v, in, MergeOptions{})
	t.Logf("the plan took %v", time.Since(began))
	if m.Count(MergeSame) != 5_000 || m.Count(MergeAdd) != 5_000 {
		t.Fatalf("%d same, %d new", m.Count(MergeSame), m.Count(MergeAdd))
	}
	began = time.Now()
	m = r.merge(v, in, MergeOptions{Apply: true})
	t.Logf("applying it took %v", time.Since(began))
	began = time.Now()
	undoneOnce(t, v, m)
	t.Logf("taking it back took %v", time.Since(began))
	equal(t, "after the undo", r.show(v), before)
	steps, err := v.Undos()
	if err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if _, err := v.Undo(t.Context(), steps[0].ID, true); err != nil {
		t.Fatal(err)
	}
	t.Logf("taking that back took %v", time.Since(began))
	if n := len(v.Accounts()); n != 15_000 {
		t.Fatalf("%d accounts", n)
	}
}

// TestMergeLosesNothing merges random lists with random decisions: what no
// decision names is there afterwards as it was, all secrets that come in are
// there or were left out by name, and an undo brings the state of before.
func TestMergeLosesNothing(t *testing.T) {
	for seed := range uint64(60 / faultStride) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := newRig(t)
		v := r.create()
		secretOf := func() string { return fmt.Sprintf("secret-%013d", rnd.IntN(12)) }
		account := func() NewAccount {
			n := totp([]string{"", "A", "a", "B"}[rnd.IntN(4)], fmt.Sprintf("n%d", rnd.IntN(4)), secretOf())
			switch rnd.IntN(4) {
			case 0:
				n.Digits = 8
			case 1:
				n.Type, n.Counter = "hotp", uint64(rnd.IntN(20))
			case 2:
				n.Class = tokens.ClassTouch
			}
			return n
		}
		var have, come []NewAccount
		for range rnd.IntN(10) {
			have = append(have, account())
		}
		for range 1 + rnd.IntN(10) {
			come = append(come, account())
		}
		r.add(v, have...)
		before := r.full(v)
		in := incoming(t, come...)
		plan := r.merge(v, in, MergeOptions{})
		o := MergeOptions{Apply: true, Decide: map[int]Decision{}, Keep: true, Source: "a file"}
		touched := map[string]bool{} // ids that a decision names
		for i, it := range plan.Items {
			if rnd.IntN(3) > 0 {
				continue
			}
			d := Decision{Action: []string{MergeReplace, MergeRename, MergeLeave}[rnd.IntN(3)]}
			if d.Action == MergeReplace && (it.Existing == nil || touched[it.Existing.ID]) {
				continue
			}
			if d.Action == MergeRename {
				d.Name = fmt.Sprintf("new name %d", i)
				if it.Action == MergeSame && (it.Existing == nil || touched[it.Existing.ID]) {
					continue
				}
			}
			if it.Existing != nil && d.Action != MergeLeave {
				touched[it.Existing.ID] = true
			}
			o.Decide[i+1] = d
		}
		m, err := v.Merge(t.Context(), in, o)
		if err != nil {
			t.Fatalf("seed %d: %v\n%+v", seed, err, o)
		}
		after := r.full(v)
		for id, was := range before {
			if now, ok := after[id]; !touched[id] && (!ok || !sameButCounter(was, now)) {
				t.Fatalf("seed %d: an account that nobody named: %q, now %q", seed, was, now)
			}
		}
		for i, it := range m.Items {
			if it.Action == MergeLeave || it.Action == MergeKeep {
				continue
			}
			want := string(come[i].Secret)
			if !slices.ContainsFunc(r.secrets(after), func(s string) bool { return s == want }) {
				t.Fatalf("seed %d: the secret of item %d (%s) is lost", seed, i+1, it.Action)
			}
		}
		// Once more: nothing is left to be added.
		again := r.merge(v, in, MergeOptions{Keep: true})
		if n := again.Count(MergeAdd); n > m.Count(MergeLeave) {
			t.Fatalf("seed %d: %d are added the second time: %+v", seed, n, again.Items)
		}
		if m.Undo == "" {
			continue
		}
		undoneOnce(t, v, m)
		back := r.full(v)
		if len(back) != len(before) {
			t.Fatalf("seed %d: %d accounts after the undo, %d before", seed, len(back), len(before))
		}
		for id, was := range before {
			if !sameButCounter(was, back[id]) {
				t.Fatalf("seed %d: %q before, %q after the undo", seed, was, back[id])
			}
		}
	}
}

// full is what a vault has, with all secrets, by id: "settings|counter|secret".
func (r *rig) full(v *Vault) map[string]string {
	r.tb.Helper()
	out := map[string]string{}
	for _, a := range v.Accounts() {
		out[a.ID] = fmt.Sprintf("%s:%s %s %s %d %d|%d|%s", a.Issuer, a.Name, a.Class, a.Type, a.Digits, a.Period, a.Counter, r.secret(v, a.ID, r.key.way("one")))
	}
	return out
}

func (r *rig) secrets(full map[string]string) (out []string) {
	for _, s := range full {
		out = append(out, s[strings.LastIndexByte(s, '|')+1:])
	}
	return out
}

func sameButCounter(a, b string) bool {
	pa, pb := strings.Split(a, "|"), strings.Split(b, "|")
	return len(pa) == 3 && len(pb) == 3 && pa[0] == pb[0] && pa[2] == pb[2]
}
