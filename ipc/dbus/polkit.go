package dbus

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/ipc"
)

// What polkit is called, and the flag that lets it ask the user.
const (
	polkitName  = "org.freedesktop.PolicyKit1"
	polkitPath  = dbus.ObjectPath("/org/freedesktop/PolicyKit1/Authority")
	polkitIface = "org.freedesktop.PolicyKit1.Authority"

	polkitInteraction = uint32(1)
)

// subject is who polkit is asked about.
type subject struct {
	Kind    string
	Details dict
}

// verdict is what polkit answers.
type verdict struct {
	Authorized, Challenge bool
	Details               map[string]string
}

// authorize asks polkit whether the caller may do what changes his things. Root
// may; on a session's bus everybody is the owner, and may.
func (c *call) authorize(action string) error {
	if !c.s.cfg.System || c.who.UID == "0" {
		return nil
	}
	var flags uint32
	if c.flags&dbus.FlagAllowInteractiveAuthorization != 0 {
		flags = polkitInteraction
	}
	v, err := c.l.askPolkit(c.ctx, c.from.name, actionPrefix+action, flags)
	var answer dbus.Error
	switch {
	case c.ctx.Err() != nil:
		return c.ctx.Err()
	case errors.As(err, &answer):
		c.s.cfg.Log.Info("polkit does not answer", "action", actionPrefix+action, "err", err)
		e := ipc.Errorf(ipc.NotAuthorized, "polkit does not answer, and without it only root may do this over D-Bus")
		e.Err = err
		return e
	case err != nil:
		return err
	case v.Authorized:
		return nil
	case v.Challenge && flags == 0:
		return fault(errInteraction, "polkit wants to ask the user, and the call does not allow that")
	}
	return ipc.Errorf(ipc.NotAuthorized, "polkit does not allow this")
}

// askPolkit asks, for as long as the user needs and the caller waits.
func (l *link) askPolkit(ctx context.Context, caller, action string, flags uint32) (v verdict, err error) {
	who := dict{}
	who.set("name", caller)
	id := rand.Text()
	authority := l.conn.Object(polkitName, polkitPath)
	err = authority.CallWithContext(ctx, polkitIface+".CheckAuthorization", 0,
		subject{"system-bus-name", who}, action, map[string]string{}, flags, id).Store(&v)
	if ctx.Err() != nil && l.conn.Connected() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = authority.CallWithContext(end, polkitIface+".CancelCheckAuthorization", dbus.FlagNoReplyExpected, id).Err
	}
	return v, err
}
