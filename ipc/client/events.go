package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"

	"github.com/tokenbridge/tokend/ipc"
)

// keepAlive is the type of the line that only says that the daemon lives.
const keepAlive = "keep-alive"

// Events calls receive for each event, the present state first, until ctx ends
// (then the error is Cancelled), receive fails (then it is receive's error) or
// the daemon ends the stream (Unreachable). It uses a connection of its own.
func (c *Client) Events(ctx context.Context, receive func(ipc.Event) error) error {
	return c.follow(ctx, "GET", "events", receive)
}

// Agent registers this process as the agent of its login session, for as long as
// it runs, which is as Events does. can says what it can ask, see ipc.Agents; empty
// is ipc.AgentCanNothing.
func (c *Client) Agent(ctx context.Context, can string, receive func(ipc.Event) error) error {
	if can == "" {
		can = ipc.AgentCanNothing
	}
	return c.follow(ctx, "POST", "agent?can="+url.QueryEscape(can), receive)
}

func (c *Client) follow(ctx context.Context, method, path string, receive func(ipc.Event) error) error {
	if err := ctx.Err(); err != nil {
		return cancelled(err)
	}
	cn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer cn.Close()
	cn.begin(ctx)
	defer cn.stop()
	head, _, err := request{method: method, path: base + path}.encode(c.name)
	if err != nil {
		return err
	}
	_, sendErr := cn.send(head, nil)
	a, err := cn.readHead(maxAnswer)
	if err != nil {
		return c.broken(ctx, cn, errors.Join(sendErr, err))
	}
	if a.status != 200 {
		data, err := a.readAll(maxAnswer)
		if err != nil {
			return c.broken(ctx, cn, err)
		}
		return answerError(a.status, data)
	}
	return c.stream(ctx, cn, a.body, receive)
}

func (c *Client) stream(ctx context.Context, cn *conn, body io.Reader, receive func(ipc.Event) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, readBuffer), maxLine)
	for lines.Scan() {
		var e ipc.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nonsense(err)
		}
		if e.Type == keepAlive {
			continue
		}
		if err := receive(e); err != nil {
			return err
		}
	}
	err := lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return c.broken(ctx, cn, err)
}
