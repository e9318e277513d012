package daemon_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/ipc"
)

// kept is a daemon with a vault on a clock that the test moves.
type kept struct {
	*daemon.Daemon
	t     *testing.T
	clock *clock
	state string
	who   ipc.Principal
	token string
}

// startKept waits for the first backup, of the vault as it is. One that came while
// the vault was being made would be followed by another: then it starts anew.
func startKept(t *testing.T) *kept {
	t.Helper()
	for {
		k := &kept{t: t, clock: newClock(), who: caller("1000"), state: filepath.Join(t.TempDir(), "state")}
		k.Daemon = start(t, func(cfg *daemon.Config) { cfg.Clock, cfg.StateDir = k.clock.clock(), k.state })
		k.token = initSoft(t, k.Daemon, k.who).Token.ID
		if st := k.until("the first backup", func(st ipc.BackupStatus) bool { return st.Spooled == 1 }); !st.Pending {
			return k
		}
	}
}

func (k *kept) spool() string { return filepath.Join(k.state, "users", "1000", "backups") }

func (k *kept) add(names ...string) {
	k.t.Helper()
	for _, name := range names {
		add(k.t, k.Daemon, k.who, "otpauth://totp/Ex:"+name+"?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Ex")
	}
}

func (k *kept) status() ipc.BackupStatus {
	k.t.Helper()
	st, err := k.BackupStatus(k.t.Context(), k.who)
	if err != nil {
		k.t.Fatal(err)
	}
	return st
}

// until waits for a status.
func (k *kept) until(what string, is func(ipc.BackupStatus) bool) ipc.BackupStatus {
	k.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		st := k.status()
		if is(st) {
			return st
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("%s: not within a minute: %+v", what, st)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (k *kept) run() ipc.BackupRun {
	k.t.Helper()
	run, err := k.PlanBackupRun(k.t.Context(), k.who, ipc.BackupRunRequest{})
	if err != nil {
		k.t.Fatal(err)
	}
	return run
}

func (k *kept) unlock() {
	k.t.Helper()
	if _, err := k.Unlock(k.t.Context(), k.who, ipc.UnlockRequest{Auth: ipc.Auth{Token: k.token, PIN: secretOf(passphrase)}}); err != nil {
		k.t.Fatal(err)
	}
}

// content opens a backup with the recovery password.
func (k *kept) content(data []byte) *archive.Contents {
	k.t.Helper()
	a, err := archive.Parse(data)
	if err != nil {
		k.t.Fatal(err)
	}
	c, err := a.OpenPassword([]byte(recovery))
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

func problem(st ipc.BackupStatus, code string) *ipc.BackupProblem {
	for i := range st.Problems {
		if st.Problems[i].Code == code {
			return &st.Problems[i]
		}
	}
	return nil
}

func TestBackupFollowsAChange(t *testing.T) {
	k := startKept(t)
	k.until("the first backup", func(st ipc.BackupStatus) bool { return st.Spooled == 1 && !st.Pending && st.Opened != nil })
	k.add("alice")
	if st := k.status(); !st.Pending || st.Newest.Accounts != 0 {
		t.Errorf("right after a change: %+v", st)
	}
	k.clock.pass(31 * time.Second)
	st := k.until("the second", func(st ipc.BackupStatus) bool { return st.Spooled == 2 && st.Opened.SHA256 == st.Newest.SHA256 })
	if st.Newest.Accounts != 1 || st.Pending {
		t.Errorf("%+v", st)
	}
	b, err := k.SpooledBackup(t.Context(), k.who, ipc.SpooledBackupRequest{SHA256: st.Newest.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	if c := k.content(b.Data); len(c.Accounts) != 1 || c.Accounts[0].Name != "alice" {
		t.Errorf("it holds %+v", c.Accounts)
	}
	if _, err := k.SpooledBackup(t.Context(), caller("1001"), ipc.SpooledBackupRequest{SHA256: st.Newest.SHA256}); ipc.KindOf(err) != ipc.NoVault {
		t.Errorf("another user got %v", err)
	}
}

// Who copies backups is told of one that the daemon made by itself, once there is
// somewhere to copy it to; not of the one that he made by asking.
func TestBackupDueIsTold(t *testing.T) {
	k := startKept(t)
	k.until("the first backup", func(st ipc.BackupStatus) bool { return st.Spooled == 1 && !st.Pending })
	s := listen(t, k.Daemon, k.who)
	due := func() (n int) { // told before an event that comes after
		if err := k.Lock(t.Context(), k.who); err != nil {
			t.Fatal(err)
		}
		k.unlock()
		for e := range s.events {
			switch e.Type {
			case ipc.EventBackupDue:
				n++
			case ipc.EventUnlocked:
				return n
			}
		}
		return n
	}
	change := func(name string, spooled int) {
		t.Helper()
		k.add(name)
		k.clock.pass(31 * time.Second)
		k.until(name, func(st ipc.BackupStatus) bool { return st.Spooled == spooled && !st.Pending })
	}
	change("alice", 2)
	if n := due(); n != 0 {
		t.Errorf("told %d times with nowhere to copy to", n)
	}
	if _, err := k.AddDestination(t.Context(), k.who, ipc.AddDestinationRequest{Path: "/media/stick"}); err != nil {
		t.Fatal(err)
	}
	k.add("bob")
	k.run()
	if n := due(); n != 0 {
		t.Errorf("told %d times of a backup that was asked for", n)
	}
	k.add("carol")
	k.clock.pass(31 * time.Second)
	if e := s.next(t, ipc.EventBackupDue); e.Detail != "" {
		t.Errorf("%+v", e)
	}
}

// A backup is made while the vault is locked, and opened when it is unlocked.
func TestBackupWhileLocked(t *testing.T) {
	k := startKept(t)
	k.until("the first backup", func(st ipc.BackupStatus) bool { return st.Spooled == 1 && !st.Pending && st.Opened != nil })
	k.add("alice")
	if err := k.Lock(t.Context(), k.who); err != nil {
		t.Fatal(err)
	}
	k.clock.pass(31 * time.Second)
	st := k.until("one while locked", func(st ipc.BackupStatus) bool { return st.Spooled == 2 })
	if !st.Newest.Opened.IsZero() || st.Newest.Accounts != 1 || st.Opened == nil || st.Opened.Generation >= st.Newest.Generation {
		t.Errorf("while locked: %+v", st)
	}
	k.unlock()
	k.until("opening it", func(st ipc.BackupStatus) bool { return st.Opened.SHA256 == st.Newest.SHA256 })
}

// Daily the newest backup is looked at and mended, and what a crash left undone is
// done.
func TestBackupDaily(t *testing.T) {
	k := startKept(t)
	k.until("the first backup", func(st ipc.BackupStatus) bool { return st.Spooled == 1 && !st.Pending && st.Opened != nil })
	list, err := filepath.Glob(filepath.Join(k.spool(), "*.tokend"))
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	good, err := os.ReadFile(list[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(list[0], 0); err != nil {
		t.Fatal(err)
	}
	k.clock.pass(25 * time.Hour)
	deadline := time.Now().Add(time.Minute)
	for {
		if got, err := os.ReadFile(list[0]); err == nil && bytes.Equal(got, good) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the damaged backup was not mended within a minute")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestDropInAccounts(t *testing.T) {
	k := startKept(t)
	k.add("a", "b", "c", "d", "e", "f", "g", "h", "i")
	before := k.run().Backups[0].SHA256
	list, err := k.Accounts(t.Context(), k.who)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range list.Accounts[:4] { // in small steps, each backed up
		if _, err := k.RemoveAccount(t.Context(), k.who, a.ID, ipc.RemoveAccountRequest{Confirm: a.ID}); err != nil {
			t.Fatal(err)
		}
		k.clock.pass(time.Minute)
		k.run()
		if st := k.status(); (st.Drop != nil) != (i == 3) {
			t.Fatalf("after %d: %+v", i+1, st.Drop)
		}
	}
	st := k.status()
	if st.OK || problem(st, ipc.BackupDropped) == nil || st.Drop.Had != 9 || st.Drop.Has != 5 || st.Drop.Before != before {
		t.Fatalf("%+v", st)
	}
	d, err := k.AddDestination(t.Context(), k.who, ipc.AddDestinationRequest{Path: "/backups"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 { // however much comes after it
		k.add(fmt.Sprint("x", i, "x"))
		x := k.run()
		if p := x.Destinations[0]; p.Destination.ID != d.ID || !slices.Contains(p.Wanted, before) || !slices.Contains(p.Protected, before) {
			t.Fatalf("after %d more it is not protected: %+v", i, p)
		}
		if i == 2 {
			break
		}
	}
	if _, err := k.AgreeToDrop(t.Context(), k.who, ipc.AgreeToDropRequest{Before: strings.Repeat("0", 64)}); ipc.KindOf(err) != ipc.NotFound {
		t.Errorf("agreeing to another: %v", err)
	}
	if st, err = k.AgreeToDrop(t.Context(), k.who, ipc.AgreeToDropRequest{Before: before}); err != nil || st.Drop != nil || problem(st, ipc.BackupDropped) != nil {
		t.Errorf("%+v, %v", st, err)
	}
	k.add("z")
	k.run()
	if st := k.status(); st.Drop != nil {
		t.Errorf("the alarm came back: %+v", st.Drop)
	}
}

// HOTP counters that have run ahead go into the next run's backup.
func TestBackupHasCounters(t *testing.T) {
	k := startKept(t)
	a := add(t, k.Daemon, k.who, "otpauth://hotp/Ex:h?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Ex&counter=5")
	before := k.run().Backups[0]
	for i := range 9 {
		if _, err := k.Code(t.Context(), k.who, a.ID, ipc.CodeRequest{}); err != nil {
			t.Fatal(err)
		}
		if i == 6 && k.run().Backups[0] != before {
			t.Error("a few codes made a backup")
		}
	}
	after := k.run().Backups[0]
	b, err := k.SpooledBackup(t.Context(), k.who, ipc.SpooledBackupRequest{SHA256: after.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	if c := k.content(b.Data); after.Generation <= before.Generation || c.Accounts[0].Counter != 14 {
		t.Errorf("generation %d after %d, %+v", after.Generation, before.Generation, c.Accounts)
	}
}

// What a former recovery password opens does not stay in the spool.
func TestSpoolForgetsFormerKeys(t *testing.T) {
	k := startKept(t)
	k.add("alice")
	k.run()
	_, err := k.RotateRecovery(t.Context(), k.who, ipc.SetRecoveryRequest{
		Auth: ipc.Auth{Token: k.token, PIN: secretOf(passphrase)}, Password: secretOf("another password"),
	})
	if err != nil {
		t.Fatal(err)
	}
	k.until("the backup of the new keys", func(st ipc.BackupStatus) bool { return st.Newest.Epoch == 2 && st.Spooled == 1 })
	if list, err := filepath.Glob(filepath.Join(k.spool(), "*")); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestDestinationsAndReports(t *testing.T) {
	k := startKept(t)
	ctx := t.Context()
	if st := k.status(); st.OK || problem(st, ipc.BackupNone) == nil {
		t.Errorf("without any destination: %+v", st)
	}
	for _, bad := range []ipc.AddDestinationRequest{{Path: "relative"}, {Path: "/x", Kind: "cloud"}, {Path: "/x", Keep: -1}, {Path: "/x\x00y"}} {
		if _, err := k.AddDestination(ctx, k.who, bad); ipc.KindOf(err) != ipc.InvalidArgument {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	d, err := k.AddDestination(ctx, k.who, ipc.AddDestinationRequest{Path: "/media/stick", Kind: "removable", Elsewhere: true})
	if err != nil || d.State != ipc.DestinationNew || d.Keep != 30 || d.StaleDays != 30 {
		t.Fatalf("%+v, %v", d, err)
	}
	k.add("alice")
	run := k.run()
	want := run.Backups[0]
	if len(run.Destinations) != 1 || len(run.Destinations[0].Known) != 0 || !strings.Contains(want.Name, run.Device) || len(run.Device) != 8 {
		t.Fatalf("%+v", run)
	}
	report := func(state ipc.DestinationState, change func(*ipc.BackupRunReport)) ipc.BackupStatus {
		t.Helper()
		r := ipc.BackupRunReport{Destination: d.ID, State: state, Elsewhere: true}
		if change != nil {
			change(&r)
		}
		st, err := k.ReportBackupRun(ctx, k.who, r)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	copyOf := ipc.KnownCopy{Path: "/media/stick/" + want.Name, SHA256: want.SHA256, Bytes: want.Bytes}
	st := report(ipc.DestinationOK, func(r *ipc.BackupRunReport) { r.Seen = []ipc.KnownCopy{copyOf} })
	if !st.OK || st.Destinations[0].State != ipc.DestinationOK || st.Destinations[0].Copies != 1 || len(st.Newest.Copies) != 1 {
		t.Errorf("after a success: %+v", st)
	}
	if known := k.run().Destinations[0].Known; len(known) != 1 || known[0].Path != copyOf.Path {
		t.Errorf("known: %+v", known)
	}
	st = report(ipc.DestinationFailing, func(r *ipc.BackupRunReport) {
		r.Reason, r.Lost = "no space left on device", []ipc.LostCopy{{Path: copyOf.Path, What: "it is empty"}}
	})
	if st.OK || problem(st, ipc.BackupFailing) == nil || problem(st, ipc.BackupLost) == nil || st.Destinations[0].Copies != 0 {
		t.Errorf("while failing: %+v", st)
	}
	report(ipc.DestinationOK, func(r *ipc.BackupRunReport) { r.Seen = []ipc.KnownCopy{copyOf} })
	if st = report(ipc.DestinationAbsent, nil); !st.OK || st.Destinations[0].State != ipc.DestinationAbsent {
		t.Errorf("while absent: %+v", st)
	}
	if p := problem(st, ipc.BackupAbsent); p == nil || !strings.HasSuffix(p.Message, "plug its disk in") || p.Fix != "tokenctl backup run" {
		t.Errorf("a stick that is away: %+v", p)
	}
	// The vault's own disk is there: what was on it in a folder that is not, is gone.
	report(ipc.DestinationOK, func(r *ipc.BackupRunReport) {
		r.Seen, r.Elsewhere, r.Memory = []ipc.KnownCopy{copyOf}, false, true
	})
	if st = k.status(); problem(st, ipc.BackupSameDisk) == nil || !st.Destinations[0].Memory || st.Destinations[0].Elsewhere || problem(st, ipc.BackupInMemory).Fix != "tokenctl backup destination remove /media/stick" {
		t.Errorf("beside the vault, in memory: %+v", st)
	}
	report(ipc.DestinationOK, func(r *ipc.BackupRunReport) { r.Seen, r.Elsewhere = []ipc.KnownCopy{copyOf}, false })
	st = report(ipc.DestinationAbsent, func(r *ipc.BackupRunReport) { r.Elsewhere = false })
	if p := problem(st, ipc.BackupAbsent); p == nil || p.Fix != "mkdir -p /media/stick && tokenctl backup run" || problem(st, ipc.BackupSameDisk) != nil || problem(st, ipc.BackupNone) == nil || st.OK {
		t.Errorf("a folder that was removed: %+v", st)
	}
	report(ipc.DestinationOK, func(r *ipc.BackupRunReport) { r.Seen = []ipc.KnownCopy{copyOf} })
	report(ipc.DestinationAbsent, nil)
	k.clock.pass(31 * 24 * time.Hour)
	if st = k.status(); st.OK || problem(st, ipc.BackupIsStale) == nil {
		t.Errorf("absent for long: %+v", st)
	}
	if _, err := k.ReportBackupRun(ctx, k.who, ipc.BackupRunReport{Destination: "nope", State: ipc.DestinationOK}); ipc.KindOf(err) != ipc.NotFound {
		t.Errorf("a report on nothing: %v", err)
	}
	if _, err := k.RemoveDestination(ctx, k.who, d.ID, ipc.RemoveDestinationRequest{Confirm: "x"}); ipc.KindOf(err) != ipc.InvalidArgument {
		t.Errorf("unconfirmed: %v", err)
	}
	left, err := k.RemoveDestination(ctx, k.who, "/media/stick", ipc.RemoveDestinationRequest{Confirm: d.ID})
	if err != nil || len(left.Destinations) != 0 {
		t.Errorf("%+v, %v", left, err)
	}
	list, err := k.BackupList(ctx, k.who)
	if err != nil || !slices.ContainsFunc(list.Backups, func(b ipc.KnownBackup) bool {
		return b.SHA256 == want.SHA256 && slices.ContainsFunc(b.Copies, func(c ipc.BackupCopy) bool { return c.Path == copyOf.Path && c.Lost == "" })
	}) {
		t.Errorf("the copy that stays is forgotten: %+v, %v", list, err)
	}
}

// What is in memory is no other disk; what is gone with its folder is lost, and stays
// lost where the destination is given up.
func TestCopiesThatAreNoMore(t *testing.T) {
	for _, c := range []struct {
		name              string
		memory, elsewhere bool
		fix, lost         string
	}{
		{"a folder of the vault's disk", false, false, "mkdir -p /x/there && tokenctl backup run", "its folder is gone"},
		{"a folder in memory", true, true, "tokenctl backup destination add PATH", "its folder is gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := startKept(t)
			ctx := t.Context()
			d, err := k.AddDestination(ctx, k.who, ipc.AddDestinationRequest{Path: "/x/there", Kind: "folder", Elsewhere: c.elsewhere, Memory: c.memory})
			if err != nil || d.Elsewhere {
				t.Fatalf("%+v, %v", d, err)
			}
			b := k.run().Backups[0]
			report := func(r ipc.BackupRunReport) ipc.BackupStatus {
				t.Helper()
				r.Destination = d.ID
				st, err := k.ReportBackupRun(ctx, k.who, r)
				if err != nil {
					t.Fatal(err)
				}
				return st
			}
			st := report(ipc.BackupRunReport{State: ipc.DestinationOK, Elsewhere: c.elsewhere, Memory: c.memory, Seen: []ipc.KnownCopy{{Path: "/x/there/" + b.Name, SHA256: b.SHA256, Bytes: b.Bytes}}})
			if problem(st, ipc.BackupSameDisk) == nil || !st.OK {
				t.Errorf("while it is there: %+v", st)
			}
			st = report(ipc.BackupRunReport{State: ipc.DestinationAbsent, Reason: "the folder is not there"})
			if p := problem(st, ipc.BackupNone); p == nil || !p.Urgent || p.Fix != c.fix || st.OK {
				t.Errorf("without the folder: %+v", st)
			}
			if _, err := k.RemoveDestination(ctx, k.who, d.ID, ipc.RemoveDestinationRequest{Confirm: d.ID}); err != nil {
				t.Fatal(err)
			}
			if p := problem(k.status(), ipc.BackupNone); p == nil || !p.Urgent || p.Fix != "tokenctl backup destination add PATH" {
				t.Errorf("after it was given up: %+v", k.status())
			}
			list, err := k.BackupList(ctx, k.who)
			if err != nil {
				t.Fatal(err)
			}
			for _, known := range list.Backups {
				if known.SHA256 == b.SHA256 && (len(known.Copies) != 1 || known.Copies[0].Lost != c.lost) {
					t.Errorf("%+v", known.Copies)
				}
			}
		})
	}
}

// Every copy is looked at again, that which was read longest ago first, and the loss
// of some is told as it is.
func TestOlderCopiesAreKnown(t *testing.T) {
	k := startKept(t)
	d, err := k.AddDestination(t.Context(), k.who, ipc.AddDestinationRequest{Path: "/media/stick", Kind: "removable", Elsewhere: true})
	if err != nil {
		t.Fatal(err)
	}
	var seen []ipc.KnownCopy
	report := func(r ipc.BackupRunReport) ipc.BackupStatus {
		t.Helper()
		r.Destination, r.State, r.Elsewhere = d.ID, ipc.DestinationOK, true
		st, err := k.ReportBackupRun(t.Context(), k.who, r)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	for i := range 4 {
		k.clock.pass(time.Minute)
		k.add(fmt.Sprint("older-", i))
		b := k.run().Backups[0]
		seen = append(seen, ipc.KnownCopy{Path: "/media/stick/" + b.Name, SHA256: b.SHA256, Bytes: b.Bytes})
		list := seen[i:]
		if i == 3 {
			list = append(list, seen[0]) // read in its turn
		}
		report(ipc.BackupRunReport{Seen: list})
	}
	paths := func(list []ipc.KnownCopy) (out []string) {
		for _, c := range list {
			out = append(out, c.Path)
		}
		return out
	}
	now := k.run().Destinations[0]
	if want := paths([]ipc.KnownCopy{seen[1], seen[2], seen[0]}); !slices.Equal(paths(now.Older), want) || !slices.Equal(paths(now.Known), paths(seen[3:])) {
		t.Errorf("known: %v; older: %v, not %v", paths(now.Known), paths(now.Older), want)
	}
	st := report(ipc.BackupRunReport{Lost: []ipc.LostCopy{{Path: seen[1].Path, What: "it is gone"}, {Path: seen[2].Path, What: "it is gone"}}})
	if p := problem(st, ipc.BackupLost); p == nil || !strings.HasSuffix(p.Message, "it is gone; and 1 more") || st.Destinations[0].Copies != 2 {
		t.Errorf("two are gone: %+v, %+v", p, st.Destinations)
	}
	if left := k.run().Destinations[0].Older; !slices.Equal(paths(left), []string{seen[0].Path}) {
		t.Errorf("what is lost is looked for again: %v", left)
	}
}

// The spool is known again when the daemon's notes are lost, and a vault whose user
// asks for nothing is backed up.
func TestSpoolOutlivesTheNotes(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	who := caller("1000")
	var sums []string
	func() {
		d, err := daemon.New(daemon.Config{StateDir: state, Mode: daemon.ModeSystem, ScryptLogN: cheapLogN})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		if _, err := d.Init(t.Context(), who, ipc.InitRequest{RecoveryPassword: secretOf(recovery)}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b"} {
			add(t, d, who, "otpauth://totp/Ex:"+name+"?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
			run, err := d.PlanBackupRun(t.Context(), who, ipc.BackupRunRequest{})
			if err != nil {
				t.Fatal(err)
			}
			sums = append(sums, run.Backups[0].SHA256)
		}
		add(t, d, who, "otpauth://totp/Ex:c?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ") // not backed up when it ends
	}()
	if err := os.Remove(filepath.Join(state, "users", "1000", "daemon.json")); err != nil {
		t.Fatal(err)
	}
	d := start(t, func(cfg *daemon.Config) { cfg.StateDir = state })
	deadline := time.Now().Add(time.Minute)
	for { // nobody calls: look at the files
		list, err := filepath.Glob(filepath.Join(state, "users", "1000", "backups", "*.tokend"))
		if err == nil && len(list) == 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v, %v", list, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, sum := range sums {
		b, err := d.SpooledBackup(t.Context(), who, ipc.SpooledBackupRequest{SHA256: sum})
		if err != nil {
			t.Fatal(err)
		}
		got := sha256.Sum256(b.Data)
		if hex.EncodeToString(got[:]) != sum {
			t.Error("other bytes than before")
		}
	}
}

// While the clock was wrong a destination had its backup; set right, the clock does not
// make that count for years.
func TestStaleAfterTheClockWasSetBack(t *testing.T) {
	k := startKept(t)
	ctx := t.Context()
	d, err := k.AddDestination(ctx, k.who, ipc.AddDestinationRequest{Path: "/media/stick", Elsewhere: true})
	if err != nil {
		t.Fatal(err)
	}
	const years = 30 * 365 * 24 * time.Hour
	k.clock.jump(years, 0)
	want := k.run().Backups[0]
	_, err = k.ReportBackupRun(ctx, k.who, ipc.BackupRunReport{Destination: d.ID, State: ipc.DestinationOK, Elsewhere: true,
		Seen: []ipc.KnownCopy{{Path: "/media/stick/" + want.Name, SHA256: want.SHA256, Bytes: want.Bytes}}})
	if err != nil {
		t.Fatal(err)
	}
	k.clock.jump(-years, 0)
	k.until("that the clock was set back is seen", func(st ipc.BackupStatus) bool { return !st.Destinations[0].LastSuccess.After(k.clock.clock().Now()) })
	if st := k.status(); problem(st, ipc.BackupIsStale) != nil {
		t.Errorf("at once: %+v", st)
	}
	k.clock.pass(4 * 24 * time.Hour)
	if st := k.status(); problem(st, ipc.BackupIsStale) == nil {
		t.Errorf("four days later: %+v", st)
	}
}

// A backup that was made while the clock was wrong does not keep later ones from being
// opened.
func TestBackupsOpenAfterTheClockWasSetBack(t *testing.T) {
	k := startKept(t)
	const years = 30 * 365 * 24 * time.Hour
	has := func(what string, accounts int, opened bool) {
		t.Helper()
		k.until(what, func(st ipc.BackupStatus) bool {
			return st.Newest != nil && st.Newest.Accounts == accounts && !st.Newest.Opened.IsZero() == opened
		})
	}
	k.clock.jump(years, 0)
	k.unlock() // a clock that jumps ends the session
	k.add("alice")
	k.clock.pass(31 * time.Second)
	has("one of a time to come", 1, true)
	k.clock.jump(-years, 0)
	k.unlock()
	k.add("bob")
	if err := k.Lock(t.Context(), k.who); err != nil {
		t.Fatal(err)
	}
	k.clock.pass(31 * time.Second)
	has("one while locked", 2, false)
	k.unlock()
	has("opening it", 2, true)
}
