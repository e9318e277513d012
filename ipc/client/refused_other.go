//go:build !unix

package client

// refused is for sockets that outlive their daemon; pipes do not.
func refused(error) bool { return false }
