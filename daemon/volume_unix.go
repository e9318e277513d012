//go:build unix

package daemon

import (
	"strconv"
	"syscall"
)

// volumeOf names the file system that a folder is on, the same way as tokenctl
// does; empty when that is not known.
func volumeOf(dir string) string {
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return ""
	}
	return strconv.FormatUint(uint64(st.Dev), 16)
}
