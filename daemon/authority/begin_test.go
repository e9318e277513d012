package authority

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// TestUnborn: a registry that a crash left before there was an authority in it is
// none, and is taken for the next; one with anything in it is not.
func TestUnborn(t *testing.T) {
	dir := t.TempDir()
	file := store.KeyFile(filepath.Join(dir, "key"))
	if err := file.Create(); err != nil {
		t.Fatal(err)
	}
	key, err := file.Key()
	if err != nil {
		t.Fatal(err)
	}
	defer key.Wipe()
	o := Options{Dir: filepath.Join(dir, "authority"), Key: file, Audit: &journal{}}
	s, err := store.Create(o.Dir, key, buckets()...)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, store.ErrNone) {
		t.Errorf("Open: %v", err)
	}
	a, err := Create("owner", o, Profile{Name: "Example"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create("owner", o, Profile{Name: "Another"}); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second: %v", err)
	}
	if a, err = Open(o); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	if p, err := a.Profile(); err != nil || p.Name != "Example" {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestPlan: a plan says what an import does, and stores and tells nothing.
func TestPlan(t *testing.T) {
	r := newRig(t)
	r.fobs(fob.HOTP, "A1")
	told := len(r.told.entries)
	page := []Seed{seedOf("A1", fob.HOTP), seedOf("B2", fob.HOTP), seedOf("b2", fob.HOTP), {Serial: "C3"}}
	plan, err := r.PlanFobs(page)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Fob("B2"); err == nil || len(r.told.entries) != told {
		t.Errorf("the plan was carried out: %v", err)
	}
	rows, err := r.ImportFobs("owner", page)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []RowOutcome{RowSame, RowAdded, RowConflict, RowRefused} {
		if plan[i] != rows[i] || rows[i].Outcome != want {
			t.Errorf("row %d: planned %+v, became %+v, not %s", i, plan[i], rows[i], want)
		}
	}
}
