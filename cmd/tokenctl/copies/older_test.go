package copies_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/tokenbridge/tokend/cmd/tokenctl/copies"
)

// Every copy is looked at, and one of the older is read: what is gone, or not as long
// as it was, is told at once, and other bytes of the same length in their turn.
func TestOlderCopies(t *testing.T) {
	s, dir := newSet(t, 6), t.TempDir()
	all := s.fill(dir)
	flip := func(c copies.Copy) {
		t.Helper()
		data, err := os.ReadFile(c.Path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(c.Path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flip(all[1])
	flip(all[2])
	if err := os.Remove(all[3].Path); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(all[4].Path, 100); err != nil {
		t.Fatal(err)
	}
	j := s.job(dir, 1)
	j.Known, j.Older = all[5:], all[:5]
	run := func() (seen []copies.Copy, lost []string) {
		t.Helper()
		res := s.runner(copies.OS{}).Run(t.Context(), j)
		if res.State != copies.OK || len(res.Removed) != 0 || len(res.Written) != 0 {
			t.Fatalf("%+v", res)
		}
		for _, l := range res.Lost {
			j.Older = slices.DeleteFunc(slices.Clone(j.Older), func(c copies.Copy) bool { return c.Path == l.Path })
			lost = append(lost, filepath.Base(l.Path)+": "+l.What)
			if _, err := os.Stat(l.Kept); l.What != "it is gone" && err != nil {
				t.Errorf("%s: what is left of it is not kept: %v", l.Path, err)
			}
		}
		return res.Seen, lost
	}
	seen, lost := run()
	if want := []string{s.order[3].Name + ": it is gone", s.order[4].Name + ": its bytes were changed"}; !slices.Equal(lost, want) {
		t.Errorf("lost: %q", lost)
	}
	if !slices.Equal(seen, []copies.Copy{all[5], all[0]}) {
		t.Errorf("read: %v", seen)
	}
	j.Older = append(slices.DeleteFunc(slices.Clone(j.Older), func(c copies.Copy) bool { return c.Path == all[0].Path }), all[0])
	changed := []string{s.order[1].Name + ": its bytes were changed", s.order[2].Name + ": its bytes were changed"}
	if _, lost := run(); !slices.Equal(lost, changed) {
		t.Errorf("in their turn: %q", lost)
	}
	if seen, lost := run(); len(lost) != 0 || !slices.Contains(seen, all[0]) {
		t.Errorf("what is whole: %v, %v", seen, lost)
	}
}

// What retention removes is no loss: neither what this run removes nor what one did
// that was killed before it could say so. What is gone besides is.
func TestOlderAndRetention(t *testing.T) {
	s, dir := newSet(t, 6), t.TempDir()
	all := s.fill(dir)
	for _, c := range []copies.Copy{all[0], all[3]} {
		if err := os.Remove(c.Path); err != nil {
			t.Fatal(err)
		}
	}
	j := s.job(dir, 1)
	j.Known, j.Older, j.Keep = all[5:], all[:5], 3
	res := s.runner(copies.OS{}).Run(t.Context(), j)
	slices.Sort(res.Removed)
	if !slices.Equal(res.Removed, []string{all[0].Path, all[1].Path}) || len(res.Lost) != 1 || res.Lost[0].Path != all[3].Path {
		t.Errorf("removed: %v; lost: %v", res.Removed, res.Lost)
	}
	if len(res.Seen) != 2 || res.Seen[1] != all[2] {
		t.Errorf("read: %v", res.Seen)
	}
}

// A copy that cannot be looked at is no lost one, and no success.
func TestOlderCannotBeRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a folder in the place of a file is the case on Unix")
	}
	s, dir := newSet(t, 3), t.TempDir()
	all := s.fill(dir)
	if err := os.Remove(all[1].Path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(all[1].Path, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, order := range [][]copies.Copy{{all[0], all[1]}, {all[1], all[0]}} {
		j := s.job(dir, 1)
		j.Known, j.Older = all[2:], order
		res := s.runner(copies.OS{}).Run(t.Context(), j)
		if want := "the older copy " + s.order[1].Name + " cannot be looked at: not a regular file"; res.State != copies.Failing || res.Reason != want || len(res.Lost) != 0 {
			t.Errorf("%+v", res)
		}
	}
}
