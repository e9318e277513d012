package main

import (
	"context"
	"errors"
	"time"

	"github.com/tokenbridge/tokend/cmd/tokenctl/carry"
	"github.com/tokenbridge/tokend/ipc"
)

// managedDevice is what tokenctl needs of the daemon for managed accounts: ipc.Managed
// without the principal.
type managedDevice interface {
	Activate(ctx context.Context, r ipc.ActivateRequest) (ipc.ManagedStep, error)
	Reactivate(ctx context.Context, account string, r ipc.ReactivateRequest) (ipc.ManagedStep, error)
	Conversations(ctx context.Context) (ipc.ManagedStepList, error)
	GiveFactor(ctx context.Context, conversation string, r ipc.GiveFactorRequest) (ipc.ManagedStep, error)
	PollConversation(ctx context.Context, conversation string) (ipc.ManagedStep, error)
	ProveAgain(ctx context.Context, conversation string) (ipc.ManagedStep, error)
	TakeAnswer(ctx context.Context, r ipc.TakeAnswerRequest) (ipc.ManagedStep, error)
	AskQuestions(ctx context.Context, account string) (ipc.ManagedStep, error)
	AnswerQuestion(ctx context.Context, conversation string, r ipc.AnswerQuestionRequest) (ipc.ManagedStep, error)
	AskNotices(ctx context.Context, account string) (ipc.ManagedStep, error)
	AskDevices(ctx context.Context, account string) (ipc.ManagedStep, error)
	RevokeDevice(ctx context.Context, conversation string, r ipc.RevokeDeviceRequest) (ipc.ManagedStep, error)
}

// errand is a conversation with an authority: the daemon makes the requests and
// opens the answers, and this program carries them.
type errand struct {
	*cli
	doing string // completes "cannot …"
	about string // the id of the account by which the authority is known
	// again is the command that goes on with it.
	again string
	hand  byHand
	step  ipc.ManagedStep
	// waits says that a request was written to a file, or is to be.
	waits bool
}

// isOver says that nothing more is to be done in a phase.
func isOver(p ipc.ManagedPhase) bool {
	switch p {
	case ipc.PhaseDone, ipc.PhaseRefused, ipc.PhaseExpired, ipc.PhaseUnsure:
		return true
	}
	return false
}

// carry carries what waits, until something else is to be done. By hand it is over
// with the first request, which is in a file then.
func (e *errand) carry(ctx context.Context) error {
	for len(e.step.Request) > 0 && !isOver(e.step.Phase) {
		if e.hand.on() {
			e.waits = true
			return e.hand.write(e)
		}
		answer, err := e.send(ctx)
		if err != nil {
			return e.notCarried(err)
		}
		if err := e.take(ctx, answer); err != nil {
			return err
		}
	}
	return nil
}

// send takes the request that waits to its authority.
// put carries what an authority is asked; a refusal is a failure.
func (e *errand) put(ctx context.Context) error {
	if err := e.carry(ctx); err != nil {
		return err
	}
	if e.step.Phase == ipc.PhaseRefused {
		return e.refused()
	}
	return nil
}

func (e *errand) send(ctx context.Context) ([]byte, error) {
	a, err := carry.Parse(e.step.Authority.Descriptor)
	if err != nil {
		return nil, err
	}
	e.heedSignals()
	if e.errTTY {
		stop := e.sayIfSlow("asking " + clean(a.Name) + " …")
		defer stop()
	}
	return a.Carry(ctx, e.step.Request)
}

func (e *errand) take(ctx context.Context, answer []byte) error {
	step, err := e.daemon().TakeAnswer(ctx, ipc.TakeAnswerRequest{Message: answer})
	if err != nil {
		return failWith(e.doing, err, adviceAnswer(e.again, err)...)
	}
	e.step = step
	return nil
}

// next is the step after what a person has decided.
func (e *errand) next(step ipc.ManagedStep, err error) error {
	if err == nil {
		e.step = step
	}
	return err
}

// notCarried says what is kept where a request did not arrive, or its answer did
// not.
func (e *errand) notCarried(err error) error {
	if errors.Is(err, context.Canceled) || ipc.KindOf(err) == ipc.Cancelled {
		return failWith(e.doing, &ipc.Error{Kind: ipc.Cancelled, Message: "cancelled"}, adviceGoesOn(e.step, e.again)...)
	}
	return failWith(e.doing, err, adviceNotCarried(e.step, e.again, err)...)
}

// sleep waits, and says what is kept where Ctrl-C ends it.
func (e *errand) sleep(ctx context.Context, d time.Duration) error {
	e.heedSignals()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return e.notCarried(ctx.Err())
	}
}

// failed is how a conversation ends that came to nothing. In --json the step is
// the document, for it says more than the error.
func (e *errand) failed(err *ipc.Error, hints ...string) error {
	f := failWith(e.doing, err, hints...)
	if !e.json {
		return f
	}
	if err := e.printJSON(e.step); err != nil {
		return err
	}
	e.explain(f, err)
	return silent{err.Kind.Info().Exit}
}

// ended is the end of a conversation, or of a person's patience.
func (e *errand) ended() error {
	switch e.step.Phase {
	case ipc.PhaseRefused:
		return e.refused()
	case ipc.PhaseExpired:
		return e.failed(&ipc.Error{Kind: ipc.Conflict, Message: "nothing came in time, and what was under way is over"}, adviceExpired(e.again)...)
	case ipc.PhaseUnsure:
		return e.failed(&ipc.Error{Kind: ipc.Conflict, Message: "the new secret was sent its proof, and no answer came in time: which of the two secrets counts is not known"},
			adviceUnsure(e.again)...)
	}
	return nil
}

// refused is the authority's no.
func (e *errand) refused() error {
	r := e.step.Refused
	if r == nil {
		return e.failed(&ipc.Error{Kind: ipc.Conflict, Message: "the authority has ended it"}, adviceExpired(e.again)...)
	}
	err := &ipc.Error{Kind: refusalKind(e.step.Kind, r.Code), Message: r.Message, RetryAfter: r.RetrySeconds}
	if err.Message == "" {
		err.Message = "the authority refuses: " + r.Code
	}
	for _, d := range r.Denials {
		err.Items = append(err.Items, ipc.Item{Name: factorName(d.Factor), Reason: denialText(d)})
	}
	return e.failed(err, adviceRefused(e.step, e.again)...)
}

// refusalKind is what an authority's code means for a script.
func refusalKind(conversation, code string) ipc.Kind {
	switch code {
	case "policy-denied", "restore-forbidden", "factor-not-offered":
		return ipc.PolicyDenied
	case "passcode-invalid", "bypass-code-invalid", "security-key-invalid", "code-invalid":
		return ipc.PasscodeInvalid
	case "throttled":
		return ipc.Throttled
	case "not-approved", "approval-expired":
		return ipc.Cancelled
	case "conversation-over", "last-device", "this-device", "other-user":
		return ipc.Conflict
	case "device-unknown":
		return ipc.NotFound
	}
	if conversation == kindActivate {
		return ipc.ActivationBad
	}
	return ipc.NotAuthorized
}

// The kinds of conversations that this program goes on with.
const (
	kindActivate   = "activate"
	kindReactivate = "reactivate"
	kindQuestions  = "questions"
)

func denialText(d ipc.ManagedDenial) string {
	if d.Because == "" {
		return d.Reason
	}
	return d.Reason + " (" + d.Because + ")"
}

// factorName is a factor in words.
func factorName(factor string) string {
	switch ipc.Factor(factor) {
	case ipc.FactorFob:
		return "fob"
	case ipc.FactorSecurityKey:
		return "security key"
	case ipc.FactorOtherDevice:
		return "another device"
	case ipc.FactorBypassCode:
		return "bypass code"
	case ipc.FactorSMS:
		return "text message"
	case ipc.FactorPhoneCall:
		return "phone call"
	}
	return factor
}

// factorAsks says what a factor asks of a person.
func factorAsks(factor string) string {
	switch ipc.Factor(factor) {
	case ipc.FactorFob:
		return "a passcode of your fob or of another hardware token"
	case ipc.FactorSecurityKey:
		return "a touch of your security key"
	case ipc.FactorOtherDevice:
		return "you agree on another of your devices"
	case ipc.FactorBypassCode:
		return "a code that the helpdesk gave you"
	case ipc.FactorPush:
		return "you agree on your phone"
	}
	return factorName(factor)
}

// accountArg is an account as the argument of a command.
func accountArg(a ipc.AccountRef) string {
	name := a.Name
	if a.Issuer != "" {
		name = a.Issuer + ":" + a.Name
	}
	if clean(name) != name || name == "" || name[0] == '-' {
		name = a.ID
	}
	return quoted(name)
}

func refOf(a ipc.Account) ipc.AccountRef {
	return ipc.AccountRef{ID: a.ID, Issuer: a.Issuer, Name: a.Name}
}
