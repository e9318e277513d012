package desk

import (
	"time"

	"github.com/tokenbridge/tokend/daemon/audit"
)

// checkpointEvery is how often the daemon's log has a checkpoint of the chain,
// where something was added to it.
const checkpointEvery = 24 * time.Hour

// keys are what the authority signs checkpoints with: its own, which devices know
// from its descriptor.
type keys interface{ audit.Signer }

// told is which checkpoint the daemon's log had last.
type told struct {
	seq  uint64
	when time.Time
}

// open says whose chain it is. The authority's id is the chain's: so one that was
// made anew is found to be another than it was, not another's.
func (c *ledger) open(authorityID string, self keys) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.self, c.authority = self, authorityID
}

// lock takes back the keys, which go with the authority.
func (c *ledger) lock() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.self = nil
}

func (c *ledger) id() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.authority
}

// vouch makes the checkpoint with which a file begins, of the last entry of the
// file before. The log is locked meanwhile.
func (c *ledger) vouch(seq uint64, hash string) string {
	c.mu.Lock()
	self, id := c.self, c.authority
	c.mu.Unlock()
	if self == nil {
		return ""
	}
	point, err := audit.NewCheckpoint(id, seq, hash, c.now(), self)
	if err != nil {
		c.tell.Error("cannot make a checkpoint of the authority's audit log", "err", err)
		return ""
	}
	return point.String()
}

// checkpoint makes a checkpoint of the last entry, which the daemon's log has then.
func (c *ledger) checkpoint() (audit.Checkpoint, error) {
	c.mu.Lock()
	self, id := c.self, c.authority
	c.mu.Unlock()
	if self == nil {
		return audit.Checkpoint{}, errLocked()
	}
	point, err := c.log.Checkpoint(id, self)
	if err != nil {
		return point, err
	}
	c.mu.Lock()
	c.told = told{point.Seq, c.now()}
	c.mu.Unlock()
	c.tell.Info("audit checkpoint", "of", "authority", "chain", point.Chain, "seq", point.Seq, "checkpoint", point.String())
	return point, nil
}

// daily puts a checkpoint into the daemon's log when one is due: the first a while
// after the start.
func (c *ledger) daily() {
	seq, _ := c.log.Head()
	c.mu.Lock()
	last, open := c.told, c.self != nil
	c.mu.Unlock()
	if !open || seq == last.seq || !last.when.IsZero() && c.now().Sub(last.when).Abs() < checkpointEvery {
		return
	}
	if _, err := c.checkpoint(); err != nil {
		c.tell.Error("cannot make a checkpoint of the authority's audit log", "err", err)
	}
}
