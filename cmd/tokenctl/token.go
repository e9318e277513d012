package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) tokenCommand() *cobra.Command {
	return group("token", "List, enrol, test and revoke the tokens that open the vault",
		c.tokenListCommand(), c.tokenInfoCommand(), c.tokenEnrollCommand(), c.tokenRevokeCommand(),
		c.tokenTestCommand(), c.tokenRenameCommand(), c.tokenPINCommand(), c.tokenWipeCommand())
}

func (c *cli) tokenListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List enrolled tokens and those plugged in", Args: noArgs,
		Long: `List the tokens that open the vault and those that are plugged in. In a pipe the
fields are: name, kind, enrolled or not, present or not, classes, id.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.daemon().Tokens(cmd.Context())
			if err != nil {
				return fail("list the tokens", err)
			}
			if c.json {
				return c.printJSON(list)
			}
			if len(list.Tokens) == 0 {
				c.say("no token is enrolled, and none is plugged in")
				return nil
			}
			t := &table{head: []string{"TOKEN", "KIND", "ENROLLED", "PRESENT", "CLASSES", "ID"}}
			for _, k := range list.Tokens {
				name := tokenLabel(k)
				if !c.outTTY && k.Label != "" {
					name = k.Label // a script hands it back
				}
				t.add(name, k.Kind, either(k.Enrolled, "enrolled", "not enrolled"),
					either(k.Present, "present", "not present"), orDash(strings.Join(k.Classes, ",")), k.ID)
			}
			c.show(t)
			c.sayLeftOver(list.Tokens)
			var warnings []ipc.Warning
			for _, k := range list.Tokens {
				c.sayTokenProblems(k, cmd.CommandPath(), func(w []ipc.Warning) { warnings = append(warnings, w...) })
			}
			c.warn(warnings)
			return nil
		},
	}
}

func either(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// problemText is what is wrong with a token that was named already.
func problemText(e *ipc.Error) string {
	if rest, ok := strings.CutPrefix(e.Message, "cannot use token \""); ok {
		if _, why, ok := strings.Cut(rest, "\": "); ok {
			return clean(why)
		}
	}
	return clean(e.Message)
}

// sayTokenProblems shows what is wrong with a token, for the given command; say
// shows its warnings.
func (c *cli) sayTokenProblems(t ipc.Token, command string, say func([]ipc.Warning)) {
	if t.Problem != nil {
		c.say("%s cannot be used: %s", tokenLabel(t), problemText(t.Problem))
		for _, h := range adviceOnly(c.advise(t.Problem), true) {
			if !strings.HasPrefix(h, "`"+command+"`") { // that is what runs
				c.say("  %s", clean(h))
			}
		}
	}
	for i, w := range t.Warnings {
		t.Warnings[i].Fix = adviceFix(w.Code, w.Fix, t.Serial)
	}
	say(t.Warnings)
}

const infoHelp = `Show what a token says of itself: model, PIN tries left, who vouches for it, the
keys on it. Of an enrolled token that is not plugged in, what is known of it, and
which backups it opens: name it.`

func (c *cli) tokenInfoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "info [TOKEN]", Short: "Show what a token is, and which backups it opens", Long: infoHelp, Args: named(0, "TOKEN"), ValidArgsFunction: c.completeTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			t, err := c.pickToken(cmd, args, func(t ipc.Token) bool { return t.Present })
			if err != nil {
				return fail("read the token", err)
			}
			var info ipc.TokenInfo
			err = c.announced(ctx, func(ctx context.Context) (err error) {
				info, err = c.daemon().TokenInfo(ctx, t.ID)
				return err
			})
			if err != nil {
				return fail("read "+tokenLabel(t), err)
			}
			if c.json {
				return c.printJSON(info)
			}
			c.printTokenInfo(info)
			return nil
		},
	}
}

func (c *cli) printTokenInfo(i ipc.TokenInfo) {
	t := &table{head: []string{"", ""}, flexible: 1}
	pair := func(name, value string) {
		if value != "" {
			t.add(name, value)
		}
	}
	k := i.Token
	pair("token", tokenLabel(k))
	pair("id", k.ID)
	pair("kind", k.Kind)
	pair("enrolled", either(k.Enrolled, either(k.Added.IsZero(), "yes", ago(c.now(), k.Added)), "no"))
	if k.Enrolled {
		pair("last used", ago(c.now(), k.LastUsed))
	}
	pair("plugged in", either(k.Present, either(k.Locator == "", "yes", k.Locator), "no"))
	pair("model", k.Model)
	pair("serial", k.Serial)
	pair("firmware", k.Firmware)
	pair("classes", strings.Join(k.Classes, ", "))
	if k.Present {
		c.pairPIN(i, pair)
	}
	switch {
	case k.Kind == "soft":
	case i.Attested || k.Enrolled && k.Present:
		pair("vouched for by", vouchText(i.Attested, i.AttestationOK, i.Maker))
		pair("maker's model", i.MakerModel)
	case !k.Enrolled && k.Problem == nil:
		pair("vouched for by", "not asked yet; it is when the token is enrolled")
	}
	for _, f := range i.Facts {
		// What was told before need not be told in other words.
		if f.Value != k.Firmware && f.Value != i.MakerModel && f.Name != "PIN" {
			pair(f.Name, f.Value)
		}
	}
	for _, key := range i.Keys {
		pair("key "+key.Slot, fmt.Sprintf("%s, PIN %s, touch %s%s%s", key.Algorithm, key.PINPolicy, key.TouchPolicy,
			either(key.Attested, ", attested", ""), keyUse(key)))
	}
	for _, b := range i.Backups {
		pair("opens backup", backupText(b))
	}
	c.showPairs(t)
	c.sayLeftOver([]ipc.Token{k})
	if made := strayKeys(i.Keys); len(made) > 0 {
		c.say("no vault here knows the keys in %s; if none elsewhere does: %s", slotsText(made), adviceWipeSlots(k, made))
	}
	if k.NoPIN && k.Enrolled && !slices.ContainsFunc(k.Warnings, func(w ipc.Warning) bool { return w.Code == "no-pin" }) {
		c.say("it has no PIN: whoever finds it opens the vault with it, without anything else")
	}
	c.sayTokenProblems(k, "tokenctl token info", c.warnAll)
}

// keyUse is what a key on a token is for.
func keyUse(k ipc.TokenKey) string {
	switch {
	case k.Ours:
		return ", of this vault"
	case k.Left:
		return ", left over"
	case k.Made:
		return ", made by tokend"
	}
	return ""
}

// strayKeys are the slots of keys that tokend made, for a vault that is not known
// here.
func strayKeys(keys []ipc.TokenKey) (slots []string) {
	for _, k := range keys {
		if k.Made && !k.Ours && !k.Left {
			slots = append(slots, k.Slot)
		}
	}
	return slots
}

// pairPIN tells of what guards a token that is plugged in.
func (c *cli) pairPIN(i ipc.TokenInfo, pair func(name, value string)) {
	if i.Token.NoPIN {
		pair("PIN", "not set")
		return
	}
	if i.Token.Kind == "soft" {
		return
	}
	pair("PIN tries left", tries(i.PINTries)+either(i.FactoryPIN, " (factory PIN: change it)", ""))
	if i.Token.Kind == "piv" {
		pair("PUK tries left", tries(i.PUKTries)+either(i.FactoryPUK, " (factory PUK: change it)", ""))
		pair("management key", either(i.FactoryKey, "factory default: change it", ""))
	}
}

func tries(n int) string {
	if n < 0 {
		return "not told"
	}
	return strconv.Itoa(n)
}

// pickToken is the token that args name, by label, id or serial number; without
// args the only one that fits.
func (c *cli) pickToken(cmd *cobra.Command, args []string, fits func(ipc.Token) bool) (ipc.Token, error) {
	list, err := c.daemon().Tokens(cmd.Context())
	if err != nil {
		return ipc.Token{}, err
	}
	var found []ipc.Token
	for _, t := range list.Tokens {
		switch {
		case len(args) == 0 && fits(t),
			len(args) == 1 && (t.ID == args[0] || t.Label == args[0] || t.Serial != "" && t.Serial == args[0]):
			found = append(found, t)
		}
	}
	// One that is enrolled is what a command without a name is about.
	if len(args) == 0 && len(found) > 1 {
		if known := slices.DeleteFunc(slices.Clone(found), func(t ipc.Token) bool { return !t.Enrolled }); len(known) == 1 {
			found = known
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && len(args) == 0:
		return ipc.Token{}, &ipc.Error{Kind: ipc.TokenNotPresent, Message: "no token is there that this could be done with"}
	case len(found) == 0:
		return ipc.Token{}, failWith("find the token", &ipc.Error{Kind: ipc.NotFound, Message: "no token is called " + args[0]}, adviceNoToken()...)
	}
	e := &ipc.Error{Kind: ipc.AmbiguousToken, Message: "there are several tokens; name one"}
	for _, t := range found {
		e.Items = append(e.Items, ipc.Item{ID: t.ID, Name: tokenLabel(t)})
	}
	return ipc.Token{}, failWith("choose a token", e, adviceWhichToken(cmd.CommandPath())...)
}
