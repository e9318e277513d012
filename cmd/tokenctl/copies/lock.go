package copies

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

const lockPause = 50 * time.Millisecond

// Lock waits until no other run has the file, which the system lets go of when a
// run ends, however it ends.
func Lock(ctx context.Context, path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		taken, err := tryLock(f)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if taken {
			return f, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(lockPause):
		}
	}
}
