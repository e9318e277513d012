//go:build unix

package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon"
)

// TestStateFolderOfOthers starts on folders in which others could put their own
// pins, vaults and links.
func TestStateFolderOfOthers(t *testing.T) {
	for name, c := range map[string]struct {
		dir  string
		mode os.FileMode
		uid  int
		want string
	}{
		"writable by all":          {".", 0o777, -1, "others can write"},
		"writable by a group":      {"pins", 0o770, -1, "others can write"},
		"another user's":           {".", 0o700, 12345, "belongs to user 12345"},
		"another user's in ours":   {"users", 0o700, 12345, "belongs to user 12345"},
		"readable, and only that":  {".", 0o755, -1, ""},
		"as this program makes it": {"users", 0o700, -1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.uid >= 0 && os.Geteuid() != 0 {
				t.Log("only root can give a folder away")
				return
			}
			state := filepath.Join(t.TempDir(), "state")
			dir := filepath.Join(state, c.dir)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, c.mode); err != nil {
				t.Fatal(err)
			}
			if c.uid >= 0 {
				if err := os.Chown(dir, c.uid, -1); err != nil {
					t.Fatal(err)
				}
			}
			d, err := daemon.New(daemon.Config{StateDir: state, Mode: daemon.ModeSystem})
			if err == nil {
				err = d.Close()
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
