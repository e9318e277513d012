//go:build unix

package pinentry

import (
	"os"
	"syscall"
)

// ending is the signal that asks a program to end.
func ending() os.Signal { return syscall.SIGTERM }

// noCTTY keeps a terminal that is opened from becoming the process's own.
const noCTTY = syscall.O_NOCTTY
