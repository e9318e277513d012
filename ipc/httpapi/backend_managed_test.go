package httpapi_test

import (
	"context"

	"github.com/tokenbridge/tokend/ipc"
)

// managedStep is a step whose request waits to be carried.
func managedStep() ipc.ManagedStep {
	return ipc.ManagedStep{
		Version: 1, Conversation: "c1", Kind: "reactivate", Account: &ipc.AccountRef{ID: "a1", Issuer: "Example", Name: "alice@example.com"},
		Phase: ipc.PhaseAsked, Request: []byte("sealed"), Until: &noon,
		Authority: ipc.ManagedAuthority{Name: "Example AG", ID: "h1", Fingerprint: "ABCD-EFGH", Descriptor: []byte("signed")},
	}
}

func (b *backend) Conversations(_ context.Context, p ipc.Principal) (ipc.ManagedStepList, error) {
	b.note(p, "Conversations", nil)
	return ipc.ManagedStepList{Version: 1, Steps: []ipc.ManagedStep{managedStep()}}, nil
}

func (b *backend) Activate(_ context.Context, p ipc.Principal, r ipc.ActivateRequest) (ipc.ManagedStep, error) {
	b.note(p, "Activate", r)
	return managedStep(), nil
}

func (b *backend) Reactivate(_ context.Context, p ipc.Principal, id string, r ipc.ReactivateRequest) (ipc.ManagedStep, error) {
	b.note(p, "Reactivate "+id, r)
	return managedStep(), nil
}

func (b *backend) GiveFactor(_ context.Context, p ipc.Principal, id string, r ipc.GiveFactorRequest) (ipc.ManagedStep, error) {
	b.note(p, "GiveFactor "+id, r)
	return managedStep(), nil
}

func (b *backend) PollConversation(_ context.Context, p ipc.Principal, id string) (ipc.ManagedStep, error) {
	b.note(p, "PollConversation "+id, nil)
	return managedStep(), nil
}

func (b *backend) ProveAgain(_ context.Context, p ipc.Principal, id string) (ipc.ManagedStep, error) {
	b.note(p, "ProveAgain "+id, nil)
	return managedStep(), nil
}

func (b *backend) TakeAnswer(_ context.Context, p ipc.Principal, r ipc.TakeAnswerRequest) (ipc.ManagedStep, error) {
	b.note(p, "TakeAnswer", r)
	return managedStep(), nil
}

func (b *backend) AskQuestions(_ context.Context, p ipc.Principal, id string) (ipc.ManagedStep, error) {
	b.note(p, "AskQuestions "+id, nil)
	return managedStep(), nil
}

func (b *backend) AnswerQuestion(_ context.Context, p ipc.Principal, id string, r ipc.AnswerQuestionRequest) (ipc.ManagedStep, error) {
	b.note(p, "AnswerQuestion "+id, r)
	return managedStep(), nil
}

func (b *backend) AskNotices(_ context.Context, p ipc.Principal, id string) (ipc.ManagedStep, error) {
	b.note(p, "AskNotices "+id, nil)
	return managedStep(), nil
}

func (b *backend) AskDevices(_ context.Context, p ipc.Principal, id string) (ipc.ManagedStep, error) {
	b.note(p, "AskDevices "+id, nil)
	return managedStep(), nil
}

func (b *backend) RevokeDevice(_ context.Context, p ipc.Principal, id string, r ipc.RevokeDeviceRequest) (ipc.ManagedStep, error) {
	b.note(p, "RevokeDevice "+id, r)
	return managedStep(), nil
}
