//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// rootsAlone says whether nobody but root can change a file or folder.
func rootsAlone(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 || info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("others than root can change %s: %w", path, fs.ErrPermission)
	}
	return nil
}
