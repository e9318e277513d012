package main

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// detached lets a child outlive this program's console.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}
}
