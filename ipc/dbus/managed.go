package dbus

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/tokenbridge/tokend/ipc"
)

// What conversations with authorities need no secret for. What is typed, a link or
// a passcode, goes over the socket; so a conversation can be begun here, go on
// there, and be read from either.

// inJSON is a document of the API as a text, in the form that it has over HTTP.
func inJSON(v any, err error) ([]any, error) {
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the answer: %w", err)
	}
	return []any{string(raw)}, nil
}

// stepOf is inJSON for a step.
func stepOf(s ipc.ManagedStep, err error) ([]any, error) { return inJSON(s, err) }

func vaultConversations(c *call) ([]any, error) {
	list, err := c.s.cfg.Backend.Conversations(c.ctx, c.who)
	return inJSON(list, err)
}

func vaultTakeAnswer(c *call) ([]any, error) {
	raw, err := base64.StdEncoding.DecodeString(c.str(0))
	if err != nil {
		return nil, ipc.Errorf(ipc.InvalidArgument, "the answer is not base64")
	}
	return stepOf(c.s.cfg.Backend.TakeAnswer(c.ctx, c.who, ipc.TakeAnswerRequest{Message: raw}))
}

func vaultPoll(c *call) ([]any, error) {
	return stepOf(c.s.cfg.Backend.PollConversation(c.ctx, c.who, c.str(0)))
}

func vaultProve(c *call) ([]any, error) {
	return stepOf(c.s.cfg.Backend.ProveAgain(c.ctx, c.who, c.str(0)))
}

func vaultAnswerQuestion(c *call) ([]any, error) {
	o := c.options(1)
	r := ipc.AnswerQuestionRequest{Question: value(o.str("question")), Yes: o.bool("yes"), Number: value(o.number("number"))}
	if err := o.done(); err != nil {
		return nil, err
	}
	return stepOf(c.s.cfg.Backend.AnswerQuestion(c.ctx, c.who, c.str(0), r))
}

func vaultRevokeDevice(c *call) ([]any, error) {
	o := c.options(1)
	r := ipc.RevokeDeviceRequest{Device: value(o.str("device")), This: o.bool("this"), Last: o.bool("last")}
	if err := o.done(); err != nil {
		return nil, err
	}
	return stepOf(c.s.cfg.Backend.RevokeDevice(c.ctx, c.who, c.str(0), r))
}

func accountReactivate(c *call) ([]any, error) {
	o := c.options(1)
	r := ipc.ReactivateRequest{DeviceName: c.str(0), ByHand: o.bool("by_hand"), Anew: o.bool("anew")}
	if err := o.done(); err != nil {
		return nil, err
	}
	return stepOf(c.s.cfg.Backend.Reactivate(c.ctx, c.who, c.node.id, r))
}

func accountQuestions(c *call) ([]any, error) {
	return stepOf(c.s.cfg.Backend.AskQuestions(c.ctx, c.who, c.node.id))
}

func accountNotices(c *call) ([]any, error) {
	return stepOf(c.s.cfg.Backend.AskNotices(c.ctx, c.who, c.node.id))
}

func accountDevices(c *call) ([]any, error) {
	return stepOf(c.s.cfg.Backend.AskDevices(c.ctx, c.who, c.node.id))
}
