package main

import (
	"context"
	"os"
	"os/exec"

	"github.com/tokenbridge/tokend/ipc"
)

// takeScreenshot has the system's own program make one. macOS asks whether the
// terminal may record the screen, and gives an empty desktop until it may.
func (c *cli) takeScreenshot(ctx context.Context) (string, error) {
	f, err := os.CreateTemp("", "tokenctl-*.png") // mode 0600
	if err != nil {
		return "", ipc.Errorf(ipc.Internal, "no file can be made for it: %v", plain(err))
	}
	name := f.Name()
	if err := f.Close(); err != nil {
		return "", ipc.Errorf(ipc.Internal, "no file can be made for it: %v", plain(err))
	}
	if err := exec.CommandContext(ctx, "/usr/sbin/screencapture", "-x", name).Run(); err != nil {
		_ = os.Remove(name)
		return "", ipc.Errorf(ipc.Unsupported, "screencapture failed: %v", err)
	}
	return name, nil
}
