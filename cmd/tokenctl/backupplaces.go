package main

import (
	"context"
	"os"
	"time"
)

// answerTime is how long a destination may take to answer: one on a stick or a
// machine that hangs would keep the search from everything else.
const answerTime = 2 * time.Second

// places is where backups are looked for: in the destinations first, then in the
// usual places. all says that every destination answered.
func (c *cli) places(ctx context.Context) (list []place, all bool) {
	all = true
	if d, err := c.daemon().Destinations(ctx); err == nil {
		limit := time.NewTimer(answerTime)
		defer limit.Stop()
		for _, dest := range d.Destinations {
			answer := make(chan struct{}, 1)
			go func() {
				_, _ = os.Stat(dest.Path)
				answer <- struct{}{}
			}()
			select {
			case <-answer:
				list = append(list, place{dest.Path, 1})
				continue
			case <-limit.C:
			case <-ctx.Done():
			}
			all = false
			break
		}
	}
	return append(list, usualPlaces(c.getenv)...), all
}

// findUsual searches the destinations and the usual places.
func (c *cli) findUsual(ctx context.Context) findDocument {
	places, all := c.places(ctx)
	doc := c.findBackups(ctx, places)
	doc.Complete = doc.Complete && all
	return doc
}
