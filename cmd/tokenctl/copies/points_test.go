package copies_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/cmd/tokenctl/copies"
)

const pointPrefix = "tokend-checkpoint-1."

// pointed runs a job that has a checkpoint.
func (s *set) pointed(dir string, wanted int, point string, change ...func(*copies.Job)) copies.Result {
	s.t.Helper()
	j := s.job(dir, wanted)
	j.Point, j.PointPrefix = pointPrefix+point, pointPrefix
	for _, c := range change {
		c(&j)
	}
	res := s.runner(copies.OS{}).Run(s.t.Context(), j)
	if res.State != copies.OK {
		s.t.Fatalf("%+v", res)
	}
	return res
}

// TestPoints: each copy that is written has the newest checkpoint beside it, the
// newest copy has those that came since as well, and they go with their copy.
func TestPoints(t *testing.T) {
	s, dir := newSet(t, 3), t.TempDir()
	beside := func(i int) string {
		data, err := os.ReadFile(filepath.Join(dir, s.order[i].Name+".checkpoint"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.ReplaceAll(strings.ReplaceAll(string(data), pointPrefix, ""), "\n", " ")
	}
	all := s.order
	for i := range all {
		s.order = all[:i+1]
		s.pointed(dir, 1, fmt.Sprint("a", i))
		s.pointed(dir, 1, fmt.Sprint("b", i))
		s.pointed(dir, 1, fmt.Sprint("b", i)) // no news
	}
	for i := range all {
		if got, want := beside(i), fmt.Sprintf("a%d b%d ", i, i); got != want {
			t.Errorf("beside backup %d there is %q, want %q", i, got, want)
		}
	}
	res := s.pointed(dir, 1, "c", func(j *copies.Job) { j.Keep = 1 })
	if len(res.Removed) != 2 || beside(0) != "" || beside(1) != "" || beside(2) != "a2 b2 c " {
		t.Errorf("removed %v; left %q, %q, %q", res.Removed, beside(0), beside(1), beside(2))
	}
	if names, err := (copies.OS{}).ReadDir(dir); err != nil || len(names) != 2 {
		t.Errorf("the folder has %v, %v", names, err)
	}
	if info, err := os.Stat(filepath.Join(dir, all[2].Name+".checkpoint")); err != nil || shared(info) {
		t.Errorf("%v, %v", info, err)
	}
}

// TestPointsOfOthers: what is named alike and is not tokend's is left alone, when the
// copy comes and when it goes; the copy is as good.
func TestPointsOfOthers(t *testing.T) {
	s, dir := newSet(t, 2), t.TempDir()
	path := filepath.Join(dir, s.order[0].Name+".checkpoint")
	if err := os.WriteFile(path, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := s.order
	s.order = all[:1]
	if res := s.pointed(dir, 1, "x"); !strings.Contains(res.NoPoint, "not of tokend") || len(res.Written) != 1 {
		t.Errorf("%+v", res)
	}
	s.order = all
	if res := s.pointed(dir, 1, "y", func(j *copies.Job) { j.Keep = 1 }); res.NoPoint != "" || len(res.Removed) != 1 {
		t.Errorf("%+v", res)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "somebody's" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestPointsAreBounded: the oldest checkpoints go where there are very many.
func TestPointsAreBounded(t *testing.T) {
	s, dir := newSet(t, 1), t.TempDir()
	long := strings.Repeat("x", 20_000)
	for i := range 6 {
		s.pointed(dir, 1, fmt.Sprint(long, i))
	}
	data, err := os.ReadFile(filepath.Join(dir, s.order[0].Name+".checkpoint"))
	if err != nil || len(data) > 64<<10 || strings.Count(string(data), "\n") != 3 || !strings.HasSuffix(string(data), "5\n") || !strings.HasPrefix(string(data), pointPrefix) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}
