//go:build !windows

package main

import "syscall"

// detached lets a child outlive this program's terminal.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
