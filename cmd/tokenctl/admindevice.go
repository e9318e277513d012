package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) adminDeviceCommand() *cobra.Command {
	return group("device", "The devices that have users' managed accounts", c.userDeviceListCommand(), c.userDeviceRevokeCommand())
}

// deviceDocument is the --json form of one device.
type deviceDocument struct {
	Version int            `json:"version"`
	Device  ipc.UserDevice `json:"device"`
}

func (c *cli) userDeviceListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list USER", Aliases: []string{"ls"}, Short: "List a user's devices", Args: named(1, "USER"),
		Long: `List a user's devices, revoked ones too. In a pipe the fields are: id, name (the
device's own word), state, accounts, activated first, heard of last.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := c.daemon().UserDevices(cmd.Context(), ipc.UserRef{User: args[0]})
			if err != nil {
				return deskFailOf(subject{user: args[0]}, "list the devices of "+args[0], err)
			}
			return c.answer(list, func() {
				if len(list.Devices) == 0 {
					c.say("%s has no devices", clean(args[0]))
					return
				}
				t := &table{head: []string{"ID", "NAME", "STATE", "ACCOUNTS", "FIRST", "LAST"}, flexible: 1, below: []int{4, 5}}
				for _, d := range list.Devices {
					t.add(d.ID, orDash(d.Name), string(d.State), words(accountNames(d)), ago(c.now(), d.First), ago(c.now(), d.Last))
				}
				c.show(t)
			})
		},
	}
}

// deviceText is a device, whose it is and what it has.
func deviceText(d ipc.UserDevice) string {
	has := "which has none"
	if names := accountNames(d); len(names) > 0 {
		has = words(names)
	}
	return fmt.Sprintf("%s of %s (%s)", either(d.Name == "", "device "+d.ID, clean(d.Name)), clean(d.User), clean(has))
}

func accountNames(d ipc.UserDevice) []string {
	var out []string
	for _, a := range d.Accounts {
		out = append(out, a.Name)
	}
	return out
}

func (c *cli) userDeviceRevokeCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "Take all managed accounts from a device", Args: named(1, "ID"),
		Long: `Take all managed accounts from a device that is lost, stolen or given away: from
now on none of its codes is accepted. The device is told when it asks. The user
gets his accounts back on another by "tokenctl reactivate", or by an activation.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			const doing = "revoke the device"
			if !yes {
				d, err := c.daemon().UserDevice(cmd.Context(), args[0])
				if err != nil {
					return deskFail(doing, err)
				}
				if err := c.confirm(cmd.Context(), fmt.Sprintf("Take all managed accounts from %s?", deviceText(d)), "--yes"); err != nil {
					return fail(doing, err)
				}
			}
			d, err := c.daemon().RevokeUserDevice(cmd.Context(), args[0])
			if err != nil {
				return deskFail(doing, err)
			}
			return c.answer(deviceDocument{ipc.Version, d}, func() {
				c.say("revoked %s of %s: none of its codes is accepted any more", either(d.Name == "", "device "+d.ID, clean(d.Name)), clean(d.User))
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
