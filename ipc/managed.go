package ipc

import "context"

// Managed is the device's side of managed accounts: the conversations with the
// authorities that issued them. The daemon reaches nobody: every method returns a
// step with the sealed request to carry, and [Managed.TakeAnswer] takes the sealed
// answer that was carried back. A request whose answer was lost can be carried
// again; an answer that comes twice does nothing the second time.
//
// They fail with VaultLocked where the vault is, with NotFound for an account or a
// conversation that there is not, and with Conflict for a conversation that is not
// where this can be done. account is an account's id or its name if that is unique;
// conversation is the id that a step has.
type Managed interface {
	// Activate begins an activation. The same link again is the same conversation.
	// It fails with InvalidArgument for what is no link, or a descriptor of another
	// authority than the link's, and with
	// ActivationBad for a link that is too old.
	Activate(ctx context.Context, p Principal, r ActivateRequest) (ManagedStep, error)
	// Reactivate begins to bring an account back to life, or says how far that is.
	// It fails with InvalidArgument for an account that no authority has issued.
	Reactivate(ctx context.Context, p Principal, account string, r ReactivateRequest) (ManagedStep, error)
	// Conversations tells what is under way, and what has ended within a day.
	Conversations(ctx context.Context, p Principal) (ManagedStepList, error)
	// GiveFactor tries a factor that was offered.
	GiveFactor(ctx context.Context, p Principal, conversation string, r GiveFactorRequest) (ManagedStep, error)
	// PollConversation asks whether what is waited for has happened.
	PollConversation(ctx context.Context, p Principal, conversation string) (ManagedStep, error)
	// ProveAgain makes another proof, where the authority did not take a code.
	ProveAgain(ctx context.Context, p Principal, conversation string) (ManagedStep, error)
	// TakeAnswer takes a sealed answer, of whichever conversation. It fails with
	// InvalidArgument for one that answers nothing that was asked here, and then
	// changes nothing.
	TakeAnswer(ctx context.Context, p Principal, r TakeAnswerRequest) (ManagedStep, error)

	// AskQuestions asks, by an account that is active here, which of the user's
	// other devices want to be approved.
	AskQuestions(ctx context.Context, p Principal, account string) (ManagedStep, error)
	// AnswerQuestion answers one of those.
	AnswerQuestion(ctx context.Context, p Principal, conversation string, r AnswerQuestionRequest) (ManagedStep, error)
	// AskNotices asks which accounts of this device were revoked, and takes their
	// secrets away.
	AskNotices(ctx context.Context, p Principal, account string) (ManagedStep, error)
	// AskDevices asks, by an account that is active here, for the user's devices.
	AskDevices(ctx context.Context, p Principal, account string) (ManagedStep, error)
	// RevokeDevice takes all accounts of that authority from one of those devices.
	RevokeDevice(ctx context.Context, p Principal, conversation string, r RevokeDeviceRequest) (ManagedStep, error)
}
