//go:build unix

package local

import (
	"fmt"
	"os"
	"strconv"

	"github.com/tokenbridge/tokend/ipc"
)

// Named is the caller that another than a socket names by his uid and his process
// (0 where it is not known): a message bus. Root and the daemon's own user are
// Admin. It fails with ErrUnidentified for the overflow uid.
func Named(uid uint32, pid int) (ipc.Principal, error) {
	return named(describeNamed(ipc.Principal{PID: pid}, uid), uid)
}

// named adds to what is known of a process whose it is.
func named(p ipc.Principal, uid uint32) (ipc.Principal, error) {
	if uid == overflowUID() {
		return ipc.Principal{}, fmt.Errorf("%w: the overflow uid %d", ErrUnidentified, uid)
	}
	p.UID = strconv.FormatUint(uint64(uid), 10)
	p.Admin = uid == 0 || uid == uint32(os.Geteuid())
	return p, nil
}
