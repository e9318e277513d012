//go:build linux || darwin

package secret

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// allocate maps pages for n bytes. The limit on locked memory is the user's
// (RLIMIT_MEMLOCK); beyond it the pages are used unlocked.
func allocate(n int) (region, error) {
	size := os.Getpagesize()
	size *= (n + size - 1) / size
	p, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return region{}, fmt.Errorf("cannot map memory: %w", err)
	}
	keepPrivate(p)
	return region{pages: p, locked: unix.Mlock(p) == nil}, nil
}

func unlock(r region) {
	if r.locked {
		_ = unix.Munlock(r.pages)
	}
}

func release(r region) { _ = unix.Munmap(r.pages) }
