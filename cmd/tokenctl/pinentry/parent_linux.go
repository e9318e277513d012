package pinentry

import "syscall"

// withParent has a program told to end when the thread ends that started it.
func withParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
