package issue

import (
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// devices lists the devices of who asks.
func (i *Issuer) devices(s *step) (message.Result, error) {
	d, ok, err := i.asker(s, false)
	if err != nil || !ok {
		return i.unknown(s), err
	}
	out := &message.DeviceList{}
	at := map[message.ID]int{}
	for _, id := range s.mine.Devices {
		x, found, err := get[deviceRecord](s.tx, devicesBucket, id)
		if err != nil {
			return nil, err
		}
		if !found || len(out.Devices) >= MaxDevices {
			continue
		}
		at[id] = len(out.Devices)
		out.Devices = append(out.Devices, message.OwnDevice{ID: id, Name: x.Name, State: string(x.State), This: id == s.device(),
			First: x.First.Unix(), Last: x.Last.Unix()})
	}
	err = eachHeld(s.tx, s.mine, func(r *accountRecord, on []message.ID) {
		for _, id := range on {
			if n, ok := at[id]; ok {
				out.Devices[n].Has = append(out.Devices[n].Has, len(out.Accounts))
			}
		}
		out.Accounts = append(out.Accounts, r.title())
	})
	if err != nil {
		return nil, err
	}
	if s.talk.Stage == "" {
		s.talk = conversation{Kind: message.KindDevices, Stage: asking, User: d.User, Until: s.now.Add(s.life())}
	}
	return out, i.seen(s, d)
}

// eachHeld calls f for each account that works on some device, with these devices.
// There are at most MaxAccounts.
func eachHeld(tx *store.Tx, p portfolio, f func(r *accountRecord, on []message.ID)) error {
	for _, id := range p.Accounts {
		r, found, err := get[accountRecord](tx, accountsBucket, id)
		if err != nil {
			return err
		}
		var on []message.ID
		for _, h := range r.Holders {
			if h.State == Active && !slices.Contains(on, h.Device) {
				on = append(on, h.Device)
			}
		}
		if found && len(on) > 0 {
			f(&r, on)
		}
		r.wipe()
	}
	return nil
}

// revokeOwn takes all accounts from a device of who asks. Other users' devices are
// as unknown as those that there are not.
func (i *Issuer) revokeOwn(s *step, b *message.RevokeDevice) (message.Result, error) {
	asker, ok, err := i.asker(s, false)
	if err != nil || !ok {
		return i.unknown(s), err
	}
	if r, err := i.throttled(s, serviceOwn); err != nil || r != nil {
		return r, err
	}
	d, found, err := get[deviceRecord](s.tx, devicesBucket, b.Device)
	if err != nil {
		return nil, err
	}
	if !found || d.User != s.user.ID {
		s.tell("device-revoke", false, "unknown")
		return s.again(codeDevice, "you have no such device", 0), i.reg.Failed(s.tx, serviceOwn, s.user.ID, s.now)
	}
	if b.This != (b.Device == s.device()) {
		s.tell("device-revoke", false, codeThis)
		return s.again(codeThis, "the device that asks is revoked where it is named as that, and no other is then", 0), nil
	}
	if r, err := i.lastOne(s, b); err != nil || r != nil {
		return r, err
	}
	if err := i.revokeDevice(s.tx, s.mine, b.Device, d, asker.Name); err != nil {
		return nil, err
	}
	s.entries = append(s.entries, authority.Entry{Kind: "device-revoke", User: s.user.ID, Device: b.Device.String(), OK: true,
		Detail: "by-device=" + s.device().String()})
	return &message.Done{Revoked: []string{d.Name}}, nil
}

// lastOne refuses where an account would be left on no device, unless the user
// knows it; nil where none would.
func (i *Issuer) lastOne(s *step, b *message.RevokeDevice) (message.Result, error) {
	var left []string
	err := eachHeld(s.tx, s.mine, func(r *accountRecord, on []message.ID) {
		if len(on) == 1 && on[0] == b.Device {
			left = append(left, r.title())
		}
	})
	if err != nil || len(left) == 0 || b.Last {
		return nil, err
	}
	s.tell("device-revoke", false, codeLast)
	return s.again(codeLast, shown("no other device has "+strings.Join(left, ", "), 400), 0), nil
}
