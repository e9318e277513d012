package main

import (
	"github.com/tokenbridge/tokend/ipc/client"
	"github.com/tokenbridge/tokend/ipc/local"
)

// dialClient is the daemon behind a socket; an empty path means the usual ones,
// the user's own first.
func dialClient(socket string) daemon { return client.New(socket) }

// ownSocket is the socket that the user named; empty for the usual ones.
func (c *cli) ownSocket() string {
	if c.socket != "" {
		return c.socket
	}
	return c.getenv(local.EnvSocket)
}

// socketPath is the socket that is spoken with, or would be.
func (c *cli) socketPath() string {
	if c.socket != "" {
		return c.socket
	}
	if cl, ok := c.conn.(*client.Client); ok && cl.Socket() != "" {
		return cl.Socket()
	}
	if paths := local.Candidates(); len(paths) > 0 {
		return paths[0]
	}
	return ""
}
