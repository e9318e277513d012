//go:build unix

package copies

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// SyncDir puts a folder's entries on the disk. Some file systems of sticks and
// networks cannot, and then nothing more can be done.
func (OS) SyncDir(path string) error {
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

// Volume is the device number, as tokend tells it.
func (OS) Volume(path string) string {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return ""
	}
	return strconv.FormatUint(uint64(st.Dev), 16)
}

// Mount is the nearest folder, from a folder upwards, above which is another file
// system; empty where that is not known.
func (o OS) Mount(path string) string {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	volume := o.Volume(path)
	for volume != "" {
		up := filepath.Dir(path)
		if up == path || o.Volume(up) != volume {
			return path
		}
		path = up
	}
	return ""
}

// tryLock takes a file, or says that another run has it.
func tryLock(f *os.File) (taken bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	return err == nil, err
}
