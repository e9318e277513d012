package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

const deviceRevokeHelp = `Take all managed accounts from one of your devices, by its name or id: one that was
lost, stolen or given away. From then on none of its codes is accepted; when it asks,
it is told, and forgets the secrets. Its vault and your other accounts in it are
another matter: where a token or a password may be in wrong hands, see
docs/recovery.md.

This device is meant only with --this. Where no other device has an account that it
has, you are asked, or say --last: then only a reactivation from a backup, or an
administrator, brings it back.`

func (c *cli) deviceRevokeCommand() *cobra.Command {
	f := &revokeOwnFlags{}
	var this bool
	cmd := &cobra.Command{
		Use: "revoke [DEVICE]", Short: "Take all managed accounts from one of your devices", Long: deviceRevokeHelp, Args: named(0, "DEVICE"),
		Example: "  tokenctl device revoke 'old phone'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if this == (len(args) > 0) {
				return usage("which device? give its name or id, or --this", adviceWhichDevice()...)
			}
			ref := ""
			if len(args) > 0 {
				ref = args[0]
			}
			return c.revokeOwn(cmd.Context(), f, ref)
		},
	}
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&f.last, "last", false, "also where no other device has an account of it")
	cmd.Flags().BoolVar(&this, "this", false, "this device itself")
	f.auth.add(cmd)
	return cmd
}

type revokeOwnFlags struct {
	auth      authFlags
	yes, last bool
}

// revokeOwn revokes a device; an empty ref is this one.
func (c *cli) revokeOwn(ctx context.Context, f *revokeOwnFlags, ref string) error {
	doing := "revoke " + either(ref == "", "this device", ref)
	doc := devicesDocument{Version: ipc.Version, Authorities: []authorityEntry{}}
	err := c.eachAuthority(ctx, &f.auth, doing, c.daemon().AskDevices, func(e *errand) error {
		found, err := findOwn(e.step.Devices, ref)
		if err != nil || found == nil {
			return err
		}
		if found.This && ref != "" {
			return failWith(doing, &ipc.Error{Kind: ipc.InvalidArgument, Message: found.Name + " is this device itself"}, adviceThisDevice()...)
		}
		if !f.yes {
			q := fmt.Sprintf("Take %s from %s?", orDash(strings.Join(found.Accounts, ", ")), orDash(found.Name))
			if err := c.confirm(ctx, q, "--yes"); err != nil {
				return err
			}
		}
		who := e.step.Authority
		if err := f.revoke(ctx, e, found); err != nil {
			return err
		}
		found.State = ipc.DeviceRevoked
		doc.Authorities = append(doc.Authorities, authorityEntry{Authority: who.Name, ID: who.ID, Devices: []ipc.OwnDevice{*found}})
		c.say("revoked %s at %s: none of its codes is accepted any more", clean(orDash(found.Name)), clean(who.Name))
		if found.This {
			return e.forget(ctx)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(doc.Authorities) == 0 {
		return failWith(doing, &ipc.Error{Kind: ipc.NotFound, Message: "you have no such device that is active"}, adviceWhichDevice()...)
	}
	return c.answer(doc, func() {})
}

// revoke revokes a device. Where that leaves an account on no device, the person is
// told which, and asked once more.
func (f *revokeOwnFlags) revoke(ctx context.Context, e *errand, d *ipc.OwnDevice) error {
	r := ipc.RevokeDeviceRequest{Device: d.ID, This: d.This, Last: f.last}
	for {
		if err := e.next(e.daemon().RevokeDevice(ctx, e.step.Conversation, r)); err != nil {
			return err
		}
		if err := e.carry(ctx); err != nil {
			return err
		}
		no := e.step.Refused
		if no == nil {
			return nil
		}
		if no.Code != "last-device" || r.Last || f.yes || !e.canAsk() {
			return e.refused()
		}
		if err := e.confirm(ctx, upperFirst(clean(no.Message))+".", "--last"); err != nil {
			return err
		}
		r.Last = true
	}
}

// forget has this device hear at once what was taken from it, so that it forgets
// the secrets.
func (e *errand) forget(ctx context.Context) error {
	err := e.next(e.daemon().AskNotices(ctx, e.about))
	if err == nil {
		err = e.put(ctx)
	}
	if err != nil {
		return failWith("forget the secrets on this device, which is revoked", err, adviceForget()...)
	}
	e.say("this device has forgotten %s of it", plural(len(e.step.Revoked), "secret"))
	return nil
}

// findOwn finds a device that is active by its id or name; an empty ref is this one.
func findOwn(devices []ipc.OwnDevice, ref string) (*ipc.OwnDevice, error) {
	var found []*ipc.OwnDevice
	for i := range devices {
		d := &devices[i]
		if d.State != ipc.DeviceActive {
			continue
		}
		if ref == "" && d.This || ref != "" && d.ID == ref {
			return d, nil
		}
		if ref != "" && strings.EqualFold(d.Name, ref) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	e := &ipc.Error{Kind: ipc.Ambiguous, Message: "several of your devices have this name"}
	for _, d := range found {
		e.Items = append(e.Items, ipc.Item{ID: d.ID, Name: d.Name, Reason: strings.Join(d.Accounts, ", ")})
	}
	return nil, failWith("", e, adviceWhichDevice()...)
}

func (c *cli) deviceCheckCommand() *cobra.Command {
	var f authFlags
	cmd := &cobra.Command{
		Use: "check", Short: "Ask whether accounts were taken from this device", Args: noArgs,
		Long: `Ask each authority whether accounts were taken from this device, and by whom: by a
new device of yours, by an administrator. Their secrets are forgotten here; the
accounts stay, inactive. Who has not done it himself should ask the authority's
contact at once.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.deviceCheck(cmd.Context(), &f) },
	}
	f.add(cmd)
	return cmd
}

func (c *cli) deviceCheck(ctx context.Context, f *authFlags) error {
	doc := devicesDocument{Version: ipc.Version, Authorities: []authorityEntry{}}
	gone := 0
	err := c.eachAuthority(ctx, f, "ask whether accounts were taken from this device", c.daemon().AskNotices, func(e *errand) error {
		s := e.step
		gone += len(s.Revoked)
		doc.Authorities = append(doc.Authorities, authorityEntry{Authority: s.Authority.Name, ID: s.Authority.ID, Revoked: s.Revoked})
		if c.json {
			return nil
		}
		for _, r := range s.Revoked {
			name := "an account that is not here any more"
			if r.Account != nil {
				name = accountName(r.Account.Issuer, r.Account.Name)
			}
			c.say("%s was taken from this device %s by %s", name, ago(c.now(), r.At), clean(orDash(r.By)))
			for _, line := range adviceTaken(r.Account, s.Authority) {
				c.say("  %s", line)
			}
		}
		return nil
	})
	if err != nil && len(doc.Authorities) == 0 {
		return err
	}
	said := c.answer(doc, func() {
		if gone == 0 {
			c.say("nothing was taken from this device")
		}
	})
	if said != nil {
		return said
	}
	return err
}
