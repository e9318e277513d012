package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/local"
)

const quickstartHelp = `Set everything up, step by step: a new vault or one from a backup, the token, the
recovery password, a first account with its code, a backup. Steps that are done
already are passed over, so it can be run again.

With --sample nothing is asked: a throwaway vault with a software token, random
passwords (printed, since they guard nothing) and a sample account is made, and
each step is shown. Never use that vault for accounts of your own.`

type quickstartFlags struct {
	sample       bool
	token        string
	reader       string
	device       string
	pinFile      string
	passwordFile string
	backup       string
}

// quickstart is one run: what the flags say, and what was found and done.
type quickstart struct {
	*cli
	f    *quickstartFlags
	step int
	// made says that this run made the vault, so that --sample may set its
	// passwords.
	made bool
	// restored says that this run made it from a backup.
	restored bool
	// auth is what made the vault, until the recovery password is set with it.
	auth ipc.Auth
}

func (c *cli) quickstartCommand() *cobra.Command {
	f := &quickstartFlags{}
	cmd := &cobra.Command{
		Use: "quickstart", Short: "Set everything up, step by step", Long: quickstartHelp, Args: noArgs,
		Example: "  tokenctl quickstart\n  tokenctl quickstart --sample",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !f.sample && !c.canAsk() {
				return usage("quickstart asks questions, and there is no terminal: --sample is missing", adviceSample()...)
			}
			q := &quickstart{cli: c, f: f}
			return fail("finish quickstart", q.run(cmd.Context()))
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.sample, "sample", false, "ask nothing: a throwaway vault with sample input")
	fl.StringVar(&f.token, "token", "", "`KIND` of token for a new vault: piv, fido2 or soft")
	fl.StringVar(&f.reader, "reader", "", "PIV: the token's `READER` or a part of its name")
	fl.StringVar(&f.device, "device", "", "FIDO2: the token's device `PATH`")
	fl.StringVar(&f.pinFile, "pin-file", "", "read the PIN, or the software token's passphrase, from `FILE`")
	fl.StringVar(&f.passwordFile, "recovery-password-file", "", "read the recovery password from `FILE`")
	fl.StringVar(&f.backup, "backup", "", "write the backup to this new `FILE`")
	return cmd
}

func (q *quickstart) heading(text string) {
	q.step++
	q.say("")
	q.say("%d. %s", q.step, text)
}

func (q *quickstart) run(ctx context.Context) error {
	st, err := q.daemon().Status(ctx)
	if err != nil {
		return err
	}
	q.say("tokend %s answers (%s) at %s", clean(st.Daemon.Version), modeText(st.Daemon.Mode), clean(st.Daemon.Socket))
	if q.f.sample && st.Vault.State != ipc.VaultNone && !isSample(st) {
		return failWith("", &ipc.Error{Kind: ipc.AlreadyExists, Message: "you have a vault already, and --sample is for a throwaway one"},
			adviceSampleVault()...)
	}
	for i, step := range []func(context.Context) error{q.vault, q.enrolStep, q.recovery, q.account, q.code, q.backupStep} {
		if err := q.insist(ctx, step, i > 0); err != nil {
			return err
		}
	}
	return q.next(ctx)
}

// isSample says that the vault is one that --sample made.
func isSample(st ipc.Status) bool {
	return slices.ContainsFunc(st.Tokens, func(t ipc.Token) bool { return t.Enrolled && t.Kind == "soft" && t.Label == sampleLabel })
}

// insist repeats a step that failed until the user gives up on it: whatever is
// typed after a quickstart that ended early goes to the shell, secrets too. What
// comes after the vault can be passed over.
func (q *quickstart) insist(ctx context.Context, step func(context.Context) error, optional bool) error {
	number := q.step
	for {
		q.step = number
		err := step(ctx)
		var e *ipc.Error
		if err == nil || q.f.sample || ctx.Err() != nil || !errors.As(err, &e) {
			return err
		}
		q.explain(err, e)
		question := "Try this step again?"
		if optional {
			question = "Try this step again? (no goes on without it)"
		}
		again, err := q.yesNo(ctx, question, "--sample")
		switch {
		case err != nil, !again && !optional:
			return silent{e.Kind.Info().Exit}
		case !again:
			return nil
		}
	}
}

// vault makes, restores or unlocks the vault.
func (q *quickstart) vault(ctx context.Context) error {
	st, err := q.daemon().Status(ctx)
	if err != nil {
		return err
	}
	switch st.Vault.State {
	case ipc.VaultNone:
		return q.newOrRestore(ctx)
	case ipc.VaultBroken:
		q.heading("Your vault")
		if st.Vault.Problem != nil {
			return st.Vault.Problem
		}
		return &ipc.Error{Kind: ipc.VaultDamaged, Message: "the vault cannot be used"}
	case ipc.VaultIsLocked:
		q.heading("Your vault is there, and locked: unlock it")
		auth, err := (&authFlags{pinFile: q.f.pinFile, passwordFile: either(q.f.pinFile == "", q.f.passwordFile, "")}).load(ctx, q.cli)
		if err != nil {
			return err
		}
		defer wipeAuth(&auth)
		given := q.f.sample || len(auth.PIN)+len(auth.RecoveryPassword) > 0
		if err := q.unlockWith(ctx, &auth, attempt{given: given}); err != nil {
			return err
		}
		q.say("unlocked")
		return nil
	}
	q.heading("Your vault is there, and open")
	q.say("going on with what is missing")
	return nil
}

func (q *quickstart) newOrRestore(ctx context.Context) error {
	if !q.f.sample {
		q.heading("A new vault, or one from a backup?")
		answer, err := q.ask(ctx, "Type new or restore", "new", "--sample")
		if err != nil {
			return err
		}
		if strings.EqualFold(answer, "restore") {
			return q.restoreStep(ctx)
		}
	}
	q.heading("The token that opens the vault")
	ef := enrollFlags{kind: q.f.token, reader: q.f.reader, device: q.f.device, pinFile: q.f.pinFile}
	r, given, err := q.tokenStep(ctx, &ef)
	if err != nil {
		return err
	}
	var res ipc.InitResult
	err = q.onUsedCard(ctx, r.Enroll, func(given bool) (err error) {
		res, err = q.makeVault(ctx, r, given, &q.auth)
		return err
	}, given)
	if err != nil {
		return enrollFailure("make the vault", "tokenctl init", &ef, err)
	}
	q.made = true
	q.sayVaultMade(ipc.InitResult{Vault: res.Vault, Token: res.Token})
	return nil
}

// tokenStep chooses the token and its PIN. The recovery password is a step of
// its own; it is set right after.
func (q *quickstart) tokenStep(ctx context.Context, ef *enrollFlags) (ipc.InitRequest, bool, error) {
	if ef.infer(); ef.kind == "" && !q.f.sample {
		if err := q.proposeToken(ctx, ef, ""); err != nil {
			return ipc.InitRequest{}, false, err
		}
	}
	if ef.kind == "" {
		ef.kind = "soft"
	}
	if ef.kind == "soft" {
		q.say("A software token is a file on this machine, sealed by a passphrase. It is not hardware: whoever copies the file and learns the passphrase has the vault. Enrol a hardware token later.")
	}
	if q.f.sample && ef.pinFile == "" && ef.kind == "soft" {
		phrase := samplePassword()
		q.say("sample passphrase: %s", phrase)
		return ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "soft", Label: sampleLabel, PIN: ipc.Secret(phrase)}}, true, nil
	}
	if err := ef.check(); err != nil {
		return ipc.InitRequest{}, false, err
	}
	if err := q.chooseToken(ctx, ef); err != nil {
		return ipc.InitRequest{}, false, err
	}
	if err := q.offerPIN(ctx, ef, q.f.sample); err != nil {
		return ipc.InitRequest{}, false, err
	}
	r, err := ef.request(ctx, q.cli)
	return ipc.InitRequest{Enroll: r}, ef.pinFile != "", err
}

// enrolStep makes a token of this machine a way into a vault that was brought back
// without one.
func (q *quickstart) enrolStep(ctx context.Context) error {
	st, err := q.daemon().Status(ctx)
	if err != nil || !q.restored || !strings.HasPrefix(st.Vault.UnlockedBy, "recovery") ||
		slices.ContainsFunc(st.Tokens, func(t ipc.Token) bool { return t.Enrolled && t.Present }) {
		return err
	}
	q.heading("A token for this machine")
	q.say("No token that is here opens the vault. One that is enrolled now opens it in place of the recovery password.")
	yes, err := q.yesNo(ctx, "Enrol one now?", "tokenctl token enroll")
	if err != nil || !yes {
		if err == nil {
			q.say("Later: tokenctl token enroll")
		}
		return err
	}
	res, err := q.enrollAsking(ctx, &enrollFlags{kind: q.f.token, reader: q.f.reader, device: q.f.device}, &authFlags{})
	if err != nil {
		return err
	}
	q.sayEnrolled(res)
	return nil
}

// recovery sets a recovery password where there is none. A user may decline.
func (q *quickstart) recovery(ctx context.Context) error {
	st, err := q.daemon().Status(ctx)
	if err != nil || !st.Vault.RecoverySet.IsZero() || q.f.sample && !q.made {
		return err
	}
	q.heading("The recovery password")
	q.explainRecovery()
	var password ipc.Secret
	switch {
	case q.f.passwordFile != "":
		password, err = q.readSecret(ctx, "--recovery-password-file", q.f.passwordFile)
	case q.f.sample:
		password = ipc.Secret(samplePassword())
		q.say("sample recovery password: %s", string(password))
	default:
		var yes bool
		if yes, err = q.yesNo(ctx, "Set one now?", "--recovery-password-file FILE"); err == nil && !yes {
			return q.declineWayBack(ctx)
		}
		if err == nil {
			password, err = q.askNewPassword(ctx, "recovery password", "--recovery-password-file FILE")
		}
	}
	if err != nil {
		return err
	}
	defer password.Wipe()
	set := func(ctx context.Context, a ipc.Auth) error {
		_, err := q.daemon().SetRecoveryPassword(ctx, ipc.SetRecoveryRequest{Auth: a, Password: password})
		return err
	}
	if q.made {
		err = q.withPIN(ctx, &q.auth, attempt{}, set)
		wipeAuth(&q.auth)
	} else {
		err = q.open(ctx, &authFlags{pinFile: q.f.pinFile}, set)
	}
	if err == nil {
		q.say("the recovery password is set")
	}
	return fail("set the recovery password", err)
}

// next says what to type from here on.
func (q *quickstart) next(ctx context.Context) error {
	st, err := q.daemon().Status(ctx)
	if err != nil {
		return err
	}
	q.heading("What next")
	q.sayAfterLoss(st)
	q.warn(st.Warnings)
	q.say("The daemon goes on listening at %s", clean(st.Daemon.Socket))
	if q.socket != "" || q.getenv(local.EnvSocket) != "" {
		q.say("so that tokenctl finds it there: export %s=%s", local.EnvSocket, clean(st.Daemon.Socket))
	}
	for _, line := range adviceNext() {
		q.say("  %s", line)
	}
	return nil
}

// restoreStep makes the vault from a backup file.
func (q *quickstart) restoreStep(ctx context.Context) error {
	q.heading("The backup")
	path, err := q.whichBackup(ctx)
	if err != nil {
		return err
	}
	data, a, err := q.parseBackup(ctx, expandHome(path))
	if err != nil {
		return err
	}
	q.sayBackupFound(a)
	res, err := q.restore(ctx, &authFlags{}, ipc.RestoreBackupRequest{Data: data, From: readFrom(expandHome(path))})
	if err != nil {
		return restoreFailure("restore "+path, path, a.Manifest.Signer, q.withLostPassword("restore "+path, a, err))
	}
	q.sayRestored(res, a, false)
	q.restored = true
	return nil
}

// backupName is the ending by which backups are looked for and proposed.
const backupName = ".tokend"

func expandHome(path string) string {
	if home, err := os.UserHomeDir(); err == nil && (path == "~" || strings.HasPrefix(path, "~/")) {
		return filepath.Join(home, strings.TrimPrefix(path, "~"))
	}
	return path
}

// homeOr is the user's home folder, or where there is none the present one.
func homeOr() string {
	if home, err := os.UserHomeDir(); err == nil {
		return home
	}
	return "."
}

// proposal is a path for a backup at which nothing is yet.
func (q *quickstart) proposal() string {
	base := filepath.Join(homeOr(), "vault-"+q.now().Format("2006-01-02"))
	path := base + backupName
	for n := 2; ; n++ {
		if _, err := os.Lstat(path); err != nil {
			return path
		}
		path = fmt.Sprintf("%s-%d%s", base, n, backupName)
	}
}
