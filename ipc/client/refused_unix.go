//go:build unix

package client

import (
	"errors"
	"syscall"
)

// refused says that a socket is left from a daemon that is gone.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
