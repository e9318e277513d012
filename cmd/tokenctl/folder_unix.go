//go:build !windows

package main

import (
	"errors"
	"os"
	"syscall"
)

// syncFolder puts a folder's entries on the disk. Some file systems of sticks
// and networks cannot, and then nothing more can be done.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
