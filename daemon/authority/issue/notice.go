package issue

import (
	"slices"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// notices tells a device which of its accounts were revoked, until it says that
// it forgot their secrets. Devices that are revoked are told as well: they above
// all.
func (i *Issuer) notices(s *step, b *message.Notice) (message.Result, error) {
	d, ok, err := i.asker(s, true)
	if err != nil || !ok {
		return i.unknown(s), err
	}
	out := &message.Notices{}
	for _, id := range s.mine.Accounts {
		r, found, err := get[accountRecord](s.tx, accountsBucket, id)
		if err != nil {
			return nil, err
		}
		h := r.find(s.device(), Revoked)
		switch {
		case !found || h == nil:
		case slices.Contains(b.Forgotten, id.String()):
			r.drop(s.device(), Revoked)
			err = put(s.tx, accountsBucket, id, r)
		case len(out.Revoked) < 32:
			out.Revoked = append(out.Revoked, message.Notification{Account: id.String(), At: h.Since.Unix(), By: h.By})
		}
		r.wipe()
		if err != nil {
			return nil, err
		}
	}
	if s.talk.Stage == "" {
		// A list changes nothing, and neither does forgetting what was forgotten.
		s.passing = true
		s.talk = conversation{Kind: message.KindNotice, Stage: asking, User: d.User, Until: s.now.Add(s.life())}
	}
	return out, i.seen(s, d)
}

// retire marks a device as revoked that has no account any more.
func retire(tx *store.Tx, p portfolio, device message.ID) error {
	for _, id := range p.Accounts {
		r, _, err := get[accountRecord](tx, accountsBucket, id)
		has := r.find(device, Active) != nil
		r.wipe()
		if err != nil || has {
			return err
		}
	}
	d, found, err := get[deviceRecord](tx, devicesBucket, device)
	if err != nil || !found {
		return err
	}
	d.State = Revoked
	return put(tx, devicesBucket, device, d)
}
