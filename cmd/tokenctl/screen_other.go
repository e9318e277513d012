//go:build !linux && !darwin

package main

import (
	"context"

	"github.com/tokenbridge/tokend/ipc"
)

// takeScreenshot: there is no program of the system's that makes one without its
// user at the keys.
func (c *cli) takeScreenshot(context.Context) (string, error) {
	return "", ipc.Errorf(ipc.Unsupported, "tokenctl cannot take one on this system")
}
