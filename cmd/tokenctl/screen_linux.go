package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/ipc"
)

// The screenshot portal of the desktop (XDG Desktop Portal,
// org.freedesktop.portal.Screenshot): it works under Wayland and X11 alike, and
// it is the desktop that asks its user.
const (
	portalName   = "org.freedesktop.portal.Desktop"
	portalPath   = "/org/freedesktop/portal/desktop"
	portalMethod = "org.freedesktop.portal.Screenshot.Screenshot"
	portalAnswer = "org.freedesktop.portal.Request"
)

// sessionBus is the address of the user's bus; empty where there is none. The
// library would else start a bus of its own, on which there is no desktop.
func (c *cli) sessionBus() string {
	if a := c.getenv("DBUS_SESSION_BUS_ADDRESS"); a != "" {
		return a
	}
	if dir := c.getenv("XDG_RUNTIME_DIR"); dir != "" {
		if _, err := os.Stat(dir + "/bus"); err == nil {
			return "unix:path=" + dbus.EscapeBusAddressValue(dir+"/bus")
		}
	}
	return ""
}

// takeScreenshot has the portal make one, and answers with the path of its file.
func (c *cli) takeScreenshot(ctx context.Context) (string, error) {
	address := c.sessionBus()
	if address == "" {
		return "", ipc.Errorf(ipc.Unsupported, "there is no desktop session here")
	}
	conn, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		return "", ipc.Errorf(ipc.Unsupported, "the desktop's bus cannot be reached: %v", err)
	}
	defer conn.Close()
	var random [8]byte
	_, _ = rand.Read(random[:])
	token := "tokenctl" + hex.EncodeToString(random[:])
	// The answer can come before the call returns: it is listened for first.
	sender := strings.ReplaceAll(strings.TrimPrefix(conn.Names()[0], ":"), ".", "_")
	request := dbus.ObjectPath(portalPath + "/request/" + sender + "/" + token)
	if err := conn.AddMatchSignalContext(ctx, dbus.WithMatchObjectPath(request), dbus.WithMatchInterface(portalAnswer)); err != nil {
		return "", ipc.Errorf(ipc.Unsupported, "the desktop's bus cannot be used: %v", err)
	}
	signals := make(chan *dbus.Signal, 4)
	conn.Signal(signals)
	options := map[string]dbus.Variant{"handle_token": dbus.MakeVariant(token), "interactive": dbus.MakeVariant(false)}
	var handle dbus.ObjectPath
	err = conn.Object(portalName, portalPath).CallWithContext(ctx, portalMethod, 0, "", options).Store(&handle)
	if err != nil {
		return "", portalFailure(err)
	}
	for {
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("cannot wait for the desktop: %w", ctx.Err())
		case s, open := <-signals:
			if !open {
				return "", ipc.Errorf(ipc.Unsupported, "the desktop's bus ended")
			}
			if s.Path == request || s.Path == handle {
				return portalFile(s)
			}
		}
	}
}

// portalFile reads the portal's answer.
func portalFile(s *dbus.Signal) (string, error) {
	const done, declined = 0, 1
	var code uint32
	var results map[string]dbus.Variant
	if err := dbus.Store(s.Body, &code, &results); err != nil {
		return "", ipc.Errorf(ipc.Unsupported, "the desktop's answer cannot be read: %v", err)
	}
	switch code {
	case done:
	case declined:
		return "", ipc.Errorf(ipc.Cancelled, "it was declined on the desktop")
	default:
		return "", ipc.Errorf(ipc.Unsupported, "the desktop did not make one")
	}
	address, ok := results["uri"].Value().(string)
	if !ok {
		return "", ipc.Errorf(ipc.Unsupported, "the desktop's answer names no file")
	}
	return localPath(address)
}

func portalFailure(err error) error {
	var e dbus.Error
	if errors.As(err, &e) {
		switch e.Name {
		case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.UnknownMethod",
			"org.freedesktop.DBus.Error.UnknownInterface", "org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.NameHasNoOwner":
			return ipc.Errorf(ipc.Unsupported, "this desktop has no portal for screenshots")
		}
	}
	return ipc.Errorf(ipc.Unsupported, "the desktop's portal failed: %v", err)
}
