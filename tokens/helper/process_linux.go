package helper

import "syscall"

// attributes gives the process a group of its own and has the kernel kill it
// when the thread that started it ends. That is a second net: the program also
// ends by itself when its standard input does.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
