package daemon

import (
	"context"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
)

// Undos implements [ipc.Accounts]. It does not extend the idle limit.
func (d *Daemon) Undos(_ context.Context, p ipc.Principal) (ipc.UndoList, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.UndoList{}, err
	}
	s, err := u.open(false)
	if err != nil {
		return ipc.UndoList{}, err
	}
	steps, err := s.vault.Undos()
	if err != nil {
		return ipc.UndoList{}, mapError(err)
	}
	out := ipc.UndoList{Version: ipc.Version, Undos: []ipc.UndoStep{}}
	for _, t := range steps {
		out.Undos = append(out.Undos, ipc.UndoStep{
			ID: t.ID, Source: t.Source, Time: wireTime(t.Made), Until: wireTime(t.Until), Added: t.Added, Replaced: t.Replaced,
			Renamed: t.Renamed, Removed: t.Removed, Undoes: t.Undoes, Undone: t.Undone,
		})
	}
	return out, nil
}

// Undo implements [ipc.Accounts].
func (d *Daemon) Undo(ctx context.Context, p ipc.Principal, r ipc.UndoRequest) (ipc.Plan, error) {
	return d.changed(ctx, p, r.Apply, "undo", func(_ *user, s *session) (vault.Merged, error) {
		m, err := s.vault.Undo(ctx, r.ID, r.Apply)
		if e := mapErrorIf(err); e != nil && e.Kind == ipc.NotFound {
			e.Message = "there is no such step to take back"
			if r.ID == "" {
				e.Message = "there is nothing to take back"
			}
			return m, e
		}
		return m, err
	})
}

func mapErrorIf(err error) *ipc.Error {
	if err == nil {
		return nil
	}
	return mapError(err)
}

// undosEnd warns where new keys end what could be taken back: n steps.
func undosEnd(n int) []ipc.Warning {
	if n == 0 {
		return nil
	}
	return []ipc.Warning{{
		Code:    "undo-dropped",
		Message: count(n, "import or restore", "imports and restores") + " can no longer be taken back: what that took was sealed to the former keys",
	}}
}

// undoable is how many steps can be taken back.
func (s *session) undoable() int {
	steps, err := s.vault.Undos()
	if err != nil {
		return 0
	}
	return len(steps)
}
