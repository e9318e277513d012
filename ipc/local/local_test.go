package local

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestCandidates(t *testing.T) {
	t.Setenv(EnvSocket, "/some/where.sock")
	if got := Candidates(); len(got) != 1 || got[0] != "/some/where.sock" {
		t.Errorf("with %s set: %q", EnvSocket, got)
	}
	t.Setenv(EnvSocket, "")
	got := Candidates()
	if got[len(got)-1] != SystemSocket() {
		t.Errorf("the system's socket is not the last: %q", got)
	}
	user, err := UserSocket()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, c := range got {
		found = found || c == user
	}
	if !found {
		t.Errorf("the user's socket %s is not looked for: %q", user, got)
	}
}

func TestPathErrorsNameTheLimit(t *testing.T) {
	err := error(&PathTooLongError{Path: filepath.Join(os.TempDir(), "x"), Max: 3})
	var e *PathTooLongError
	if !errors.As(err, &e) || e.Max != 3 || err.Error() == "" {
		t.Error(err)
	}
}
