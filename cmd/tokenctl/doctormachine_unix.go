//go:build unix

package main

import "golang.org/x/sys/unix"

// mayConnect fails where the caller may not write to a socket, or not look into its
// folder.
func mayConnect(socket string) error { return unix.Access(socket, unix.W_OK) }
