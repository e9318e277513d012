package helper

import (
	"context"

	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// The modes of the program.
const (
	modeOp    = "op"    // one request, one answer
	modeWatch = "watch" // one request, and events until it is called off
)

// operation is one run of the program, wherever it runs.
type operation interface {
	// next returns the next line of the answer. It fails with io.EOF where the
	// program has ended.
	next() (wire.Answer, error)
	// end makes sure that the operation is over, and returns how the program ended;
	// nil where that is not known. With now it is not given the time to finish by
	// itself.
	end(now bool) error
}

// start begins an operation and sends it the request. When ctx ends, the program is
// told, and a moment later it is not listened to any more.
func (c *Client) start(ctx context.Context, req wire.Request, mode string) (operation, error) {
	if c.cfg.Sockets != "" {
		return c.connect(ctx, req, mode)
	}
	return c.spawn(ctx, req, mode)
}

// answer reads until the result or the error, and hands events on to the caller.
func answer(o operation, k call) ([]byte, error) {
	for {
		a, err := o.next()
		switch {
		case err != nil:
			return nil, err
		case a.Event == wire.EventTouch:
			if k.onTouch != nil {
				k.onTouch()
			}
		case a.Event == wire.EventBusy:
			if k.onBusy != nil {
				k.onBusy()
			}
		case a.Error != nil:
			return nil, checkError(a.Error)
		case a.Result != nil:
			return a.Result, nil
		default:
			return nil, protocolError("an event of a watch")
		}
	}
}
