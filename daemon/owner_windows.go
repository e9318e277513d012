package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/tokenbridge/tokend/daemon/acl"
	"github.com/tokenbridge/tokend/ipc"
)

// makeFolder makes a folder of the state that is not there and keeps others from
// it: where its parent lies, all users may be let in by inheritance.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return acl.Protect(dir)
}

// checkOwner refuses a folder that belongs to another user, or that others can
// write to.
func checkOwner(dir string) error {
	list, err := acl.Changers(dir)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		return fmt.Errorf("others can write to %s or own it (%s)", dir, strings.Join(list, ", "))
	}
	return nil
}

// exposed says how many of the user's state folder others can read, and what mends it.
func exposed(dir string) (open int, mend string, err error) {
	list, err := acl.Readers(dir) // what is in it inherits its list
	return len(list), acl.Mending(dir), err
}

// administers says whether a caller may administer the system's daemon: the system
// and administrators, as the pipe tells of them.
func administers(p ipc.Principal) bool { return p.Admin }
