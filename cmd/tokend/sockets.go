package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"slices"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper"
)

// noSockets is the setting with which the daemon starts its helpers itself.
const noSockets = "none"

// usualHelperSockets is where the units that are installed have the helper's sockets.
const usualHelperSockets = "/run/tokend-helper"

// helperUser is who runs the helper there.
const helperUser = "tokend-helper"

// helperSockets is the folder of the sockets at which systemd starts the helper;
// empty where the daemon starts it itself.
func (s *service) helperSockets() string {
	switch c := s.config.HelperSockets; {
	case c == noSockets:
		return ""
	case c != "":
		return c
	case s.mode != daemon.ModeSystem:
		return ""
	}
	if info, err := os.Stat(usualHelperSockets); err != nil || !info.IsDir() {
		return ""
	}
	return usualHelperSockets
}

// socketKinds are the kinds of token whose devices the helper at the sockets alone
// may use. A software token needs none.
func socketKinds() []tokens.Kind { return []tokens.Kind{tokens.KindPIV, tokens.KindFIDO2} }

// addDrivers gives the daemon its drivers: helpers at sockets, where there are any, and
// helpers of its own where the program was found.
func (s *service) addDrivers(c *daemon.Config, path, sockets string) {
	c.Drivers, c.Watchers = map[tokens.Kind]tokens.Driver{}, map[tokens.Kind]tokens.Watcher{}
	drive := func(kind tokens.Kind, sockets string) {
		h := helper.Config{Path: path, Sockets: sockets, Kind: kind, Observe: s.observeToken(kind), Running: &s.helpers, Guard: secret.Do, Log: s.log}
		if kind == tokens.KindFIDO2 {
			h.Devices = s.config.Tokens.FIDO2Devices
		}
		driver := helper.New(h)
		c.Drivers[kind] = driver
		if kind != tokens.KindSoft {
			// A helper that was built without a kind says so when it is to watch it.
			c.Watchers[kind] = driver
		}
	}
	if path != "" || sockets != "" {
		for _, kind := range socketKinds() {
			drive(kind, sockets)
		}
	}
	if path != "" {
		drive(tokens.KindSoft, "")
	}
}

// greet asks the helpers at the sockets what they are, and returns what all of them
// are kept from.
func greet(sockets string) ([]string, error) {
	var held []string
	for i, kind := range socketKinds() {
		hello, err := helper.New(helper.Config{Sockets: sockets, Kind: kind}).Hello(context.Background())
		if err != nil {
			return nil, fmt.Errorf("the token helper at %s, for %s tokens: %w", sockets, kind, reason(err))
		}
		if i == 0 {
			held = append([]string{}, hello.Confined...)
		}
		held = slices.DeleteFunc(held, func(word string) bool { return !slices.Contains(hello.Confined, word) })
	}
	return held, nil
}

// helperUID is the uid of the user who runs the helper at the sockets; empty where
// there is no such user. Nothing that he runs is a client of the vault.
func helperUID() string {
	u, err := user.Lookup(helperUser)
	if err != nil {
		return ""
	}
	return u.Uid
}
