package store

import (
	"errors"
	"fmt"
	"os"
)

// ReplaceFile makes text the contents of a file in the authority's folder, mode
// 0600, in one step: after a crash it has the old contents or the new. It fails
// with ErrFull where there is no space, and the old contents are kept. One call at a
// time for a path.
func ReplaceFile(path string, text []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot write %s: %w", path, translate(err))
		}
	}()
	made := path + ".new" // one that a crash has left is written over
	if err = writeSynced(made, text); err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		_ = os.Remove(made)
		return err
	}
	return syncFolderOf(path)
}

// writeSynced makes a file of mode 0600 and has it on disk when it returns.
func writeSynced(path string, text []byte) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}
