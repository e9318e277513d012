//go:build !linux

package pinentry

import "syscall"

// withParent is nothing where the system does not tell of a parent's end.
func withParent() *syscall.SysProcAttr { return nil }
