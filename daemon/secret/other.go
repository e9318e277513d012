//go:build !linux && !darwin && !windows

package secret

import "errors"

// allocate has no locked memory to give here; the buffer is ordinary memory.
func allocate(int) (region, error) { return region{}, errors.ErrUnsupported }

func unlock(region) {}

func release(region) {}

// HardenProcess can do nothing on this system, and says so.
func HardenProcess() error { return errors.ErrUnsupported }
