package issue

import (
	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// Forget removes all there is of a user: accounts, devices, activations, bypass
// codes, security keys and conversations. It is to be called before the user is removed, and does
// nothing the second time. It fails with NotFound.
func (i *Issuer) Forget(by, user string) error {
	e := authority.Entry{}
	err := i.store.Update(func(tx *store.Tx) error {
		u, err := i.reg.UserIn(tx, user)
		if err != nil {
			return err
		}
		e.User = u.ID
		p, err := portfolioOf(tx, u.ID)
		if err != nil {
			return err
		}
		gone := map[string][]message.ID{devicesBucket: p.Devices, accountsBucket: p.Accounts, activationsBucket: p.Activations, bypassBucket: p.Bypass, securityKeysBucket: p.Keys}
		for _, t := range p.Talks {
			gone[conversationsBucket] = append(gone[conversationsBucket], t.ID)
		}
		if id, ok := parseID(u.ID); ok {
			gone[portfoliosBucket] = []message.ID{id}
		}
		for bucket, ids := range gone {
			for _, id := range ids {
				if err := tx.Delete(bucket, id[:]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	i.admin("user-forget", by, e, err)
	return err
}
