package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) deviceCommand() *cobra.Command {
	return group("device", "Your devices that have managed accounts: agree to a new one, list, revoke",
		c.deviceApproveCommand(), c.deviceListCommand(), c.deviceRevokeCommand(), c.deviceCheckCommand())
}

// eachAuthority begins a conversation with each authority that has issued accounts
// of this vault, and does something with it. What fails at one is told, and the
// others are asked all the same; it fails with the last failure.
func (c *cli) eachAuthority(ctx context.Context, f *authFlags, doing string, begin func(context.Context, string) (ipc.ManagedStep, error), do func(e *errand) error) error {
	var list ipc.AccountList
	err := c.open(ctx, f, func(ctx context.Context, _ ipc.Auth) (err error) {
		list, err = c.daemon().Accounts(ctx)
		return err
	})
	if err != nil {
		return fail(doing, err)
	}
	// Those that work here know the authority best.
	slices.SortStableFunc(list.Accounts, func(a, b ipc.Account) int { return rankInactive(a) - rankInactive(b) })
	asked, last := map[string]bool{}, error(nil)
	for _, a := range list.Accounts {
		if a.Kind != "managed" {
			continue
		}
		step, err := begin(ctx, a.ID)
		if ipc.KindOf(err) == ipc.InvalidArgument {
			continue // issued before there were authorities
		}
		if err == nil && asked[step.Authority.Fingerprint] {
			continue
		}
		asked[step.Authority.Fingerprint] = true
		if err == nil {
			e := &errand{cli: c, doing: doing, about: a.ID, step: step}
			if err = e.put(ctx); err == nil {
				err = do(e)
			}
		}
		if err == nil {
			continue
		}
		if last != nil {
			var told *ipc.Error
			if errors.As(last, &told) {
				c.explain(last, told)
			}
		}
		last = fail(doing, err)
		if ctx.Err() != nil || ipc.KindOf(err) == ipc.VaultLocked || ipc.KindOf(err) == ipc.Unsupported {
			return last
		}
	}
	if len(asked) == 0 {
		return failWith(doing, &ipc.Error{Kind: ipc.NotFound, Message: "no account here was issued by an authority"}, adviceNoManaged()...)
	}
	return last
}

func rankInactive(a ipc.Account) int {
	if a.Inactive {
		return 1
	}
	return 0
}

// devicesDocument is the --json form of a user's devices, an entry an authority.
type devicesDocument struct {
	Version     int              `json:"version"`
	Authorities []authorityEntry `json:"authorities"`
}

type authorityEntry struct {
	Authority string           `json:"authority"` // its name
	ID        string           `json:"id"`
	Devices   []ipc.OwnDevice  `json:"devices,omitempty"`
	Revoked   []ipc.Revocation `json:"revoked,omitempty"`
	Questions []ipc.Question   `json:"questions,omitempty"`
	// Answered is what was said to questions.
	Answered []answered `json:"answered,omitempty"`
}

type answered struct {
	Question ipc.Question `json:"question"`
	Yes      bool         `json:"yes"`
}

func (c *cli) deviceListCommand() *cobra.Command {
	var f authFlags
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List your devices, as the authorities know them", Args: noArgs,
		Long: `Ask each authority that has issued accounts of yours which devices you have there.
In a pipe the fields are: id, name (its own word), state, accounts, activated first,
heard of last, authority.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			doc := devicesDocument{Version: ipc.Version, Authorities: []authorityEntry{}}
			err := c.eachAuthority(cmd.Context(), &f, "list your devices", c.daemon().AskDevices, func(e *errand) error {
				doc.Authorities = append(doc.Authorities, authorityEntry{Authority: e.step.Authority.Name, ID: e.step.Authority.ID, Devices: e.step.Devices})
				return nil
			})
			if err != nil && len(doc.Authorities) == 0 {
				return err
			}
			if said := c.answer(doc, func() { c.show(c.ownDevices(doc)) }); said != nil {
				return said
			}
			return err
		},
	}
	f.add(cmd)
	return cmd
}

func (c *cli) ownDevices(doc devicesDocument) *table {
	t := &table{head: []string{"ID", "NAME", "STATE", "ACCOUNTS", "FIRST", "LAST", "AUTHORITY"}, flexible: 1, below: []int{4, 5, 6}}
	for _, a := range doc.Authorities {
		for _, d := range a.Devices {
			t.add(d.ID, orDash(d.Name)+either(d.This, " (this one)", ""), string(d.State), orDash(strings.Join(d.Accounts, ", ")),
				ago(c.now(), d.First), ago(c.now(), d.Last), a.Authority)
		}
	}
	return t
}

const deviceApproveHelp = `Say yes or no to a new device of yours that wants a managed account, where the
policy allows that another device agrees: "tokenctl reactivate" runs there, and
shows a number, which you type here. A wrong number ends the question.

Say yes only if you began it yourself: who asks gets your account.

Without a terminal: --number with a yes, --deny with a no; and --question where
there are several (--json lists them).`

type approveFlags struct {
	auth     authFlags
	number   int
	deny     bool
	question string
}

func (c *cli) deviceApproveCommand() *cobra.Command {
	f := &approveFlags{}
	cmd := &cobra.Command{
		Use: "approve", Short: "Say yes or no to a new device of yours", Long: deviceApproveHelp, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.number != 0 && (f.number < 10 || f.number > 99) {
				return usage("a number to type has two digits")
			}
			return c.approve(cmd.Context(), f)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&f.number, "number", 0, "say yes, with the number `N` that stands on the new device")
	fl.BoolVar(&f.deny, "deny", false, "say no")
	fl.StringVar(&f.question, "question", "", "answer the question with this `ID`")
	cmd.MarkFlagsMutuallyExclusive("number", "deny")
	f.auth.add(cmd)
	return cmd
}

func (c *cli) approve(ctx context.Context, f *approveFlags) error {
	const doing = "answer your other devices"
	doc := devicesDocument{Version: ipc.Version, Authorities: []authorityEntry{}}
	asked := 0
	err := c.eachAuthority(ctx, &f.auth, doing, c.daemon().AskQuestions, func(e *errand) error {
		e.again = "tokenctl device approve"
		entry := authorityEntry{Authority: e.step.Authority.Name, ID: e.step.Authority.ID, Questions: e.step.Questions}
		asked += len(e.step.Questions)
		err := f.each(ctx, e, &entry)
		doc.Authorities = append(doc.Authorities, entry)
		return err
	})
	if err != nil {
		return err
	}
	if f.question != "" && !slices.ContainsFunc(doc.Authorities, func(a authorityEntry) bool { return len(a.Answered) > 0 }) {
		return failWith(doing, &ipc.Error{Kind: ipc.NotFound, Message: "there is no such question, or not any more"}, adviceNoQuestion()...)
	}
	return c.answer(doc, func() {
		if asked == 0 {
			c.say("no device of yours asks for anything")
		}
	})
}

// each answers the questions of one authority. An answer ends the conversation, so
// each needs one of its own.
func (f *approveFlags) each(ctx context.Context, e *errand, entry *authorityEntry) error {
	open := entry.Questions
	if f.question != "" {
		open = slices.DeleteFunc(slices.Clone(open), func(q ipc.Question) bool { return q.ID != f.question })
	}
	if len(open) > 1 && (f.number != 0 || f.deny) {
		return usage("several devices ask; which is meant?", adviceNoTerminal("--question ID")...)
	}
	if !e.canAsk() && f.number == 0 && !f.deny {
		if e.json || len(open) == 0 {
			return nil // they are in the document
		}
		return usage(fmt.Sprintf("a device asks: %s, for %s", clean(open[0].Device), clean(open[0].Account)), adviceNoTerminal("--number N or --deny")...)
	}
	for i, q := range open {
		if i > 0 {
			if err := e.askAgain(ctx, q); err != nil {
				return err
			}
		}
		r, err := f.decide(ctx, e, q)
		if err != nil {
			return err
		}
		if err := e.next(e.daemon().AnswerQuestion(ctx, e.step.Conversation, r)); err != nil {
			return err
		}
		if err := e.carry(ctx); err != nil {
			return err
		}
		if e.step.Refused != nil {
			return e.refused()
		}
		entry.Answered = append(entry.Answered, answered{q, r.Yes})
		e.say("%s", either(r.Yes, clean(q.Device)+" gets "+clean(q.Account)+", once it has proved its secret", "said no to "+clean(q.Device)))
		if !r.Yes {
			for _, line := range adviceSaidNo() {
				e.say("%s", line)
			}
		}
	}
	return nil
}

// askAgain begins another conversation with the same authority, in which a question
// stands as well.
func (e *errand) askAgain(ctx context.Context, q ipc.Question) error {
	list, err := e.daemon().Accounts(ctx)
	if err != nil {
		return err
	}
	who := e.step.Authority.Fingerprint
	for _, a := range list.Accounts {
		if a.Kind != "managed" || a.Inactive {
			continue
		}
		step, err := e.daemon().AskQuestions(ctx, a.ID)
		if err != nil || step.Authority.Fingerprint != who {
			continue
		}
		e.step = step
		if err := e.carry(ctx); err != nil {
			return err
		}
		if slices.ContainsFunc(e.step.Questions, func(x ipc.Question) bool { return x.ID == q.ID }) {
			return nil
		}
	}
	return &ipc.Error{Kind: ipc.NotFound, Message: "what " + q.Device + " asked is not asked any more"}
}

// decide is what the person says, or the flags.
func (f *approveFlags) decide(ctx context.Context, e *errand, q ipc.Question) (ipc.AnswerQuestionRequest, error) {
	r := ipc.AnswerQuestionRequest{Question: q.ID}
	e.say("%s asks for %s (%s, asked %s)", clean(q.Device), clean(q.Account), clean(e.step.Authority.Name), ago(e.now(), q.Asked))
	if f.deny {
		return r, nil
	}
	if f.number != 0 {
		r.Yes, r.Number = true, f.number
		return r, nil
	}
	e.say("Did you begin this yourself, on that device? Then type the number that stands there; else type no.")
	for {
		answer, err := e.ask(ctx, "Number, or no", "", "--number N or --deny")
		if err != nil {
			return r, err
		}
		if a := strings.ToLower(answer); a == "no" || a == "n" {
			return r, nil
		}
		if n, err := strconv.Atoi(answer); err == nil && 10 <= n && n <= 99 {
			r.Yes, r.Number = true, n
			return r, nil
		}
		e.say("please type the number with two digits (10 to 99) that stands on the other device, or no; Ctrl-C leaves it open")
	}
}
