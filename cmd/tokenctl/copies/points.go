package copies

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// PointSuffix is added to the name of a backup: the file has checkpoints of the audit
// log, one a line, the oldest first. The backup's own format has no room for them.
const PointSuffix = ".checkpoint"

// maxPoints is how large such a file becomes, in bytes: some 200 of them. The oldest
// go first.
const maxPoints = 64 << 10

// points puts the newest checkpoint beside the copies that were written, and beside
// the newest one. What stands there already is kept: a chain that was cut since would
// have a newer checkpoint, too. Copies are as good without, so that this fails by
// itself.
func (w *work) points() error {
	if w.j.Point == "" {
		return nil
	}
	due := w.res.Written
	if len(w.j.Wanted) > 0 {
		for _, c := range w.res.Seen {
			if c.SHA256 == w.j.Wanted[0].SHA256 {
				due = append(due[:len(due):len(due)], c)
			}
		}
	}
	for _, c := range due {
		if err := w.point(c.Path + PointSuffix); err != nil {
			return fmt.Errorf("cannot write %s: %w", filepath.Base(c.Path)+PointSuffix, err)
		}
	}
	return nil
}

func (w *work) point(path string) error {
	was, err := w.r.FS.ReadFile(path, maxPoints+1)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err == nil && len(was) > 0 && !bytes.HasPrefix(was, []byte(w.j.PointPrefix)), len(was) > maxPoints:
		return errors.New("a file of this name is there, and is not of tokend")
	case bytes.Contains(was, []byte(w.j.Point)):
		return nil
	}
	text := append(bytes.TrimRight(was, "\n"), '\n')
	if len(was) == 0 {
		text = nil
	}
	text = append(text, w.j.Point+"\n"...)
	for len(text) > maxPoints {
		text = text[bytes.IndexByte(text, '\n')+1:]
	}
	tmp := w.tempName()
	if err := w.r.FS.WriteNew(tmp, text); err != nil {
		_ = w.r.FS.Remove(tmp)
		return err
	}
	if err := w.r.FS.Rename(tmp, path); err != nil {
		_ = w.r.FS.Remove(tmp)
		return err
	}
	return w.r.FS.SyncDir(w.j.Folder)
}

// dropPoints removes the checkpoints of a copy that was removed, if they are that.
func (w *work) dropPoints(copied string) {
	path := copied + PointSuffix
	data, err := w.r.FS.ReadFile(path, maxPoints+1)
	if err == nil && w.j.PointPrefix != "" && strings.HasPrefix(string(data), w.j.PointPrefix) {
		_ = w.r.FS.Remove(path)
	}
}
