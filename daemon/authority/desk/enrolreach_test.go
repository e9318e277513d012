package desk_test

import (
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// TestChildEnrollsNobody: an administrator of a child authority names a user as somebody
// whom the organisation's verifier does not know yet, and asks for the account there: it
// would be good wherever that verifier is asked.
func TestChildEnrollsNobody(t *testing.T) {
	b, s := withDuo(t)
	ctx := t.Context()
	if _, err := b.AddChildAuthority(ctx, root, ipc.NewChildAuthority{Name: "west"}); err != nil {
		t.Fatal(err)
	}
	west := "west"
	if _, err := b.EditUser(ctx, root, "admin", ipc.EditUserRequest{Authority: &west}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.AddUser(ctx, as("admin"), ipc.NewUser{Name: "ceo"}); err != nil {
		t.Fatal(err)
	}
	if made, err := b.EnrollUser(ctx, as("admin"), "duo", ipc.UserRef{User: "ceo"}); !beyond(err) || len(s.enrolled) > 0 {
		t.Errorf("%+v, %v: %q are made", made, err, s.enrolled)
	}
	if _, err := b.EnrollUser(ctx, as("owner"), "duo", ipc.UserRef{User: "ceo"}); err != nil {
		t.Errorf("the root authority's: %v", err)
	}
}
