package main

import (
	"io/fs"
	"syscall"
)

// What OneDrive and its like set on a file whose content is elsewhere: reading
// would fetch it.
const (
	attributeOffline      = 0x1000
	attributeRecallOnOpen = 0x40000
	attributeRecallOnData = 0x400000
)

// isPlaceholder says that a file's content is not on this machine.
func isPlaceholder(info fs.FileInfo) bool {
	d, ok := info.Sys().(*syscall.Win32FileAttributeData)
	return ok && d.FileAttributes&(attributeOffline|attributeRecallOnOpen|attributeRecallOnData) != 0
}
