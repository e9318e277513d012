//go:build unix

package helper

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

func checkOwnership(path string, file, dir fs.FileInfo) error {
	if file.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("the token helper %s is not executable", path)
	}
	if file.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("the token helper %s can be changed by everybody", path)
	}
	if dir.Mode().Perm()&0o002 != 0 && dir.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("the token helper's folder can be changed by everybody: %s", path)
	}
	if st, ok := file.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("the token helper %s belongs to another user", path)
	}
	return nil
}
