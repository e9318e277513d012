package desk

import (
	"context"
	"errors"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/mail"
	"github.com/tokenbridge/tokend/ipc"
)

// actMail is what the audit calls the sending of a link.
const actMail = "activation-mail"

// Mailer sends letters; a *mail.Sender is one. It fails with a *mail.Error.
type Mailer interface {
	Send(ctx context.Context, l mail.Letter) error
}

// mailable says whether a link can be sent to a user, before there is one.
func (d *Desk) mailable(who authority.User) error {
	switch {
	case d.cfg.Mail == nil && d.cfg.MailProblem != "":
		return ipc.Errorf(ipc.Unsupported, "the mail server that is set up cannot be used: %s", d.cfg.MailProblem)
	case d.cfg.Mail == nil:
		return ipc.Errorf(ipc.Unsupported, "no mail server is set up for the authority")
	case who.Email == "":
		return ipc.Errorf(ipc.InvalidArgument, "the user has no e-mail address")
	case mail.CheckAddress(who.Email) != nil:
		return ipc.Errorf(ipc.InvalidArgument, "the user's e-mail address is not one such as name@example.org")
	}
	return nil
}

// mailed sends the link to its user, and answers without it. Where it was not
// sent, nobody has it, and it is made useless. No lock is held meanwhile: a mail
// server may be slow.
func (d *Desk) mailed(ctx context.Context, c *caller, who authority.User, made ipc.MadeActivation) (ipc.MadeActivation, error) {
	link := made.Link
	made.Link = nil
	defer clear(link)
	profile, err := c.authority.Profile()
	if err == nil {
		err = d.cfg.Mail.Send(ctx, mail.Letter{To: who.Email, Values: mail.Values{
			Name: orElse(who.Display, who.Name), User: who.Name, Authority: profile.Name, Account: made.Activation.Account, Link: string(link),
			Expires: made.Activation.Expires, Waiting: made.Activation.State == ipc.CodeWaiting, Contact: profile.Contact, Portal: profile.Portal,
		}})
	}
	e := authority.Entry{Kind: actMail, By: c.by, User: who.ID, Account: made.Activation.AccountID, OK: err == nil, Detail: made.Activation.ID}
	if err != nil {
		e.Detail += " " + mailReason(err)
	}
	c.chain.Audit(e)
	if err == nil {
		made.MailedTo = who.Email
		return made, nil
	}
	d.cfg.Log.Error("a link was not sent by e-mail", "activation", made.Activation.ID, "err", errors.Join(err, errors.Unwrap(err)))
	if off := c.issuer.RevokeActivation(c.by, made.Activation.ID); off != nil {
		return ipc.MadeActivation{}, d.failed(off)
	}
	return ipc.MadeActivation{}, mailFailed(err)
}

func mailReason(err error) string {
	var e *mail.Error
	if errors.As(err, &e) {
		return string(e.Problem)
	}
	return "failed"
}

// mailFailed is the answer where the link was not sent, and so is useless.
func mailFailed(err error) error {
	message := "the link was not sent, and was made useless"
	var e *mail.Error
	if errors.As(err, &e) {
		if message += ": " + e.Error(); e.Unsure {
			message += ", when it had the whole letter: if that arrives all the same, its link is useless"
		}
	}
	return &ipc.Error{Kind: ipc.MailFailed, Message: message, Items: []ipc.Item{{Reason: mailReason(err)}}, Err: err}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
