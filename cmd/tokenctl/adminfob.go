package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) adminFobCommand() *cobra.Command {
	return group("fob", "Hardware OTP tokens: import, assign, lose, replace, resync",
		c.fobImportCommand(), c.fobListCommand(), c.fobShowCommand(), c.fobAssignCommand(), c.fobUnassignCommand(),
		c.fobStateCommand("enable", "Accept the passcodes of a fob again", "a lost one that was found, too", "enable", c.enableFob),
		c.fobStateCommand("disable", "Accept no passcode of a fob until it is enabled", "its users keep it", "disable", c.disableFob),
		c.fobStateCommand("lost", "Note that a fob is lost: no passcode of it is accepted", "the policy may then offer its user another way", "note the loss of", c.loseFob),
		c.fobReplaceCommand(), c.fobResyncCommand(), c.fobBurnCommand())
}

func (c *cli) enableFob(ctx context.Context, id string) (ipc.Fob, error) {
	return c.daemon().EnableFob(ctx, id)
}

func (c *cli) disableFob(ctx context.Context, id string) (ipc.Fob, error) {
	return c.daemon().DisableFob(ctx, id)
}

func (c *cli) loseFob(ctx context.Context, id string) (ipc.Fob, error) {
	return c.daemon().LoseFob(ctx, id)
}

// fobDocument is the --json form of one fob.
type fobDocument struct {
	Version int     `json:"version"`
	Fob     ipc.Fob `json:"fob"`
}

// sayFob answers with a fob after it was changed.
func (c *cli) sayFob(f ipc.Fob) error {
	return c.answer(fobDocument{ipc.Version, f}, func() { c.show(fobTable([]ipc.Fob{f})) })
}

func fobTypeText(t ipc.FobType) string {
	switch t {
	case ipc.FobHOTP:
		return "by counter (HOTP)"
	case ipc.FobTOTP:
		return "by time (TOTP)"
	case ipc.FobYubico:
		return "Yubico OTP"
	}
	return string(t)
}

func fobUsers(f ipc.Fob) string {
	names := make([]string, len(f.Users))
	for i, u := range f.Users {
		names[i] = u.Name
	}
	return words(names)
}

func fobTable(fobs []ipc.Fob) *table {
	t := &table{head: []string{"SERIAL", "TYPE", "STATE", "USERS", "USED", "MODEL"}, flexible: 5}
	for _, f := range fobs {
		used := "never"
		if !f.Used.IsZero() {
			used = f.Used.Local().Format("2006-01-02 15:04")
		}
		t.add(f.Serial, string(f.Type), string(f.State), fobUsers(f), used, modelText(f))
	}
	return t
}

func modelText(f ipc.Fob) string {
	if f.Maker != "" && f.Model != "" {
		return f.Maker + ", " + f.Model
	}
	return orDash(f.Maker + f.Model)
}

func (c *cli) fobListCommand() *cobra.Command {
	var q ipc.FobQuery
	var state string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List fobs, without their seeds", Args: noArgs,
		Long: `List fobs in the order of their serial numbers: an inventory. Seeds are never
shown. In a pipe the fields are: serial number, type, state, users, when a
passcode was last accepted, maker and model.`,
		Example: "  tokenctl admin fob list --state unassigned\n  tokenctl admin fob list --user alice",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch q.State = ipc.FobState(state); q.State {
			case "", ipc.FobUnassigned, ipc.FobActive, ipc.FobDisabled, ipc.FobLost:
			default:
				return usage(fmt.Sprintf("there is no state %q; it is unassigned, active, disabled or lost", state), adviceHelp(cmd.CommandPath())...)
			}
			fobs := []ipc.Fob{}
			for {
				page, err := c.daemon().Fobs(cmd.Context(), q)
				if err != nil {
					return deskFail("list the fobs", err)
				}
				fobs = append(fobs, page.Fobs...)
				if q.After = page.Next; q.After == "" {
					break
				}
			}
			return c.answer(ipc.FobPage{Version: ipc.Version, Fobs: fobs}, func() {
				if len(fobs) == 0 {
					c.say("there are no such fobs")
					return
				}
				c.show(fobTable(fobs))
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&q.Prefix, "prefix", "", "those whose serial numbers begin with `TEXT`")
	fl.StringVar(&q.User, "user", "", "those of this `USER`")
	fl.StringVar(&state, "state", "", "those in this `STATE`: unassigned, active, disabled or lost")
	fl.StringVar(&q.Maker, "maker", "", "those of this `MAKER`")
	return cmd
}

func (c *cli) fobShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show SERIAL", Aliases: []string{"info"}, Short: "Show a fob, without its seed", Args: named(1, "SERIAL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := c.daemon().Fob(cmd.Context(), args[0])
			if err != nil {
				return deskFailOf(subject{serial: args[0]}, "show fob "+args[0], err)
			}
			return c.answer(fobDocument{ipc.Version, f}, func() { c.showPairs(c.fobPairs(f)) })
		},
	}
}

func (c *cli) fobPairs(f ipc.Fob) *table {
	t := &table{head: []string{"", ""}, flexible: 1}
	t.add("fob", f.Serial)
	t.add("id", f.ID)
	t.add("state", string(f.State))
	t.add("users", fobUsers(f))
	t.add("type", fobTypeText(f.Type))
	switch f.Type {
	case ipc.FobYubico:
		t.add("public id", f.PublicID)
	case ipc.FobTOTP:
		t.add("passcodes", fmt.Sprintf("%d digits every %d s, %s", f.Digits, f.Period, f.Algorithm))
		if f.Drift != 0 {
			t.add("clock", plural(max(f.Drift, -f.Drift), "step")+either(f.Drift > 0, " ahead", " behind"))
		}
	case ipc.FobHOTP:
		t.add("passcodes", fmt.Sprintf("%d digits, %s", f.Digits, f.Algorithm))
		t.add("counter", strconv.FormatUint(f.Counter, 10))
	}
	t.add("model", modelText(f))
	if !f.Start.IsZero() {
		t.add("good from", f.Start.Local().Format("2006-01-02"))
	}
	if !f.Expiry.IsZero() {
		t.add("good until", f.Expiry.Local().Format("2006-01-02"))
	}
	t.add("last used", ago(c.now(), f.Used))
	if d := f.Throttled.Sub(c.now()); d > 0 {
		t.add("wrong tries", "single passcodes are not looked at for "+span(d))
	}
	t.add("added", ago(c.now(), f.Added))
	return t
}

func (c *cli) fobAssignCommand() *cobra.Command {
	return &cobra.Command{
		Use: "assign SERIAL USER", Short: "Give a fob to a user", Args: named(2, "SERIAL", "USER"),
		Long: `Give a fob to a user. It may have other users already, who share one counter,
and a user may have up to 16 fobs.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := c.daemon().AssignFob(cmd.Context(), args[0], ipc.AssignFobRequest{User: args[1]})
			if err != nil {
				return deskFailOf(subject{args[0], args[1]}, "give fob "+args[0]+" to "+args[1], err)
			}
			return c.sayFob(f)
		},
	}
}

func (c *cli) fobUnassignCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "unassign SERIAL [USER]", Short: "Take a fob from a user, or from all its users", Args: named(1, "SERIAL", "USER"),
		Long: `Take a fob from its user. Of one that has several users, say from whom, or
--all.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			doing := "take fob " + args[0] + " back"
			var r ipc.UnassignFobRequest
			switch {
			case len(args) > 1 && all:
				return usage("a user and --all were given; it is one or the other", adviceHelp(cmd.CommandPath())...)
			case len(args) > 1:
				r.User = args[1]
			case !all:
				f, err := c.daemon().Fob(cmd.Context(), args[0])
				if err != nil {
					return deskFailOf(subject{args[0], r.User}, doing, err)
				}
				if len(f.Users) > 1 {
					return usage("the fob has "+plural(len(f.Users), "user")+": "+fobUsers(f), adviceUnassign(args[0])...)
				}
			}
			f, err := c.daemon().UnassignFob(cmd.Context(), args[0], r)
			if err != nil {
				return deskFailOf(subject{args[0], r.User}, doing, err)
			}
			return c.sayFob(f)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "from all its users")
	return cmd
}

// fobStateCommand is a command that brings a fob into a state.
func (c *cli) fobStateCommand(use, short, more, doing string, call func(context.Context, string) (ipc.Fob, error)) *cobra.Command {
	return &cobra.Command{
		Use: use + " SERIAL", Short: short, Long: short + "\n(" + more + ").", Args: named(1, "SERIAL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := call(cmd.Context(), args[0])
			if err != nil {
				return deskFailOf(subject{serial: args[0]}, doing+" fob "+args[0], err)
			}
			return c.sayFob(f)
		},
	}
}

func (c *cli) fobReplaceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "replace SERIAL WITH", Short: "Give a fob's users another in its place", Args: named(2, "SERIAL", "WITH"),
		Long: `Give all users of a fob another, WITH, in its place, in one step. The old one is
noted as lost, so that no passcode of it is accepted any more; WITH must be
nobody's.`,
		Example: "  tokenctl admin fob replace 10001 10042",
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := c.daemon().ReplaceFob(cmd.Context(), args[0], ipc.ReplaceFobRequest{With: args[1]})
			if err != nil {
				return deskFailOf(ofFobs(err, "", args...), "replace fob "+args[0]+" by "+args[1], err)
			}
			return c.sayFob(f)
		},
	}
}
