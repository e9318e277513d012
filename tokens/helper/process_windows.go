package helper

import (
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// rootDir is a folder that no user's files are in.
func rootDir() string {
	if dir, err := windows.GetSystemDirectory(); err == nil {
		return dir
	}
	return `C:\`
}

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{HideWindow: true, CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW}
}

// groupOf is 0: process groups are for signals of a console there.
func groupOf(int) int { return 0 }

// killGroup kills the process, which starts no others.
func killGroup(p *os.Process) error { return p.Kill() }
