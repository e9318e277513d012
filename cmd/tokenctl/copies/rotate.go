package copies

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
)

// nameOf is the pattern of a copy's name: tokend, vault, host, device, time, number.
func nameOf() *regexp.Regexp {
	return regexp.MustCompile(`^tokend-([0-9a-f]{8})-[a-z0-9-]{1,24}-([0-9a-f]{8})-(\d{8}T\d{6}Z)(-\d{1,2})?\.tokend$`)
}

// old is a file of this device's, of this vault.
type old struct {
	name   string
	at     time.Time
	number string // "-2" and so on, for the same second
}

// mostRead bounds how many of the files that stay are read; those beyond count by
// their names.
const mostRead = 64

// rotate removes what need not be kept: files of this vault and this device that
// are whole backups and are not protected. What is not whole is left for a person to
// look at, and takes no whole one's place. It comes after everything that should be
// there was found there.
func (w *work) rotate() error {
	names, err := w.r.FS.ReadDir(w.j.Folder)
	if err != nil {
		return err
	}
	own := w.own(names)
	if !slices.ContainsFunc(w.beyond(own), w.mayGo) {
		return nil // as nearly always: those that stay are not read
	}
	kept := 0
	var newest time.Time // of what is whole
	for _, o := range own {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		stays := kept < max(1, w.j.Keep) && !w.tooOld(o, newest)
		switch {
		case stays && kept >= mostRead:
			kept++
			continue
		case w.ownSum(o) == "":
			continue
		case newest.IsZero():
			newest = w.notAhead(o.at)
		}
		if stays || !w.mayGo(o) {
			kept++
			continue
		}
		path := filepath.Join(w.j.Folder, o.name)
		if err := w.r.FS.Remove(path); err != nil {
			return fmt.Errorf("cannot remove the old backup %s: %w", o.name, err)
		}
		w.dropPoints(path)
		w.res.Removed = append(w.res.Removed, path)
	}
	return nil
}

// own is which files are this device's, of this vault, by their names; the newest
// first.
func (w *work) own(names []string) []old {
	pattern := nameOf()
	var own []old
	for _, n := range names {
		m := pattern.FindStringSubmatch(n)
		if m == nil || w.j.VaultID == "" || m[1] != w.j.VaultID[:min(8, len(w.j.VaultID))] || m[2] != w.j.Device {
			continue
		}
		if at, err := time.Parse("20060102T150405Z", m[3]); err == nil {
			own = append(own, old{n, at, m[4]})
		}
	}
	slices.SortFunc(own, func(a, b old) int {
		if c := b.at.Compare(a.at); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(len(b.number), len(a.number)), strings.Compare(b.number, a.number))
	})
	return own
}

// beyond are those that would go, if the names of all told the truth.
func (w *work) beyond(own []old) []old {
	var out []old
	for i, o := range own {
		if i > 0 && (i >= w.j.Keep || w.tooOld(o, w.notAhead(own[0].at))) {
			out = append(out, o)
		}
	}
	return out
}

// mayGo says that a file is a whole backup of this vault, and none that is wanted here.
func (w *work) mayGo(o old) bool {
	sum := w.ownSum(o)
	here := func(c Copy) bool { return c.SHA256 == sum || c.Path == filepath.Join(w.j.Folder, o.name) }
	return sum != "" && !slices.Contains(w.j.Protected, sum) && !slices.ContainsFunc(w.res.Seen, here)
}

// tooOld says that a copy is kept no longer: so much older than the newest, not than
// the clock, which may be wrong by years.
func (w *work) tooOld(o old, newest time.Time) bool {
	return w.j.KeepFor > 0 && !newest.IsZero() && newest.Sub(o.at) > w.j.KeepFor
}

// notAhead is a time, or now where that is earlier.
func (w *work) notAhead(at time.Time) time.Time {
	if now := w.r.Now(); at.After(now) {
		return now
	}
	return at
}

// ownSum is the checksum of a file that is a whole backup of this vault, empty where
// it is none or cannot be read.
func (w *work) ownSum(o old) string {
	path := filepath.Join(w.j.Folder, o.name)
	if i := slices.IndexFunc(w.res.Seen, func(c Copy) bool { return c.Path == path }); i >= 0 {
		return w.res.Seen[i].SHA256
	}
	data, err := w.r.FS.ReadFile(path, archive.MaxSize+1)
	if err != nil {
		return ""
	}
	if a, err := archive.Parse(data); err != nil || a.Header.VaultID != w.j.VaultID {
		return ""
	}
	return hexSum(data)
}
