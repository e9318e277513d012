package client

import (
	"context"

	"github.com/tokenbridge/tokend/ipc"
)

// Activate begins the activation of a managed account.
func (c *Client) Activate(ctx context.Context, r ipc.ActivateRequest) (ipc.ManagedStep, error) {
	return send[ipc.ManagedStep](ctx, c, "POST", "managed/activate", r)
}

// Reactivate begins to bring an account back to life, or says how far that is.
func (c *Client) Reactivate(ctx context.Context, account string, r ipc.ReactivateRequest) (ipc.ManagedStep, error) {
	return send[ipc.ManagedStep](ctx, c, "POST", at("accounts", account, "reactivate"), r)
}

// Conversations tells what is under way with authorities.
func (c *Client) Conversations(ctx context.Context) (ipc.ManagedStepList, error) {
	return get[ipc.ManagedStepList](ctx, c, "managed")
}

// GiveFactor tries a factor that was offered.
func (c *Client) GiveFactor(ctx context.Context, conversation string, r ipc.GiveFactorRequest) (ipc.ManagedStep, error) {
	return send[ipc.ManagedStep](ctx, c, "POST", at("managed", conversation, "factor"), r)
}

// PollConversation asks whether what is waited for has happened.
func (c *Client) PollConversation(ctx context.Context, conversation string) (ipc.ManagedStep, error) {
	return send[ipc.ManagedStep](ctx, c, "POST", at("managed", conversation, "poll"), nil)
}

// ProveAgain makes another proof of the new secret.
func (c *Client) ProveAgain(ctx context.Context, conversation string) (ipc.ManagedStep, error) {
	return send[ipc.ManagedStep](ctx, c, "POST", at("managed", conversation, "prove"), nil)
}

// TakeAnswer takes a sealed answer that was carried back.
func (c *Client) TakeAnswer(ctx context.Context, r ipc.TakeAnswerRequest) (ipc.ManagedStep, error) {
	return send[ipc.ManagedStep](ctx, c, "POST", "managed/answer", r)
}

// AskQuestions asks which of the user's other devices want to be approved.
func (c *Client) AskQuestions(ctx context.Context, account string) (ipc.ManagedStep, error) {
	return send[ipc.ManagedStep](ctx, c, "POST", at("accounts", account, "questions"), nil)
}

// AnswerQuestion answers one of those.
func (c *Client) AnswerQuestion(ctx context.Context, conversation string, r ipc.AnswerQuestionRequest) (ipc.ManagedStep, error) {
	return send[ipc.ManagedStep](ctx, c, "POST", at("managed", conversation, "question"), r)
}

// AskNotices asks which accounts of this device were revoked.
func (c *Client) AskNotices(ctx context.Context, account string) (ipc.ManagedStep, error) {
	return send[ipc.ManagedStep](ctx, c, "POST", at("accounts", account, "notices"), nil)
}

// AskDevices asks for the user's devices.
func (c *Client) AskDevices(ctx context.Context, account string) (ipc.ManagedStep, error) {
	return send[ipc.ManagedStep](ctx, c, "POST", at("accounts", account, "devices"), nil)
}

// RevokeDevice takes all accounts of that authority from one of those devices.
func (c *Client) RevokeDevice(ctx context.Context, conversation string, r ipc.RevokeDeviceRequest) (ipc.ManagedStep, error) {
	return send[ipc.ManagedStep](ctx, c, "POST", at("managed", conversation, "revoke-device"), r)
}
