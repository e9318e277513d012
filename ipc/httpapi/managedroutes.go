package httpapi

import "github.com/tokenbridge/tokend/ipc"

// managedRoutes are the device's side of managed accounts. Each answers with the
// step that a conversation is at, and with what is to be carried to its authority.
func managedRoutes() []Route {
	type b = ipc.Backend
	const begin, approve, revoke = "reactivate", "approve-device", "revoke-device"
	return []Route{
		read("managed", "What is under way with authorities, and what has ended within a day", b.Conversations),
		with("POST", "managed/activate", AccessChange, begin, "Begin the activation of a managed account by a link", b.Activate),
		with("POST", "managed/answer", AccessChange, begin, "Take an authority's sealed answer, of whichever conversation", b.TakeAnswer),
		itemWith("POST", "managed/{id}/factor", AccessChange, begin, "Try a factor that was offered", b.GiveFactor),
		itemBy("POST", "managed/{id}/poll", AccessChange, begin, "Ask whether what is waited for has happened", b.PollConversation),
		itemBy("POST", "managed/{id}/prove", AccessChange, begin, "Make another proof of the new secret", b.ProveAgain),
		itemWith("POST", "managed/{id}/question", AccessChange, approve, "Answer another device's question", b.AnswerQuestion),
		itemWith("POST", "managed/{id}/revoke-device", AccessChange, revoke, "Take all accounts of the authority from one of the user's devices", b.RevokeDevice),
		itemWith("POST", "accounts/{id}/reactivate", AccessChange, begin, "Begin to bring a managed account back to life, or say how far that is", b.Reactivate),
		itemBy("POST", "accounts/{id}/questions", AccessUse, "read", "Ask the account's authority which other devices want to be approved", b.AskQuestions),
		itemBy("POST", "accounts/{id}/notices", AccessChange, begin, "Ask the account's authority which accounts of this device were revoked", b.AskNotices),
		itemBy("POST", "accounts/{id}/devices", AccessUse, "read", "Ask the account's authority for the user's devices", b.AskDevices),
	}
}
