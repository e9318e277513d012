//go:build unix

package helper

import (
	"errors"
	"os"
	"syscall"
)

func rootDir() string { return "/" }

// groupOf is the process group of pid, 0 when there is no such process.
func groupOf(pid int) int {
	group, err := syscall.Getpgid(pid)
	if err != nil {
		return 0
	}
	return group
}

// killGroup kills the process and all that it started.
func killGroup(p *os.Process) error {
	// A number that is free again may belong to somebody else by now.
	if err := p.Signal(syscall.Signal(0)); err != nil {
		return err
	}
	if err := syscall.Kill(-p.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
