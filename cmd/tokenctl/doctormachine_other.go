//go:build !linux

package main

import "errors"

// synchronised is not known here.
func synchronised() (bool, error) { return false, errors.ErrUnsupported }
