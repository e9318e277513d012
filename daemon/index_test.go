package daemon

import (
	"errors"
	"testing"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
)

func TestFindAccounts(t *testing.T) {
	x := newIndex([]vault.Account{
		{ID: "01", Issuer: "GitHub", Name: "alice"},
		{ID: "02", Issuer: "GitLab", Name: "alice"},
		{ID: "03", Issuer: "github", Name: "bob"},
		{ID: "04", Name: "01x"},
		{ID: "05", Issuer: "Caf\u00e9", Name: "carol"},
		{ID: "06", Issuer: "same", Name: "same"},
	})
	for _, c := range []struct {
		ref   string
		id    string
		kind  ipc.Kind
		items int
	}{
		{ref: "01", id: "01"},
		{ref: "GitHub", id: "01"}, // exact before case
		{ref: "github", id: "03"},
		{ref: "GITHUB", kind: ipc.Ambiguous, items: 2},
		{ref: "GitHub:alice", id: "01"},
		{ref: "gitlab:ALICE", id: "02"},
		{ref: "alice", kind: ipc.Ambiguous, items: 2},
		{ref: "git", kind: ipc.Ambiguous, items: 3},
		{ref: "lab", id: "02"},
		{ref: "01X", id: "04"},
		{ref: "Cafe\u0301", id: "05"}, // another normal form
		{ref: "same", id: "06"},       // issuer and name of one account are one hit
		{ref: "nobody", kind: ipc.NotFound},
		{ref: "", kind: ipc.InvalidArgument},
		{ref: "\xff", kind: ipc.NotFound},
	} {
		a, err := x.find(c.ref)
		if c.kind == "" {
			if err != nil || a.ID != c.id {
				t.Errorf("%q: got %q, %v; want %q", c.ref, a.ID, err, c.id)
			}
			continue
		}
		var e *ipc.Error
		if !errors.As(err, &e) || e.Kind != c.kind || len(e.Items) != c.items {
			t.Errorf("%q: got %v; want kind %s with %d items", c.ref, err, c.kind, c.items)
		}
		for _, item := range append([]ipc.Item(nil), e.Items...) {
			if item.ID == "" || item.Name == "" {
				t.Errorf("%q: an item without id or name: %+v", c.ref, item)
			}
		}
	}
}
