package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show how daemon, vault, tokens and backups are", Args: noArgs,
		Long: `Show which daemon answers, how the vault is and when it locks, the tokens, the
recovery password and the last backup, and what is weak, each with the command
that mends it.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := c.daemon().Status(cmd.Context())
			if err != nil {
				return c.noStatus(cmd.Context(), err)
			}
			if c.json {
				return c.printJSON(st)
			}
			c.showPairs(c.statusTable(st))
			c.sayVaultProblem(st.Vault)
			for _, t := range st.Tokens {
				if t.Problem != nil {
					c.say("%s cannot be used: %s", tokenLabel(t), problemText(t.Problem))
				}
			}
			c.warn(st.Warnings)
			return nil
		},
	}
}

// noStatus is that no status came. A daemon that does not answer may not start for what
// it reads.
func (c *cli) noStatus(ctx context.Context, err error) error {
	const doing = "read the status"
	if e := asError(ctx, err); e.Kind == ipc.Unreachable {
		if path := brokenConfig(ctx, c.ownSocket() == "" && thisMachine().installed()); path != "" {
			return failWith(doing, err, append(adviceBrokenConfig(path), c.advise(e)...)...)
		}
	}
	return fail(doing, err)
}

func (c *cli) statusTable(st ipc.Status) *table {
	t := &table{head: []string{"", ""}, flexible: 1}
	t.add("daemon", fmt.Sprintf("tokend %s, %s, process %d", st.Daemon.Version, modeText(st.Daemon.Mode), st.Daemon.PID))
	t.add("socket", st.Daemon.Socket)
	if f := st.Daemon.Config; f != nil && f.File != "" {
		t.add("configuration", f.File+", read "+ago(c.now(), f.Loaded))
	}
	if st.Daemon.Helper != "" && st.Daemon.Helper != "ok" {
		t.add("tokens", "cannot be used: "+st.Daemon.Helper)
	}
	v := st.Vault
	t.add("vault", vaultText(v))
	if v.State == ipc.VaultUnlocked || v.State == ipc.VaultReadOnly {
		if v.UnlockedBy != "" {
			t.add("unlocked by", v.UnlockedBy)
		}
		t.add("locks", locksText(v, c.now()))
		t.add("accounts", howManyText(v))
	}
	for _, k := range st.Tokens {
		t.add("token", fmt.Sprintf("%s, %s, %s", tokenLabel(k), either(k.Enrolled, "enrolled", "not enrolled"),
			either(k.Present, "present", "not present")))
	}
	if g := st.Grants; g.Mode != "" && (g.Mode != ipc.GrantOff || g.Accounts > 0 || g.Agents > 0) {
		t.add("grants", grantText(g))
	}
	// Of a vault that cannot be read nothing is known.
	if v.State != ipc.VaultNone && (v.State != ipc.VaultBroken || !v.RecoverySet.IsZero()) {
		t.add("recovery password", recoveryText(v, c.now()))
	}
	if v.State != ipc.VaultNone && (v.State != ipc.VaultBroken || !v.LastBackup.IsZero()) {
		t.add("last copied out", ago(c.now(), v.LastBackup))
	}
	if b := st.Backups; b != nil {
		t.add("backups", backupsText(b, c.now()))
	}
	if v.Signer != "" {
		t.add("signed by", v.Signer)
	}
	if a := st.Authority; a != nil {
		t.add("authority", authorityText(*a))
	}
	return t
}

// howManyText counts accounts. What those that are inactive need is said here, for
// nobody sees it anywhere else until he wants a code.
func howManyText(v ipc.Vault) string {
	s := fmt.Sprintf("%d (%d %s a touch)", v.Accounts, v.Touch, either(v.Touch == 1, "needs", "need"))
	if v.Inactive > 0 {
		s += fmt.Sprintf(", %d inactive: tokenctl reactivate", v.Inactive)
	}
	return s
}

// recoveryText says since when a recovery password is set, and when it was last
// known.
func recoveryText(v ipc.Vault, now time.Time) string {
	switch {
	case v.RecoverySet.IsZero():
		return "not set"
	case v.RecoveryChecked.IsZero():
		return "set " + ago(now, v.RecoverySet)
	}
	return "set " + ago(now, v.RecoverySet) + ", last typed " + ago(now, v.RecoveryChecked)
}

// grantText is what programs need to be handed codes.
func grantText(g ipc.GrantState) string {
	s := "mode " + string(g.Mode)
	if g.Accounts > 0 {
		s += ", " + plural(g.Accounts, "account") + " with another"
	}
	if g.Grants > 0 {
		s += ", " + plural(g.Grants, "grant")
	}
	return s + either(g.Agents > 0, ", an agent asks you", ", no agent")
}

func modeText(mode string) string {
	switch mode {
	case "user":
		return "your own"
	case "system":
		return "the system's"
	}
	return mode
}

func vaultText(v ipc.Vault) string {
	switch v.State {
	case ipc.VaultNone:
		return "none yet"
	case ipc.VaultIsLocked:
		return "locked"
	case ipc.VaultUnlocked:
		return "unlocked"
	case ipc.VaultReadOnly:
		return fmt.Sprintf("unlocked, read-only: the newest state is damaged, generation %d is open", v.Generation)
	case ipc.VaultBroken:
		return "cannot be used: " + brokenText(v.Problem)
	}
	return string(v.State)
}

// brokenText is why a vault cannot be used, in few words; what to do is said
// elsewhere.
func brokenText(e *ipc.Error) string {
	if e == nil {
		return "why is not known"
	}
	switch e.Kind {
	case ipc.VaultDamaged:
		return "it is damaged"
	case ipc.VaultReplaced:
		return "another vault lies in its place"
	case ipc.VaultRolledBack:
		return "an older copy lies in its place"
	case ipc.NewerVersion:
		return "a newer tokend wrote it"
	}
	return e.Message
}

// locksText says when the vault locks by itself, whichever limit comes first.
func locksText(v ipc.Vault, now time.Time) string {
	switch {
	case v.IdleLock.IsZero() && v.HardLock.IsZero():
		return "only on request"
	case v.IdleLock.IsZero() || !v.HardLock.IsZero() && v.HardLock.Before(v.IdleLock):
		return "in " + span(v.HardLock.Sub(now))
	}
	s := "in " + span(v.IdleLock.Sub(now)) + " if idle"
	if !v.HardLock.IsZero() {
		s += ", in " + span(v.HardLock.Sub(now)) + " in any case"
	}
	return s
}

func (c *cli) sayVaultProblem(v ipc.Vault) {
	if v.Problem != nil {
		c.say("the vault: %s", clean(v.Problem.Message))
		for _, h := range c.advise(v.Problem) {
			c.say("  %s", clean(h))
		}
	}
	if v.State == ipc.VaultNone {
		c.say("make a vault, or bring one back: tokenctl quickstart")
	}
}

func (c *cli) eventsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "events", Short: "Show what happens, as it happens, until Ctrl-C", Args: noArgs,
		Long: "Show the present state, then each change. With --json each event is a document on a line.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			enc := json.NewEncoder(c.out)
			enc.SetEscapeHTML(false)
			err := c.daemon().Events(ctx, func(e ipc.Event) error {
				if c.json {
					return enc.Encode(e)
				}
				c.print("%s", eventLine(e))
				return nil
			})
			if ctx.Err() != nil {
				return nil // Ctrl-C is how it ends
			}
			return fail("follow the events", err)
		},
	}
}

// eventLine is one event: time, type, and what is known of it.
func eventLine(e ipc.Event) string {
	parts := []string{e.Time.Local().Format("15:04:05"), e.Type}
	if e.Vault != nil {
		parts = append(parts, "vault "+vaultText(*e.Vault))
	}
	if e.Token != nil {
		parts = append(parts, tokenName(e.Token))
	}
	if e.Account != nil {
		parts = append(parts, "for "+accountName(e.Account.Issuer, e.Account.Name))
	}
	if e.Requester != "" {
		parts = append(parts, "asked by "+e.Requester)
	}
	if e.Place > 0 {
		parts = append(parts, "place "+strconv.Itoa(e.Place))
	}
	if e.OK != nil {
		parts = append(parts, either(*e.OK, "ok", "failed"))
	}
	if e.Detail != "" {
		parts = append(parts, e.Detail)
	}
	for i := range parts {
		parts[i] = clean(parts[i])
	}
	return strings.Join(parts, "  ")
}

// versionDocument is the --json form of version.
type versionDocument struct {
	Version  int         `json:"version"`
	Tokenctl string      `json:"tokenctl"`
	Daemon   *ipc.Daemon `json:"daemon,omitempty"`
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of tokenctl and of the daemon that answers", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			doc := versionDocument{Version: ipc.Version, Tokenctl: buildVersion()}
			st, err := c.daemon().Status(cmd.Context())
			if err == nil {
				doc.Daemon = &st.Daemon
			}
			if c.json {
				return c.printJSON(doc)
			}
			c.print("tokenctl %s", doc.Tokenctl)
			if doc.Daemon == nil {
				c.say("no daemon answers")
				return nil
			}
			c.print("tokend %s", clean(doc.Daemon.Version))
			return nil
		},
	}
}

func (c *cli) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "Print the completion script of a shell",
		Long: `Print a script that makes the shell complete commands, flags and the names of
accounts and tokens. Bash loads it from the folder below if it has the package
bash-completion.`,
		Example: `  tokenctl completion bash > ~/.local/share/bash-completion/completions/tokenctl
  tokenctl completion fish > ~/.config/fish/completions/tokenctl.fish`,
		Args:      cobra.MatchAll(named(1, "bash, zsh, fish or powershell"), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(c.out, true)
			case "zsh":
				return root.GenZshCompletion(c.out)
			case "fish":
				return root.GenFishCompletion(c.out, true)
			}
			return root.GenPowerShellCompletionWithDesc(c.out)
		},
	}
}
