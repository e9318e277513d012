//go:build unix

package helper

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

func checkFile(path string, file fs.FileInfo) error {
	if file.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("the token helper %s is not executable", path)
	}
	if file.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("the token helper %s can be changed by everybody", path)
	}
	if strangers(file) {
		return fmt.Errorf("the token helper %s belongs to another user", path)
	}
	return nil
}

func checkFolder(path string, dir fs.FileInfo) error {
	if dir.Mode().Perm()&0o002 != 0 && dir.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("the token helper's folder %s can be changed by everybody", path)
	}
	if strangers(dir) {
		return fmt.Errorf("the token helper's folder %s belongs to another user", path)
	}
	return nil
}

func strangers(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid != 0 && int(st.Uid) != os.Geteuid()
}
