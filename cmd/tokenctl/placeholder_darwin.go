package main

import (
	"io/fs"
	"syscall"
)

// dataless is SF_DATALESS: the content is in iCloud or with another file provider.
const dataless = 0x40000000

// isPlaceholder says that a file's content is not on this machine.
func isPlaceholder(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Flags&dataless != 0
}
