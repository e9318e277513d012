package copies

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// older looks at the copies of earlier backups: into the first that is whole, and at
// each of the others, whether it is there and as long as it was. It comes last, when
// what is new is safe and what is too old was removed.
func (w *work) older() error {
	look := w.read
	for _, c := range w.j.Older {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if slices.Contains(w.res.Removed, c.Path) || slices.ContainsFunc(w.res.Seen, func(s Copy) bool { return s.Path == c.Path }) {
			continue
		}
		what, err := look(c)
		switch {
		case err != nil:
			return fmt.Errorf("the older copy %s cannot be looked at: %w", filepath.Base(c.Path), err)
		case what == "":
			look = w.glance
		case what == isGone && w.retired(c):
			w.res.Removed = append(w.res.Removed, c.Path)
		default:
			w.lose(c.Path, what)
		}
	}
	return nil
}

// read is what is wrong with a copy by its bytes.
func (w *work) read(c Copy) (string, error) {
	what, err := w.whole(c.Path, c.SHA256)
	if what == "" && err == nil {
		w.res.Seen = append(w.res.Seen, c)
	}
	return what, err
}

// glance is what is wrong with a copy as far as its folder tells.
func (w *work) glance(c Copy) (string, error) {
	info, err := w.r.FS.Stat(c.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w.gone()
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", errors.New("not a regular file")
	case info.Size() == 0:
		return isEmpty, nil
	case c.Size > 0 && info.Size() != int64(c.Size):
		return isChanged, nil
	}
	return "", nil
}

// retired says that a copy that is gone is one that retention would remove, by its
// name: a run that was killed did that, and could not say so.
func (w *work) retired(c Copy) bool {
	names, err := w.r.FS.ReadDir(w.j.Folder)
	if err != nil {
		return false
	}
	name := filepath.Base(c.Path)
	return slices.ContainsFunc(w.beyond(w.own(append(names, name))), func(o old) bool { return o.name == name })
}
