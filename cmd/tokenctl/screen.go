package main

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"

	"github.com/tokenbridge/tokend/ipc"
)

// screenshot is a picture of the screen, made by the desktop with its user's
// consent. The file that the desktop left is removed: there are secrets in it.
func (c *cli) screenshot(ctx context.Context) ([]byte, error) {
	const doing = "take a screenshot"
	c.say("asking the desktop for a picture of the screen; it may ask you to agree …")
	path, err := c.takeScreenshot(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, cancelled("cancelled")
		}
		return nil, failWith(doing, err, adviceScreenshot(ipc.KindOf(err))...)
	}
	data, readErr := c.readFile(path, maxPictureFile, false)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		c.say("warning: the screenshot cannot be removed, and there may be secrets in it: %s", clean(path))
	}
	return data, readErr
}

// localPath is the path in a file: address.
func localPath(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "file" || u.Host != "" && u.Host != "localhost" || !filepath.IsAbs(u.Path) {
		return "", ipc.Errorf(ipc.Internal, "the desktop did not tell of a file on this machine")
	}
	return filepath.Clean(u.Path), nil
}
