package main

import (
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// again is how long a daemon that is gone is left alone before it is looked for
// once more.
const again = time.Second

// listen hears what happens to the vault, for as long as the list is shown.
func (p *picker) listen() {
	for p.ctx.Err() == nil {
		err := p.c.daemon().Events(p.ctx, func(e ipc.Event) error {
			p.post(func() { p.heard(e) })
			return nil
		})
		p.post(func() { p.gone(err) })
		select {
		case <-p.ctx.Done():
		case <-time.After(again):
		}
	}
}

// heard does what an event makes necessary.
func (p *picker) heard(e ipc.Event) {
	switch e.Type {
	case ipc.EventState:
		p.found(e.Vault)
	case ipc.EventLocked:
		p.locked(lockText(e))
	case ipc.EventUnlocked:
		p.opened()
	case ipc.EventAccountAdded, ipc.EventAccountChanged, ipc.EventAccountRemoved, ipc.EventDropped:
		p.load()
	case ipc.EventNotice:
		if p.busy == nil {
			p.say(clean(e.Detail))
		}
	case ipc.EventTouchWanted, ipc.EventTokenWaiting, ipc.EventWorking:
		if text := announcement(e); p.busy != nil && text != "" && p.c.isMine(e) {
			p.busy.waits = p.c.numbered(e, text) + " …"
		}
	}
}

// found is how the vault is when the daemon answers, for the first time or again.
func (p *picker) found(v *ipc.Vault) {
	switch {
	case v == nil:
	case v.State == ipc.VaultIsLocked:
		p.locked("the vault is locked")
	case v.State == ipc.VaultNone:
		p.locked("there is no vault any more")
	case v.State == ipc.VaultBroken:
		p.locked("the vault is damaged")
	default:
		p.opened() // also where it was open: it may have been changed since
	}
}

// opened shows the list again.
func (p *picker) opened() {
	if p.state != pickOpen {
		p.state, p.why = pickOpen, ""
		p.say("")
	}
	p.load()
}

// locked takes everything from the screen that a locked vault does not tell.
func (p *picker) locked(why string) {
	if p.state != pickLocked || p.why == "" {
		p.away(pickLocked, upperFirst(why)+".")
	}
}

// gone is the same for a daemon that does not answer: it could not tell that the
// vault was locked.
func (p *picker) gone(err error) {
	e := asError(p.ctx, err)
	if p.ctx.Err() == nil {
		p.away(pickGone, upperFirst(clean(e.Message))+".")
	}
}

func (p *picker) away(state pickState, why string) {
	p.state, p.why = state, why
	p.epoch++
	p.list.clear()
	p.question = nil
	p.say("")
}

// load asks for the accounts anew.
func (p *picker) load() {
	if p.stale = p.loading; p.loading {
		return
	}
	p.loading = true
	epoch := p.epoch
	p.spawn(func() {
		list, err := p.c.daemon().Accounts(p.ctx)
		p.post(func() {
			p.loading = false
			switch {
			case err != nil && epoch == p.epoch:
				p.fails("list the accounts", err)
			case err == nil && epoch == p.epoch && p.state == pickOpen:
				p.list.set(list.Accounts)
			}
			if p.stale || epoch != p.epoch && p.state == pickOpen {
				p.stale = false
				p.load()
			}
		})
	})
}

// refresh asks for the codes on the screen that are missing or have run out. No
// more than those: of five thousand accounts most are never looked at.
func (p *picker) refresh() {
	if p.refreshing || p.state != pickOpen {
		return
	}
	now := p.c.now()
	var wanted []ipc.Account
	for _, at := range p.list.visible() {
		it := &p.list.items[at]
		if it.live() && !now.Before(it.code.ValidUntil) && !now.Before(it.later) {
			wanted = append(wanted, it.account)
		}
	}
	if len(wanted) == 0 {
		return
	}
	p.refreshing = true
	epoch := p.epoch
	p.spawn(func() {
		got := make([]row, len(wanted))
		for i, a := range wanted {
			got[i].account = a
			err := p.c.passiveCode(p.ctx, &got[i])
			switch ipc.KindOf(err) {
			case ipc.VaultLocked, ipc.Unreachable, ipc.Cancelled:
				p.post(func() { p.refreshed(epoch, got[:i], err) })
				return
			}
			if err != nil {
				got[i].reason = pressEnter // then it is told why not
			}
		}
		p.post(func() { p.refreshed(epoch, got, nil) })
	})
}

// refreshed puts codes into the list. err is why there are no more of them.
func (p *picker) refreshed(epoch int, got []row, err error) {
	p.refreshing = false
	if epoch != p.epoch {
		return
	}
	for _, r := range got {
		it := p.list.find(r.account.ID)
		if it == nil {
			continue
		}
		it.code, it.reason = r.code, r.reason
		if r.reason != "" {
			it.later = p.c.now().Add(5 * again)
		}
	}
	if err != nil {
		p.fails("refresh the codes", err)
	}
}
