package main

import "golang.org/x/sys/windows"

// harden keeps the system from writing the program's memory into a crash report.
func harden() error {
	windows.SetErrorMode(windows.SEM_FAILCRITICALERRORS | windows.SEM_NOGPFAULTERRORBOX)
	return nil
}
