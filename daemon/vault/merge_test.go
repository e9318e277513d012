package vault

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
)

func totp(issuer, name, secret string) NewAccount {
	return NewAccount{Account: Account{Issuer: issuer, Name: name, Class: tokens.ClassSession}, Secret: []byte(secret)}
}

func touchTOTP(issuer, name, secret string) NewAccount {
	n := totp(issuer, name, secret)
	n.Class = tokens.ClassTouch
	return n
}

func hotpAt(issuer, name, secret string, counter uint64) NewAccount {
	n := totp(issuer, name, secret)
	n.Type, n.Counter = "hotp", counter
	return n
}

func incoming(tb testing.TB, list ...NewAccount) *Incoming {
	tb.Helper()
	in, err := NewIncoming(list)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(in.Wipe)
	return in
}

func (r *rig) merge(v *Vault, in *Incoming, o MergeOptions) Merged {
	r.tb.Helper()
	m, err := v.Merge(r.tb.Context(), in, o)
	if err != nil {
		r.tb.Fatal(err)
	}
	return m
}

// actions is a plan in short: "add same conflict".
func actions(m Merged) string {
	var out []string
	for _, it := range m.Items {
		out = append(out, it.Action)
	}
	return strings.Join(out, " ")
}

// show is what a vault has, in order, with secrets where the session opens them.
func (r *rig) show(v *Vault) []string {
	r.tb.Helper()
	var out []string
	for _, a := range v.Accounts() {
		s := "?"
		if a.Class == tokens.ClassSession && !a.Inactive {
			s = r.secret(v, a.ID, Way{})
		}
		out = append(out, fmt.Sprintf("%s %s:%s %s %s %d %d %d %q", a.ID, a.Issuer, a.Name, a.Class, a.Type, a.Digits, a.Period, a.Counter, s))
	}
	return out
}

func equal(tb testing.TB, what string, got, want []string) {
	tb.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		tb.Fatalf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMergeImport(t *testing.T) {
	eight := totp("Bank", "me", "secret-of-the-bank-1")
	eight.Digits = 8
	for name, tc := range map[string]struct {
		in   []NewAccount
		o    MergeOptions
		want string
		why  []string // a part of each item's reason
		// after is issuer:name of all accounts when it is applied, "undecided" when
		// that fails.
		after string
	}{
		"new":               {in: []NewAccount{totp("New", "me", "another secret 12345")}, want: "add", after: "Bank:me Mail:me Count:me New:me"},
		"same":              {in: []NewAccount{totp("Bank", "me", "secret-of-the-bank-1")}, want: "same", after: "Bank:me Mail:me Count:me"},
		"known as":          {in: []NewAccount{totp("Bank!", "I", "secret-of-the-bank-1")}, want: "same", why: []string{"Bank!: I is known as Bank: me"}, after: "Bank:me Mail:me Count:me"},
		"other secret":      {in: []NewAccount{totp("bank", "ME", "another secret 12345")}, want: "conflict", after: "undecided"},
		"other digits":      {in: []NewAccount{eight}, want: "conflict", why: []string{"the secret is the same"}, after: "undecided"},
		"row twice":         {in: []NewAccount{totp("N", "n", "another secret 12345"), totp("n", "N", "another secret 12345")}, want: "add same", why: []string{"", "same as item 1"}, after: "Bank:me Mail:me Count:me N:n"},
		"secret twice":      {in: []NewAccount{totp("N", "n", "another secret 12345"), totp("N", "m", "another secret 12345")}, want: "add add", after: "Bank:me Mail:me Count:me N:n N:m"},
		"name twice":        {in: []NewAccount{totp("N", "n", "another secret 12345"), totp("N", "n", "a third secret 123456")}, want: "add add", why: []string{"", "item 1 is called the same"}, after: "Bank:me Mail:me Count:me N:n N:n"},
		"counter":           {in: []NewAccount{hotpAt("Count", "me", "secret-of-the-count-", 9)}, want: "same", why: []string{"its counter goes from 5 to 9"}, after: "Bank:me Mail:me Count:me"},
		"lower counter":     {in: []NewAccount{hotpAt("Count", "me", "secret-of-the-count-", 3)}, want: "same", after: "Bank:me Mail:me Count:me"},
		"keep":              {in: []NewAccount{totp("Bank", "me", "another secret 12345")}, o: MergeOptions{Keep: true}, want: "keep", after: "Bank:me Mail:me Count:me"},
		"replace":           {in: []NewAccount{totp("bank", "I", "another secret 12345"), totp("Bank", "me", "a third secret 123456")}, o: decide(2, MergeReplace, "", ""), want: "add replace", after: "Bank:me Mail:me Count:me bank:I"},
		"replace a name":    {in: []NewAccount{totp("Bank", "new", "secret-of-the-bank-1")}, o: decide(1, MergeReplace, "", ""), want: "replace", after: "Bank:new Mail:me Count:me"},
		"rename":            {in: []NewAccount{totp("Bank", "me", "another secret 12345")}, o: decide(1, MergeRename, "Bank", "second"), want: "rename", after: "Bank:me Mail:me Count:me Bank:second"},
		"rename the same":   {in: []NewAccount{totp("Bank", "me", "secret-of-the-bank-1")}, o: decide(1, MergeRename, "Bank", "mine"), want: "rename", after: "Bank:mine Mail:me Count:me"},
		"rename settings":   {in: []NewAccount{eight}, o: decide(1, MergeRename, "Bank", "eight"), want: "rename", after: "Bank:me Mail:me Count:me Bank:eight"},
		"leave":             {in: []NewAccount{totp("New", "me", "another secret 12345")}, o: decide(1, MergeLeave, "", ""), want: "leave", after: "Bank:me Mail:me Count:me"},
		"leave a conflict":  {in: []NewAccount{totp("Bank", "me", "another secret 12345")}, o: decide(1, MergeLeave, "", ""), want: "leave", after: "Bank:me Mail:me Count:me"},
		"keep what is same": {in: []NewAccount{totp("Bank", "me", "secret-of-the-bank-1")}, o: decide(1, MergeKeep, "", ""), want: "same", after: "Bank:me Mail:me Count:me"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			v := r.create()
			r.add(v, totp("Bank", "me", "secret-of-the-bank-1"), totp("Mail", "me", "secret-of-the-mail-1"), hotpAt("Count", "me", "secret-of-the-count-", 5))
			before := r.show(v)
			in := incoming(t, tc.in...)
			m := r.merge(v, in, tc.o)
			if got := actions(m); got != tc.want {
				t.Fatalf("planned %q, want %q: %+v", got, tc.want, m.Items)
			}
			for i, part := range tc.why {
				if !strings.Contains(m.Items[i].Reason, part) {
					t.Errorf("item %d: %q, not %q", i+1, m.Items[i].Reason, part)
				}
			}
			equal(t, "after the plan", r.show(v), before)
			tc.o.Apply, tc.o.Source = true, "a file"
			m, err := v.Merge(t.Context(), in, tc.o)
			if tc.after == "undecided" {
				wantErr(t, err, ErrUndecided)
				equal(t, "after the refusal", r.show(v), before)
				return
			}
			if err != nil || !m.Applied {
				t.Fatalf("%+v, %v", m, err)
			}
			r.checkNames(v, tc.after)
			r.reopen()
			again := r.unlock(passwordWay())
			r.checkNames(again, tc.after)
			undoAndCompare(r, again, m, before)
		})
	}
}

func decide(n int, action, issuer, name string) MergeOptions {
	return MergeOptions{Decide: map[int]Decision{n: {action, issuer, name}}}
}

func (r *rig) checkNames(v *Vault, want string) {
	r.tb.Helper()
	var got []string
	for _, a := range v.Accounts() {
		got = append(got, a.Issuer+":"+a.Name)
	}
	if strings.Join(got, " ") != want {
		r.tb.Fatalf("%q, want %q", got, want)
	}
}

// undoAndCompare takes a merge back: all is as before but for raised counters.
func undoAndCompare(r *rig, v *Vault, m Merged, before []string) {
	r.tb.Helper()
	if m.Undo == "" {
		_, err := v.Undo(r.tb.Context(), "", false)
		wantErr(r.tb, err, ErrNotFound)
		return
	}
	u, err := v.Undo(r.tb.Context(), m.Undo, false)
	if err != nil || u.Applied || u.Source != "a file" {
		r.tb.Fatalf("%+v, %v", u, err)
	}
	if u, err = v.Undo(r.tb.Context(), "", true); err != nil || !u.Applied {
		r.tb.Fatalf("%+v, %v", u, err)
	}
	equal(r.tb, "after the undo", r.show(v), before)
	// Once more there is nothing to take back.
	again, err := v.Undo(r.tb.Context(), m.Undo, true)
	if err != nil || again.Undo != "" {
		r.tb.Fatalf("%+v, %v", again, err)
	}
	equal(r.tb, "after the second undo", r.show(v), before)
	_, err = v.Undo(r.tb.Context(), "", false)
	wantErr(r.tb, err, ErrNotFound)
}

func TestMergeRefusesBadDecisions(t *testing.T) {
	r := newRig(t)
	v := r.create()
	r.add(v, totp("Bank", "me", "secret-of-the-bank-1"), totp("Mail", "me", "secret-of-the-mail-1"))
	in := incoming(t, totp("Bank", "me", "another secret 12345"), totp("New", "me", "a third secret 123456"),
		totp("Bank", "me", "a fourth secret 12345"))
	for name, tc := range map[string]struct {
		o    MergeOptions
		want error
	}{
		"number 0":       {decide(0, MergeKeep, "", ""), ErrInvalid},
		"number 4":       {decide(4, MergeKeep, "", ""), ErrInvalid},
		"no such":        {decide(1, "burn", "", ""), ErrInvalid},
		"add":            {decide(1, MergeAdd, "", ""), ErrInvalid},
		"keep nothing":   {decide(2, MergeKeep, "", ""), ErrInvalid},
		"replace none":   {decide(2, MergeReplace, "", ""), ErrInvalid},
		"no name":        {decide(1, MergeRename, "", ""), ErrInvalid},
		"control":        {decide(1, MergeRename, "", "a\nb"), ErrInvalid},
		"not UTF-8":      {decide(1, MergeRename, "", "a\xff"), ErrInvalid},
		"long":           {decide(1, MergeRename, "", strings.Repeat("x", 257)), ErrInvalid},
		"taken":          {decide(1, MergeRename, "mail", "ME"), ErrNameTaken},
		"own name":       {decide(1, MergeRename, "Bank", "me"), ErrNameTaken},
		"of another add": {decide(1, MergeRename, "New", "me"), ErrNameTaken},
		"both replace": {MergeOptions{Decide: map[int]Decision{1: {Action: MergeReplace}, 3: {Action: MergeReplace}}},
			ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			before := r.show(v)
			tc.o.Apply = true
			_, err := v.Merge(t.Context(), in, tc.o)
			wantErr(t, err, tc.want)
			var item *ItemError
			if !errors.As(err, &item) {
				t.Errorf("%v names no item", err)
			}
			equal(t, "afterwards", r.show(v), before)
		})
	}
	for name, n := range map[string]NewAccount{
		"control": totp("a\x00", "b", "c"), "empty": totp("", "", "c"), "no secret": totp("", "b", ""), "long": totp("", "b", strings.Repeat("x", 513)),
	} {
		if _, err := NewIncoming([]NewAccount{n}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (r *rig) openBackup(v *Vault, data []byte, w Way) *Incoming {
	r.tb.Helper()
	in, err := v.OpenBackup(r.tb.Context(), data, w, "")
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(in.Wipe)
	return in
}

// TestMergeTwoDevices: one vault restored on a second machine, then changed on
// both. What both have is known without a touch, whatever it is called by now.
func TestMergeTwoDevices(t *testing.T) {
	one := newRig(t)
	v1 := one.create()
	first := one.add(v1, totp("A", "a", "secret-of-account-aa"), touchTOTP("T", "t", "secret-of-account-tt"), hotpAt("H", "h", "secret-of-account-hh", 0),
		totp("R", "removed on one", "secret-of-account-rr"))
	two := newRig(t)
	v2, err := two.store.Restore(t.Context(), one.backup(), one.key.way("one"), "")
	if err != nil {
		t.Fatal(err)
	}
	two.key = one.key
	// One of them goes on …
	for range 3 {
		if _, err := v1.NextCounter(first[2].ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v1.Remove(t.Context(), first[3].ID); err != nil {
		t.Fatal(err)
	}
	one.add(v1, totp("N1", "new on one", "secret-of-account-n1"))
	// … and the other.
	rename := func(a *Account) error { a.Name = "renamed"; return nil }
	for _, id := range []string{first[0].ID, first[1].ID} {
		if _, err := v2.Edit(t.Context(), id, rename); err != nil {
			t.Fatal(err)
		}
	}
	for range 7 {
		if _, err := v2.NextCounter(first[2].ID); err != nil {
			t.Fatal(err)
		}
	}
	added := two.add(v2, totp("N2", "new on two", "secret-of-account-n2"), touchTOTP("T2", "new on two", "secret-of-account-t2"))
	one.key.calls[tokens.ClassTouch] = 0
	in := one.openBackup(v1, two.backup(), one.key.way("one"))
	m := one.merge(v1, in, MergeOptions{Margin: CounterMargin})
	if got := actions(m); got != "same same same add add add" || m.Touch {
		t.Fatalf("%q, touch %v: %+v", got, m.Touch, m.Items)
	}
	m = one.merge(v1, in, MergeOptions{Apply: true, Margin: CounterMargin})
	one.checkNames(v1, "A:a T:t H:h N1:new on one R:removed on one N2:new on two T2:new on two")
	if one.key.calls[tokens.ClassTouch] != 0 {
		t.Error("a touch was asked for")
	}
	for i, want := range added { // their ids stay
		if got := v1.Accounts()[5+i]; got.ID != want.ID || got.Class != want.Class {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if got := one.secret(v1, added[1].ID, one.key.way("one")); got != "secret-of-account-t2" {
		t.Errorf("a touch account that came in: %q", got)
	}
	// The restore had skipped 8, seven codes were made there.
	if a, err := v1.Account(first[2].ID); err != nil || a.Counter != 8 && a.Counter != 15 {
		t.Errorf("the larger counter is %d, %v", a.Counter, err)
	}
	// Again, both ways: all is there.
	again := one.merge(v1, one.openBackup(v1, two.backup(), passwordWay()), MergeOptions{Apply: true, Margin: CounterMargin})
	if got := actions(again); got != "same same same same same same" || again.Undo != "" {
		t.Errorf("%q, %q", got, again.Undo)
	}
	back := two.merge(v2, two.openBackup(v2, one.backup(), one.key.way("one")), MergeOptions{Apply: true})
	if got := actions(back); got != "same same same add same same same" {
		t.Errorf("%q", got)
	}
	undoneOnce(t, v1, m)
	one.checkNames(v1, "A:a T:t H:h N1:new on one")
}

func undoneOnce(t *testing.T, v *Vault, m Merged) {
	t.Helper()
	u, err := v.Undo(t.Context(), m.Undo, true)
	if err != nil || !u.Applied {
		t.Fatalf("%+v, %v", u, err)
	}
}

// TestMergeForeignVault: another vault's touch accounts are compared and taken
// over only with its touch class open.
func TestMergeForeignVault(t *testing.T) {
	other := newRig(t)
	ov := other.create()
	other.add(ov, totp("A", "a", "secret-of-account-aa"), touchTOTP("T", "t", "secret-of-account-tt"), touchTOTP("U", "u", "secret-of-account-uu"),
		hotpAt("H", "h", "secret-of-account-hh", 3))
	data := other.backup()
	check := func(t *testing.T, open func(v *Vault) *Incoming, opened bool) {
		r := newRig(t)
		v := r.create()
		r.add(v, touchTOTP("T", "t", "secret-of-account-tt"), totp("X", "x", "secret-of-account-uu"))
		in := open(v)
		m := r.merge(v, in, MergeOptions{})
		if opened {
			if got := actions(m); got != "add same same add" || m.Touch {
				t.Fatalf("%q %v: %+v", got, m.Touch, m.Items)
			}
		} else {
			if got := actions(m); got != "add conflict add add" || !m.Touch {
				t.Fatalf("%q %v", got, m.Touch)
			}
			_, err := v.Merge(t.Context(), in, MergeOptions{Apply: true})
			wantErr(t, err, ErrTouchWanted)
			if err := in.OpenTouch(t.Context(), other.key.way("one")); err != nil {
				t.Fatal(err)
			}
		}
		m = r.merge(v, in, MergeOptions{Apply: true, Margin: 8})
		if got := actions(m); got != "add same same add" || m.Items[3].Account.Counter != 11 {
			t.Fatalf("%q: %+v", got, m.Items)
		}
		r.checkNames(v, "T:t X:x A:a H:h")
		again := r.merge(v, in, MergeOptions{Apply: true, Margin: 8})
		if got := actions(again); got != "same same same same" {
			t.Errorf("again: %q", got)
		}
	}
	t.Run("password", func(t *testing.T) {
		check(t, func(v *Vault) *Incoming { return other.openBackup(v, data, passwordWay()) }, true)
	})
	t.Run("token", func(t *testing.T) {
		check(t, func(v *Vault) *Incoming { return other.openBackup(v, data, other.key.way("one")) }, false)
	})
	t.Run("no touch class here", func(t *testing.T) {
		r := newRig(t)
		v, err := r.store.Create(t.Context(), nil, []byte(testPassword))
		if err != nil {
			t.Fatal(err)
		}
		m := r.merge(v, other.openBackup(v, data, passwordWay()), MergeOptions{Apply: true})
		if a := m.Items[1]; a.Account.Class != tokens.ClassSession || !strings.Contains(a.Reason, "session class") && !strings.Contains(a.Reason, "class session") {
			t.Errorf("%+v", a)
		}
		if got := r.secret(v, m.Items[1].Account.ID, Way{}); got != "secret-of-account-tt" {
			t.Errorf("%q", got)
		}
	})
}

// TestMergeOldEpoch: a backup of before a revocation is vouched for by the pin; its
// tags are of other keys.
func TestMergeOldEpoch(t *testing.T) {
	r := newRig(t)
	v := r.create()
	extra := newSoftKey(t, tokens.P256, tokens.ClassSession)
	if _, err := v.AddSlot(t.Context(), extra.slot("extra", ""), Way{}); err != nil {
		t.Fatal(err)
	}
	r.add(v, totp("A", "a", "secret-of-account-aa"), touchTOTP("T", "t", "secret-of-account-tt"))
	old := r.backup()
	if _, err := v.RevokeSlot(t.Context(), "extra", r.key.way("one")); err != nil {
		t.Fatal(err)
	}
	m := r.merge(v, r.openBackup(v, old, r.key.way("one")), MergeOptions{})
	if got := actions(m); got != "same same" || m.Touch {
		t.Errorf("by token: %q %+v", got, m)
	}
	m = r.merge(v, r.openBackup(v, old, passwordWay()), MergeOptions{Apply: true})
	if got := actions(m); got != "same same" || strings.Contains(m.Items[1].Reason, "not compared") {
		t.Errorf("by password: %q %+v", got, m)
	}
	if _, err := v.OpenBackup(t.Context(), old, passwordWay(), strings.Repeat("0", 64)); !errors.Is(err, ErrNotVouched) {
		t.Errorf("by another signer than was asked for: %v", err)
	}
}

func TestMergeManaged(t *testing.T) {
	r := newRig(t)
	v := r.create()
	work := totp("Work", "me", "secret-of-account-ww")
	work.Kind = Managed
	r.add(v, work)
	data := r.backup()
	m := r.merge(v, r.openBackup(v, data, passwordWay()), MergeOptions{Apply: true})
	if got := actions(m); got != "same" {
		t.Errorf("its own: %q", got)
	}
	other := newRig(t)
	ov := other.create()
	m = other.merge(ov, other.openBackup(ov, data, passwordWay()), MergeOptions{Apply: true})
	if a := m.Items[0]; a.Action != MergeAdd || !a.Account.Inactive || !strings.Contains(a.Reason, "inactive: its secret is for the device") {
		t.Errorf("%+v", a)
	}
	wantErr(t, ov.Use(t.Context(), m.Items[0].Account.ID, Way{}, func([]byte) error { return nil }), ErrNoSecret)
	m = other.merge(ov, other.openBackup(ov, data, passwordWay()), MergeOptions{Apply: true})
	if got := actions(m); got != "same" {
		t.Errorf("again: %q", got)
	}
}

// TestUndoNeverLowersCounter has a counting account replaced by one that follows
// the clock, and taken back: the codes that were handed out do not come again.
func TestUndoNeverLowersCounter(t *testing.T) {
	r := newRig(t)
	v := r.create()
	r.add(v, hotpAt("Bank", "me", "12345678901234567890", 40))
	m := r.merge(v, incoming(t, totp("Bank", "me", "12345678901234567890")), MergeOptions{Source: "a file", Apply: true,
		Decide: map[int]Decision{1: {Action: MergeReplace}}})
	if a := v.Accounts()[0]; a.Type != "totp" {
		t.Fatalf("%+v", a)
	}
	plan, err := v.Undo(t.Context(), m.Undo, false)
	if err != nil || plan.Items[0].Account.Counter != 40 {
		t.Errorf("the plan: %+v, %v", plan, err)
	}
	u, err := v.Undo(t.Context(), m.Undo, true)
	if err != nil {
		t.Fatal(err)
	}
	if a := v.Accounts()[0]; a.Type != "hotp" || a.Counter != 40 {
		t.Errorf("after the undo: %+v", a)
	}
	if _, err := v.Undo(t.Context(), u.Undo, true); err != nil { // and once more to and fro
		t.Fatal(err)
	}
	if _, err := v.Undo(t.Context(), m.Undo, true); err != nil {
		t.Fatal(err)
	}
	if a := v.Accounts()[0]; a.Type != "hotp" || a.Counter != 40 {
		t.Errorf("after another undo: %+v", a)
	}
}
