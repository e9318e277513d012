package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// maxFactors is how often a factor is asked for in one run: behind it, the
// authority counts.
const maxFactors = 5

// shortWait is how many seconds a person at a terminal is held up by the authority
// without being sent away.
const shortWait = 15

// choose says which factors there are and gives one.
func (r *reactivation) choose(ctx context.Context) error {
	offer := r.step.Offer
	if offer == nil {
		return r.ended()
	}
	if r.step.Refused != nil && r.tried != "" {
		if err := r.wasRefused(ctx); err != nil {
			return err
		}
	}
	if now := strings.Join(offer.Factors, " "); !r.shown || len(offer.Proved) > 0 || r.offered != now {
		r.shown, r.offered = true, now
		r.sayOffer(offer)
	}
	factor, err := r.pick(ctx, offer)
	if err != nil {
		return err
	}
	r.tried, r.asked = factor, r.asked+1
	return r.give(ctx, factor)
}

// wasRefused says why a factor was not taken. Whoever can be asked is asked again.
func (r *reactivation) wasRefused(ctx context.Context) error {
	no := r.step.Refused
	held := no.Code == "throttled"
	if !r.canAsk() || held && no.RetrySeconds > shortWait || r.asked >= maxFactors || len(r.f.factors)+len(r.f.passcodes) > 0 {
		return r.refused()
	}
	r.say("%s: %s", factorName(r.tried), clean(no.Message))
	r.sayEnrolment(no)
	if held {
		r.say("wait %s; what is typed until then is lost …", waitText(no.RetrySeconds))
		return r.quietly(func() error { return r.sleep(ctx, time.Duration(no.RetrySeconds)*time.Second) })
	}
	for _, line := range adviceOnceMore(no.Code) {
		r.say("  %s", line)
	}
	return nil
}

// sayOffer says what the policy allows and what not, and why.
func (r *reactivation) sayOffer(o *ipc.ManagedOffer) {
	if left := o.Required - len(o.Proved); o.Required > 1 {
		names := make([]string, len(o.Proved))
		for i, f := range o.Proved {
			names[i] = factorName(f)
		}
		r.say("%d different factors are asked for%s", o.Required, either(left < o.Required, "; proved: "+strings.Join(names, ", "), ""))
	}
	// What was told before may not be so any more: the authority is asked by a factor.
	before := r.continued && r.asked == 0
	r.say("%s", either(before, "the policy allowed, when the authority answered last:", "the policy allows:"))
	for i, f := range o.Factors {
		r.say("  %d  %s: %s%s", i+1, clean(f), factorAsks(f), assertedText(o, f, before))
	}
	if len(o.Proved) > 0 {
		return // the rest was said before
	}
	if len(o.Denials) > 0 {
		r.say("and not:")
		for _, d := range o.Denials {
			r.say("  -  %s: %s", factorName(d.Factor), clean(denialText(d)))
		}
	}
	r.say("%s", either(o.OldDevice == "keep", "your other devices keep the account",
		"once this device has proved its secret, the account works on no other device"))
}

// assertedText says by whose word a factor is one, or was one.
func assertedText(o *ipc.ManagedOffer, factor string, before bool) string {
	for _, a := range o.Asserted {
		if a.Factor == factor {
			return " (asserted by " + verifierText(a.By) + either(before, " then)", ")")
		}
	}
	return ""
}

func verifierText(name string) string {
	switch ipc.VerifierName(name) {
	case ipc.VerifierRadius:
		return "RADIUS"
	case ipc.VerifierDuo:
		return "Duo"
	}
	return clean(name)
}

// sayEnrolment shows where the person enrols at who verifies, as a link and for a
// phone's camera.
func (r *reactivation) sayEnrolment(no *ipc.ManagedRefusal) {
	for _, a := range no.Alternatives {
		if a.Kind != "enrolment" || !strings.HasPrefix(a.Value, "https://") {
			continue
		}
		r.say("enrol there, in a browser or with your phone's camera: %s", clean(a.Value))
		lines, err := drawQR(a.Value, true)
		if err != nil || !r.errTTY || r.errWidth != nil && columns(stripColour(lines[0])) > r.errWidth() {
			continue // the link is there
		}
		for _, l := range lines {
			_, _ = fmt.Fprintln(r.err, l)
		}
	}
}

// challenged gives what more is asked for a factor. Of the flags another factor gives
// it up.
func (r *reactivation) challenged(ctx context.Context) error {
	q := r.step.Challenge
	if q == nil {
		return r.ended()
	}
	if o := r.step.Offer; len(r.f.factors) > 0 && o != nil && !slices.ContainsFunc(r.f.factors, func(f string) bool { return factorKey(f) == q.Factor }) {
		factor, err := r.named(o)
		if err != nil {
			return err
		}
		r.tried, r.asked = factor, r.asked+1
		return r.give(ctx, factor)
	}
	prompt := either(q.Prompt == "", "What is asked for the "+factorName(q.Factor), strings.TrimRight(clean(q.Prompt), " :?"))
	p, err := r.typed(ctx, prompt+" (not shown)", "what is asked for")
	if err != nil {
		return r.interrupted(err)
	}
	defer p.Wipe()
	r.tried, r.asked = q.Factor, r.asked+1
	return r.next(r.daemon().GiveFactor(ctx, r.step.Conversation, ipc.GiveFactorRequest{Factor: q.Factor, Passcode: p}))
}

// pick says which factor is given next: the one that a flag names, the only one, or
// what the person picks.
func (r *reactivation) pick(ctx context.Context, o *ipc.ManagedOffer) (string, error) {
	if len(r.f.factors) > 0 {
		return r.named(o)
	}
	if len(o.Factors) == 1 {
		return o.Factors[0], nil
	}
	if len(o.Factors) == 0 {
		return "", r.refused()
	}
	if !r.canAsk() {
		return "", usage("which factor? the policy allows "+strings.Join(o.Factors, ", "), adviceNoTerminal("--factor FACTOR")...)
	}
	for {
		answer, err := r.ask(ctx, fmt.Sprintf("Which one (1 to %d)", len(o.Factors)), "1", "--factor FACTOR")
		if err != nil {
			return "", r.interrupted(err)
		}
		if n, err := strconv.Atoi(answer); err == nil && 1 <= n && n <= len(o.Factors) {
			return o.Factors[n-1], nil
		}
		if f := factorKey(answer); slices.Contains(o.Factors, f) {
			return f, nil
		}
		r.say("please type a number of the list")
	}
}

// factorKey is a factor as somebody may type it.
func factorKey(s string) string {
	return strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(strings.TrimSpace(s)))
}

// allFactors are the factors that there are.
func allFactors() []ipc.Factor {
	return []ipc.Factor{ipc.FactorFob, ipc.FactorOtherDevice, ipc.FactorBypassCode, ipc.FactorSecurityKey, ipc.FactorPush, ipc.FactorSMS, ipc.FactorPhoneCall}
}

// knownFactors refuses what is no factor, whatever a policy would say of it.
func knownFactors(told []string) error {
	for _, t := range told {
		if !slices.Contains(allFactors(), ipc.Factor(factorKey(t))) {
			return usage(fmt.Sprintf("there is no factor %q", t), adviceFactors()...)
		}
	}
	return nil
}

// named is the next factor that the flags name.
func (r *reactivation) named(o *ipc.ManagedOffer) (string, error) {
	for _, told := range r.f.factors {
		f := factorKey(told)
		if slices.Contains(o.Proved, f) {
			continue
		}
		if slices.Contains(o.Factors, f) {
			return f, nil
		}
		err := &ipc.Error{Kind: ipc.PolicyDenied, Message: "the policy does not offer the factor " + told + "; it offers " + strings.Join(o.Factors, ", ")}
		for _, d := range o.Denials {
			if d.Factor == f {
				err.Items = append(err.Items, ipc.Item{Name: factorName(f), Reason: denialText(d)})
			}
		}
		return "", r.failed(err, adviceOtherFactor(o, r.again)...)
	}
	return "", usage("another factor is asked for beside "+strings.Join(r.f.factors, ", ")+": "+strings.Join(o.Factors, " or "),
		adviceNoTerminal("another --factor FACTOR")...)
}

// interrupted adds what is kept to a question that Ctrl-C ended.
func (r *reactivation) interrupted(err error) error {
	if ipc.KindOf(err) == ipc.Cancelled {
		return r.notCarried(err)
	}
	return err
}

// give tries a factor.
func (r *reactivation) give(ctx context.Context, factor string) error {
	q := ipc.GiveFactorRequest{Factor: factor}
	switch ipc.Factor(factor) {
	case ipc.FactorFob, ipc.FactorBypassCode:
		p, err := r.passcode(ctx, factor)
		if err != nil {
			return r.interrupted(err)
		}
		q.Passcode = p
	case ipc.FactorSecurityKey:
		return r.giveKey(ctx, q)
	}
	defer q.Passcode.Wipe()
	return r.next(r.daemon().GiveFactor(ctx, r.step.Conversation, q))
}

// giveKey has a security key answer, with its PIN where it wants one.
func (r *reactivation) giveKey(ctx context.Context, q ipc.GiveFactorRequest) error {
	q.Locator = r.f.key
	var auth ipc.Auth
	how := attempt{word: "PIN", flag: "--key-pin-file"}
	if r.f.keyPIN != "" {
		how.given = true
		var err error
		if auth.PIN, err = r.readSecret(ctx, "--key-pin-file", r.f.keyPIN); err != nil {
			return err
		}
	}
	defer wipeAuth(&auth)
	return r.withPIN(ctx, &auth, how, func(ctx context.Context, a ipc.Auth) error {
		q.PIN = a.PIN
		return r.next(r.daemon().GiveFactor(ctx, r.step.Conversation, q))
	})
}

// passcode is what the person types, or the next file's. What a fob that is a
// keyboard types is taken as it is.
func (r *reactivation) passcode(ctx context.Context, factor string) (ipc.Secret, error) {
	if ipc.Factor(factor) == ipc.FactorFob {
		return r.typed(ctx, "Press or touch your fob; what it shows or types (not shown)", "the passcode")
	}
	return r.typed(ctx, "Bypass code (not shown)", "the bypass code")
}

// typed is the next file's, or what the person types.
func (r *reactivation) typed(ctx context.Context, question, what string) (ipc.Secret, error) {
	if files := r.f.passcodes; len(files) > 0 {
		r.f.passcodes = slices.Clone(files[1:])
		return r.readSecret(ctx, "--passcode-file", files[0])
	}
	if !r.canAsk() {
		return nil, noTerminal(what, "--passcode-file FILE")
	}
	return r.askSecret(ctx, question, "--passcode-file FILE")
}
