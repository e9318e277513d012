package issue

import "github.com/tokenbridge/tokend/daemon/authority"

// The kinds of entries that this package makes, beside "verify":
//
//	activation-create, activation-approve, activation-revoke   by an administrator; Detail is the activation's id
//	activation-mail                                            the link was sent to the user, or why not; the desk tells it
//	bypass-create, bypass-revoke, bypass-use                   the same, of a bypass code; used by a device
//	device-revoke, account-revoke                              by an administrator, by another device of the user's or because it took the account over
//	security-key-add, security-key-remove                      by an administrator; Detail is "key=" and its id
//	security-key-copied                                        its counter went back: there may be a copy
//	user-forget                                                all there was of a user was removed
//	activate                                                   a device used an activation, or why not
//	reactivate-begin, reactivate-factor                        what a device asked for, and what came of it
//	verifier-ask, verifier-answer                              a remote verifier was asked; Detail is who, the factor, and the answer
//	device-ask, device-approve                                 a device asked the others; one answered
//	secret-issue, secret-prove                                 a new secret, and its proof
//	managed-verify                                             a code of a managed account

// admin tells of what an administrator did.
func (i *Issuer) admin(kind, by string, e authority.Entry, err error) {
	e.Kind, e.By, e.OK = kind, by, err == nil
	if err != nil {
		e.Detail = authority.Why(err)
	}
	i.audit.Audit(e)
}

// WithAudit is the same issuer for one caller: of what he does x is told. reg is
// the registry for him.
func (i *Issuer) WithAudit(reg Registry, x authority.Auditor) *Issuer {
	j := *i
	j.reg, j.audit = reg, x
	return &j
}
