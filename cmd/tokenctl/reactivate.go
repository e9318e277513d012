package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

const reactivateHelp = `Bring a managed account back to life on this device: after its vault was restored
from a backup, or when it does not work any more. The authority that issued it says
which factors its policy allows, and why not the others: a passcode of a fob,
agreement on another of your devices, a code of the helpdesk. It makes a new secret
for this device, which proves it with a code; only then the policy revokes the old
device, or keeps it. Both work until then, whatever happens in between.

Where it was interrupted, the same command goes on with it; --anew begins it anew.
Without ACCOUNT it lists what is under way, and which accounts are inactive.

Without a terminal: --factor says which factor, and --passcode-file has what is
typed. Both can be given several times, where the policy asks for several factors.

Without a network to the authority, by files; each step tells the next:

  1. here: tokenctl reactivate ACCOUNT --to-file request1
  2. there: tokenctl admin message request1 > answer1
  3. here: tokenctl reactivate ACCOUNT --from-file answer1 --to-file request2

and so on with new names: three messages go there, and the last answer needs no
--to-file. A passcode by time is too old when it arrives; one of a fob with
a button is not, nor is a bypass code.`

type reactivateFlags struct {
	auth      authFlags
	hand      byHand
	factors   []string
	passcodes []string
	keyPIN    string
	key       string
	anew      bool
	name      string
}

func (c *cli) reactivateCommand() *cobra.Command {
	f := &reactivateFlags{}
	cmd := &cobra.Command{
		Use: "reactivate [ACCOUNT]", Short: "Bring a managed account back to life on this device", Long: reactivateHelp, Args: named(0, "ACCOUNT"),
		Example:           "  tokenctl reactivate vpn\n  tokenctl reactivate vpn --factor fob --passcode-file -",
		ValidArgsFunction: c.completeManaged,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.reactivations(cmd, f)
			}
			return c.reactivate(cmd.Context(), f, args[0])
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.factors, "factor", nil, "use this `FACTOR`: fob, other_device, bypass_code, security_key, push, sms, phone_call")
	fl.StringArrayVar(&f.passcodes, "passcode-file", nil, "read the passcode or bypass code from `FILE` (- is standard input); it is tried once")
	fl.StringVar(&f.key, "key", "", "use this security `KEY`, where several are plugged in")
	fl.StringVar(&f.keyPIN, "key-pin-file", "", "read the PIN of the security key from `FILE` (- is standard input)")
	fl.BoolVar(&f.anew, "anew", false, "give up what is under way for the account, and begin anew")
	fl.StringVar(&f.name, "name", "", "what the authority is to call this device, up to 64 bytes (`TEXT`); if not told what it was called last, or else the machine's name")
	f.hand.add(cmd, "qr")
	f.auth.add(cmd)
	return cmd
}

// reactivation is one run of tokenctl reactivate.
type reactivation struct {
	errand
	f    *reactivateFlags
	name string // of the account
	// shown says that the person knows which factors there are.
	shown bool
	// continued says that what the authority offers was told before this run.
	continued bool
	// tried is the factor that was tried last, asked how often one was asked for.
	tried string
	asked int
	// number is the one that was shown to be typed elsewhere.
	number int
	proved bool // once more, in this run
	// waitsFor is the factor that is waited for, and was said to be.
	waitsFor string
	offered  string // the factors that were said
}

func (c *cli) reactivate(ctx context.Context, f *reactivateFlags, ref string) error {
	if err := knownFactors(f.factors); err != nil {
		return err
	}
	a, err := c.findAccount(ctx, &f.auth, ref)
	if err != nil {
		return err
	}
	r := &reactivation{f: f, name: accountName(a.Issuer, a.Name), errand: errand{cli: c, doing: "reactivate " + accountName(a.Issuer, a.Name),
		again: "tokenctl reactivate " + accountArg(refOf(a)), hand: f.hand}}
	if a.Kind != "managed" {
		return failWith(r.doing, &ipc.Error{Kind: ipc.InvalidArgument, Message: "no authority has issued it: it is your own account with " + either(a.Issuer == "", "a service", clean(a.Issuer))},
			adviceNotManaged(a)...)
	}
	if err := r.begin(ctx, a); err != nil {
		return err
	}
	for {
		if err := r.carry(ctx); err != nil || r.waits {
			return err
		}
		var err error
		switch r.step.Phase {
		case ipc.PhaseChoose:
			err = r.choose(ctx)
		case ipc.PhaseWaiting:
			err = r.wait(ctx)
		case ipc.PhaseChallenged:
			err = r.challenged(ctx)
		case ipc.PhaseProving:
			err = r.proveAgain(ctx)
		default:
			return r.finish()
		}
		if err != nil {
			return fail(r.doing, err)
		}
	}
}

// begin begins the reactivation, or finds out how far it is.
func (r *reactivation) begin(ctx context.Context, a ipc.Account) error {
	if r.hand.from != "" {
		if err := r.takeFile(ctx, &r.f.auth); err != nil {
			return fail(r.doing, err)
		}
		return nil
	}
	if !a.Inactive && !r.hand.on() {
		a.Inactive = r.wasTaken(ctx, a.ID)
	}
	step, err := r.daemon().Reactivate(ctx, a.ID, ipc.ReactivateRequest{DeviceName: deviceName(r.f.name), KeepName: strings.TrimSpace(r.f.name) == "", ByHand: r.hand.on(), Anew: r.f.anew})
	if err != nil {
		return fail(r.doing, err)
	}
	r.step = step
	who := step.Authority
	r.say("authority %s, fingerprint %s", clean(who.Name), clean(who.Fingerprint))
	switch {
	case step.Phase != ipc.PhaseAsked:
		r.continued = true
		r.say("what was begun before goes on (--anew begins anew)")
	case !a.Inactive:
		r.say("%s has a secret on this device: it stays until a new one is proved", r.name)
	}
	return nil
}

// wasTaken asks whether the account was taken from this device, and says by whom: its
// codes have not counted since. Where that cannot be asked, what follows says why.
func (r *reactivation) wasTaken(ctx context.Context, id string) bool {
	e := &errand{cli: r.cli, doing: r.doing, about: id}
	var err error
	if e.step, err = r.daemon().AskNotices(ctx, id); err != nil || e.put(ctx) != nil {
		return false
	}
	for _, x := range e.step.Revoked {
		if x.Account != nil && x.Account.ID == id {
			r.say("this device was revoked: %s was taken from it %s by %s, and its codes have not counted since", r.name, ago(r.now(), x.At), clean(orDash(x.By)))
			for _, line := range adviceWasTaken(e.step.Authority) {
				r.say("  %s", line)
			}
			return true
		}
	}
	return false
}

// finish is the end, good or bad.
func (r *reactivation) finish() error {
	if r.step.Phase != ipc.PhaseDone {
		return r.ended()
	}
	if r.json {
		return r.printJSON(r.step)
	}
	r.say("%s works on this device", r.name)
	r.sayOldDevices()
	for _, line := range adviceReactivated(r.step.Account) {
		r.say("%s", line)
	}
	return nil
}

// wait waits for what is proved elsewhere.
func (r *reactivation) wait(ctx context.Context) error {
	w := r.step.Waiting
	if w == nil {
		return r.ended()
	}
	if r.tried == "" {
		r.tried = w.Factor
	}
	if !r.shown || w.Number != r.number || w.Factor != r.waitsFor {
		r.shown, r.number, r.waitsFor = true, w.Number, w.Factor
		r.sayWaiting(w)
		if w.Number != 0 {
			r.say("it asks for this number: %d", w.Number)
		}
	}
	if err := r.sleep(ctx, pollAfter(w.RetrySeconds)); err != nil {
		return err
	}
	return r.next(r.daemon().PollConversation(ctx, r.step.Conversation))
}

// sayWaiting says what the person is to do meanwhile.
func (r *reactivation) sayWaiting(w *ipc.ManagedWaiting) {
	until := w.Until.Local().Format("15:04")
	switch ipc.Factor(w.Factor) {
	case ipc.FactorOtherDevice:
		r.say("waiting until %s for another of your devices: there, tokenctl device approve", until)
	case ipc.FactorPush:
		r.say("confirm on your phone … (waiting until %s; Ctrl-C leaves it as it is)", until)
	case ipc.FactorPhoneCall:
		r.say("your phone is called: confirm there … (waiting until %s; Ctrl-C leaves it as it is)", until)
	default:
		r.say("waiting until %s for who verifies the %s …", until, factorName(w.Factor))
	}
}

// longestPoll is how long a poll waits at most, whatever the authority wants: no
// question stands for much longer.
const longestPoll = 60

// pollAfter is how long a poll waits, where the authority wants that many seconds.
func pollAfter(seconds int) time.Duration {
	return time.Duration(min(max(1, seconds), longestPoll)) * time.Second
}

// proveAgain makes another proof where a former run ended with one that was not
// taken; once.
func (r *reactivation) proveAgain(ctx context.Context) error {
	if r.proved || r.tried != "" || r.hand.from != "" {
		return r.refused()
	}
	r.proved = true
	return r.next(r.daemon().ProveAgain(ctx, r.step.Conversation))
}

// completeManaged offers the names of managed accounts to the shell.
func (c *cli) completeManaged(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	list, err := c.daemon().Accounts(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, a := range list.Accounts {
		if a.Kind == "managed" {
			names = append(names, accountName(a.Issuer, a.Name))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// reactivationsDocument is the --json form of what could be reactivated.
type reactivationsDocument struct {
	Version  int               `json:"version"`
	UnderWay []ipc.ManagedStep `json:"under_way"`
	Inactive []ipc.Account     `json:"inactive"`
}

// reactivations lists what is under way and which accounts are inactive.
func (c *cli) reactivations(cmd *cobra.Command, f *reactivateFlags) error {
	const doing = "list what can be reactivated"
	if f.hand.on() || f.anew || len(f.factors)+len(f.passcodes) > 0 {
		return usage("these flags need an account: tokenctl reactivate ACCOUNT", adviceHelp(cmd.CommandPath())...)
	}
	doc := reactivationsDocument{Version: ipc.Version, UnderWay: []ipc.ManagedStep{}, Inactive: []ipc.Account{}}
	err := c.open(cmd.Context(), &f.auth, func(ctx context.Context, _ ipc.Auth) error {
		list, err := c.daemon().Accounts(ctx)
		if err != nil {
			return err
		}
		steps, err := c.daemon().Conversations(ctx)
		if err != nil {
			return err
		}
		doc.UnderWay = slices.DeleteFunc(steps.Steps, func(s ipc.ManagedStep) bool {
			return s.Kind != kindActivate && s.Kind != kindReactivate || isOver(s.Phase) && s.Phase != ipc.PhaseUnsure
		})
		for _, a := range list.Accounts {
			if a.Inactive {
				doc.Inactive = append(doc.Inactive, a)
			}
		}
		return nil
	})
	if err != nil {
		return fail(doing, err)
	}
	return c.answer(doc, func() { c.showReactivations(doc) })
}

func (c *cli) showReactivations(doc reactivationsDocument) {
	if len(doc.UnderWay)+len(doc.Inactive) == 0 {
		c.say("no account is inactive, and nothing is under way")
		return
	}
	t := &table{head: []string{"ACCOUNT", "STATE", "AUTHORITY", "NEXT"}, flexible: 0}
	busy := map[string]bool{}
	for _, s := range doc.UnderWay {
		name, next := "a new account", "tokenctl activate --go-on"
		if s.Account != nil {
			busy[s.Account.ID] = true
			name, next = accountName(s.Account.Issuer, s.Account.Name), "tokenctl reactivate "+accountArg(*s.Account)
		}
		if s.Kind == kindActivate {
			next = "tokenctl activate --go-on"
		}
		t.add(name, c.phaseText(s), s.Authority.Name, next)
	}
	for _, a := range doc.Inactive {
		if !busy[a.ID] {
			t.add(accountName(a.Issuer, a.Name), "inactive", "-", "tokenctl reactivate "+accountArg(refOf(a)))
		}
	}
	c.show(t)
}

// phaseText says how far a conversation is.
func (c *cli) phaseText(s ipc.ManagedStep) string {
	text := string(s.Phase)
	switch s.Phase {
	case ipc.PhaseAsked:
		text = "the authority has not answered"
	case ipc.PhaseChoose:
		text = "a factor is asked for"
	case ipc.PhaseWaiting:
		text = either(s.Waiting == nil || s.Waiting.Factor == string(ipc.FactorOtherDevice), "waiting for another device", "waiting for who verifies it")
	case ipc.PhaseChallenged:
		text = "something more is asked for"
	case ipc.PhaseProving:
		text = "the new secret is not proved yet"
	case ipc.PhaseUnsure:
		return "not known which secret counts"
	}
	if s.Until != nil {
		text += fmt.Sprintf(", until %s", s.Until.Local().Format("2006-01-02 15:04"))
	}
	return text
}
