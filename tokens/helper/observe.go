package helper

import (
	"context"
	"errors"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// Observation is how an operation went, for who counts.
type Observation struct {
	Operation string // as the helper knows it: "agree", "list"
	// Outcome is empty where it succeeded.
	Outcome tokens.Code
	Took    time.Duration
	// Touched says that the token waited for a touch.
	Touched bool
}

// call runs one operation, and tells who counts how it went.
func (c *Client) call(ctx context.Context, req wire.Request, k call, out any) error {
	if c.cfg.Observe == nil {
		return c.run(ctx, req, k, out)
	}
	o := Observation{Operation: string(req.Op)}
	inner := k.onTouch
	k.onTouch = func() {
		o.Touched = true
		if inner != nil {
			inner()
		}
	}
	start := time.Now()
	err := c.run(ctx, req, k, out)
	o.Took = time.Since(start)
	var told *tokens.Error
	switch {
	case errors.As(err, &told):
		o.Outcome = told.Code
	case err != nil:
		o.Outcome = tokens.CodeProtocol
	}
	c.cfg.Observe(o)
	return err
}
