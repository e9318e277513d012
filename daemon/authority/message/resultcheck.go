package message

import "slices"

// few refuses lists that are longer than any that is meant.
func few(lengths ...int) error {
	for _, n := range lengths {
		if n > maxList {
			return because(ErrTooLarge, "%d entries", n)
		}
	}
	return nil
}

func words(what string, list []string) error {
	for _, s := range list {
		if err := word(what, s); err != nil {
			return err
		}
	}
	return few(len(list))
}

func seconds(n int) error {
	if n < 0 || n > 1<<31-1 {
		return because(ErrMalformed, "seconds")
	}
	return nil
}

func moment(n int64) error {
	if n <= 0 || n > 1<<40 {
		return because(ErrMalformed, "times")
	}
	return nil
}

func oldDevice(s string) error {
	if s != "revoke" && s != "keep" {
		return because(ErrMalformed, "old device")
	}
	return nil
}

func denials(list []Denial) error {
	for _, d := range list {
		if err := first(word("factor", d.Factor), text("reason", d.Reason, 1, maxShown), text("reason", d.Because, 0, 4*maxShown)); err != nil {
			return err
		}
	}
	return few(len(list))
}

func (r *Refused) check() error {
	for _, a := range r.Alternatives {
		if err := first(word("alternative", a.Kind), text("alternative", a.Value, 1, 4*maxShown)); err != nil {
			return err
		}
	}
	return first(word("code", r.Code), text("message", r.Message, 0, maxShown), denials(r.Denials), few(len(r.Alternatives)),
		text("contact", r.Contact, 0, 4*maxShown), text("reference", r.Reference, 0, maxName), seconds(r.RetryAfter))
}

func (o *Offer) check() error {
	for _, c := range o.Credentials {
		if len(c) == 0 || len(c) > 1023 {
			return because(ErrMalformed, "credential")
		}
	}
	if len(o.By) > 0 && len(o.By) != len(o.Factors) {
		return because(ErrMalformed, "verifiers")
	}
	if o.Required < 1 || o.Required > len(o.Factors)+len(o.Proved) || len(o.Factors) == 0 || len(o.Challenge) > 64 {
		return because(ErrMalformed, "offer")
	}
	return first(words("factor", o.Factors), words("factor", o.Proved), words("verifier", o.By), denials(o.Denials), oldDevice(o.OldDevice),
		text("relying party", o.RelyingTo, 0, 253), few(len(o.Credentials)), moment(o.Until))
}

func (w *Waiting) check() error {
	if w.Number != 0 && (w.Number < leastNumber || w.Number > mostNumber) {
		return because(ErrMalformed, "number")
	}
	return first(word("factor", w.Factor), seconds(w.RetryAfter), moment(w.Until))
}

func (c *Challenge) check() error {
	return first(word("factor", c.Factor), text("prompt", c.Prompt, 0, maxShown), moment(c.Until))
}

func (s *NewSecret) check() error {
	if len(s.Secret) < 16 || len(s.Secret) > 64 || !slices.Contains([]string{"SHA1", "SHA256", "SHA512"}, s.Algorithm) ||
		s.Digits < 6 || s.Digits > 8 || s.Period < 1 || s.Period > 300 {
		return because(ErrMalformed, "secret")
	}
	return first(accountID(s.Account, false), text("issuer", s.Issuer, 0, maxName), text("name", s.Name, 1, 2*maxName),
		oldDevice(s.OldDevice), moment(s.Until))
}

func (d *Done) check() error {
	for _, name := range slices.Concat(d.Revoked, d.Kept) {
		if err := text("device name", name, 1, maxName); err != nil {
			return err
		}
	}
	return few(len(d.Revoked), len(d.Kept))
}

func (q *Questions) check() error {
	for _, x := range q.List {
		if err := first(text("account", x.Account, 1, 2*maxName), text("device name", x.Device, 1, maxName), moment(x.Asked), moment(x.Until)); err != nil {
			return err
		}
	}
	return few(len(q.List))
}

func (n *Notices) check() error {
	for _, x := range n.Revoked {
		if err := first(accountID(x.Account, false), moment(x.At), text("by whom", x.By, 1, 2*maxName)); err != nil {
			return err
		}
	}
	return few(len(n.Revoked))
}
