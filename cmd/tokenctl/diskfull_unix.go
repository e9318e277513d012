//go:build !windows

package main

import (
	"errors"
	"syscall"
)

// isDiskFull says whether err means that no space (or quota) is left.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
