package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ReplaceFile makes text the contents of a file in the authority's folder, mode
// 0600, in one step: after a crash it has the old contents or the new. It fails
// with ErrFull where there is no space, and the old contents are kept.
func ReplaceFile(path string, text []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot write %s: %w", path, translate(err))
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return syncFolderOf(path)
}
