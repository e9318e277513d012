//go:build !linux && !darwin && !windows

package main

import "errors"

func withoutEcho(uintptr) (hide, back func(), err error) { return nil, nil, errors.ErrUnsupported }

func flushTyped(uintptr) {}
