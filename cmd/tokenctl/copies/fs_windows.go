package copies

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// SyncDir has nothing to do: the system keeps names durable by itself.
func (OS) SyncDir(string) error { return nil }

// maxVolume bounds the path of a volume's root, in UTF-16 units.
const maxVolume = 1024

// Volume is the volume's own name, as tokend tells it.
func (OS) Volume(path string) string {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return ""
	}
	var root [maxVolume]uint16
	if err := windows.GetVolumePathName(name, &root[0], maxVolume); err != nil {
		return strings.ToUpper(filepath.VolumeName(path))
	}
	var id [maxVolume]uint16
	if err := windows.GetVolumeNameForVolumeMountPoint(&root[0], &id[0], maxVolume); err != nil {
		return strings.ToUpper(windows.UTF16ToString(root[:])) // a share, or a drive that stands for a folder
	}
	return windows.UTF16ToString(id[:])
}

// Mount is the volume's name, too.
func (o OS) Mount(path string) string { return o.Volume(path) }

// tryLock takes a file, or says that another run has it.
func tryLock(f *os.File) (taken bool, err error) {
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}
