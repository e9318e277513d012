package authority

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/store"
)

const (
	pairEvery = 250 * time.Millisecond // of one user, on average
	pairBurst = 8
	pairSlots = 4096
)

// pairs bounds how often passcodes in a row are tried of a user who is throttled.
// They may be tried at once, or strangers could keep him out; but not at any rate:
// at 4 a second, 345,600 a day, two passcodes of 6 digits of a HOTP fob are
// guessed with a chance of 4 in 10^6 a day. What exceeds the rate is refused
// without being looked at, and can be sent again. It is kept in memory alone, in
// slots that users may happen to share.
type pairs struct {
	mu    sync.Mutex
	slots [pairSlots]time.Time // until when a slot is spent; its zero value is a full one
}

// allow says whether one more try may be made, and counts it.
func (p *pairs) allow(user store.Key, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	slot := &p.slots[binary.BigEndian.Uint64(user[:])%pairSlots]
	spent := *slot
	if spent.Before(now) || spent.Sub(now) > 2*pairBurst*pairEvery { // the clock was set back
		spent = now
	}
	if spent.Sub(now) >= pairBurst*pairEvery {
		return false
	}
	*slot = spent.Add(pairEvery)
	return true
}
