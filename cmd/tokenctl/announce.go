package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// announced runs call, and when it has not answered after a moment tells the
// person what it waits for: a touch, its turn, a slow computation.
func (c *cli) announced(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- call(ctx) }()
	select {
	case err := <-done:
		return err
	case <-time.After(announceAfter):
	}
	c.heedSignals()
	listening := make(chan struct{})
	listen, stop := context.WithCancel(ctx)
	go func() {
		defer close(listening)
		// Whatever goes wrong with the announcement must not disturb the call.
		_ = c.daemon().Events(listen, c.announcer())
	}()
	err := <-done
	stop()
	<-listening
	return err
}

// announcer tells each thing that this run waits for once.
func (c *cli) announcer() func(ipc.Event) error {
	told := map[string]bool{}
	return func(e ipc.Event) error {
		if !c.isMine(e) {
			return nil
		}
		text := announcement(e)
		key := e.Type + e.Operation + strconv.Itoa(e.Touch) + text
		if e.Type == ipc.EventWorking { // one call may derive several keys
			key = text
		}
		if text == "" || told[key] {
			return nil
		}
		told[key] = true
		c.say("%s …", c.numbered(e, text))
		return nil
	}
}

// numbered is an announcement with the number of the touch, from the second on:
// who touched it once and sees the same words takes them for old.
func (c *cli) numbered(e ipc.Event, text string) string {
	if e.Type != ipc.EventTouchWanted {
		return text
	}
	if c.touches == nil {
		c.touches = map[string]int{}
	}
	name := tokenName(e.Token)
	if c.touches[name]++; c.touches[name] > 1 {
		text += fmt.Sprintf(" (%d)", c.touches[name])
	}
	return text
}

// isMine says whether an event is about something that this run waits for. A
// daemon that tells no names is older than they are; there the program has to do.
func (c *cli) isMine(e ipc.Event) bool {
	if e.Request != "" {
		return e.Request == c.daemon().Name()
	}
	return e.Requester == "" || strings.HasPrefix(e.Requester, "tokenctl")
}

// announcement is what a person is told of an event while a call waits.
func announcement(e ipc.Event) string {
	switch e.Type {
	case ipc.EventTouchWanted:
		s := "touch " + tokenName(e.Token)
		if e.Account != nil {
			s += " for " + accountName(e.Account.Issuer, e.Account.Name)
		}
		return s
	case ipc.EventTokenWaiting:
		if e.Detail != "" {
			return clean(e.Detail)
		}
		return fmt.Sprintf("waiting for %s, place %d in its queue", tokenName(e.Token), e.Place)
	case ipc.EventWorking:
		return "working: deriving a key from the password takes a moment"
	case ipc.EventPINWanted:
		return "your agent asks for the " + pinWord(e.Token) + " of " + tokenName(e.Token)
	case ipc.EventConsentWanted:
		return "your agent asks whether to hand it out"
	}
	return ""
}
