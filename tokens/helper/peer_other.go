//go:build !linux

package helper

import (
	"errors"
	"fmt"
	"net"
)

// checkPeer fails: the program is started by a service manager on Linux alone.
func checkPeer(_ *net.UnixConn, path string) error {
	return fmt.Errorf("cannot tell who listens at the token helper's socket %s: %w", path, errors.ErrUnsupported)
}
