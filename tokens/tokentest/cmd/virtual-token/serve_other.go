//go:build !linux

package main

import (
	"context"
	"errors"
	"io"
)

func serve(context.Context, options, io.Reader, io.Writer) error {
	return errors.New("cannot run virtual tokens: vpcd, namespaces and such pseudo-terminals are there on Linux only")
}
