package copies

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"
)

// SyncDir has nothing to do: the system keeps names durable by itself.
func (OS) SyncDir(string) error { return nil }

// Volume is the volume's name, as tokend tells it.
func (OS) Volume(path string) string { return strings.ToUpper(filepath.VolumeName(path)) }

// Mount is the volume's name, too.
func (o OS) Mount(path string) string { return o.Volume(path) }

// Lock waits until no other run has the file, which the system lets go of when a
// run ends, however it ends.
func Lock(ctx context.Context, path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, windows.ERROR_LOCK_VIOLATION) && !errors.Is(err, windows.ERROR_IO_PENDING) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(lockPause):
		}
	}
}

const lockPause = 50 * time.Millisecond
