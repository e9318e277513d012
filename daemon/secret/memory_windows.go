package secret

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// allocate takes pages for n bytes. VirtualLock is bounded by the process's
// minimum working set; beyond it the pages are used unlocked.
func allocate(n int) (region, error) {
	size := os.Getpagesize()
	size *= (n + size - 1) / size
	addr, err := windows.VirtualAlloc(0, uintptr(size), windows.MEM_COMMIT|windows.MEM_RESERVE, windows.PAGE_READWRITE)
	if err != nil {
		return region{}, fmt.Errorf("cannot allocate memory: %w", err)
	}
	// The address is not of Go's heap, so the collector has no say in it; the
	// detour through a pointer to it tells vet so.
	p := *(*unsafe.Pointer)(unsafe.Pointer(&addr))
	locked := windows.VirtualLock(addr, uintptr(size)) == nil
	return region{pages: unsafe.Slice((*byte)(p), size), locked: locked}, nil
}

func unlock(r region) {
	if r.locked {
		_ = windows.VirtualUnlock(base(r), uintptr(len(r.pages)))
	}
}

func release(r region) { _ = windows.VirtualFree(base(r), 0, windows.MEM_RELEASE) }

func base(r region) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(r.pages))) }
