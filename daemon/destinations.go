package daemon

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// destinationNote is what is remembered of a folder that backups are copied to.
type destinationNote struct {
	ID        string    `json:"id"`
	Path      string    `json:"path"`
	Kind      string    `json:"kind"`
	Service   string    `json:"service,omitempty"`
	Mount     string    `json:"mount,omitempty"`
	Keep      int       `json:"keep"`
	KeepDays  int       `json:"keep_days,omitempty"`
	StaleDays int       `json:"stale_days,omitempty"` // 0 is what the configuration says
	Added     time.Time `json:"added"`
	Elsewhere bool      `json:"elsewhere,omitempty"`
	Memory    bool      `json:"memory,omitempty"`

	LastTry     time.Time `json:"last_try,omitzero"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	// State is how the last try ended, Since since when it has ended so, Reason why.
	State  ipc.DestinationState `json:"state,omitempty"`
	Since  time.Time            `json:"since,omitzero"`
	Reason string               `json:"reason,omitempty"`
	// LastLost is when a copy was last found to be gone or damaged, and what that
	// was.
	LastLost time.Time `json:"last_lost,omitzero"`
	Lost     string    `json:"lost,omitempty"`
}

// The kinds of destination.
const (
	kindFolder    = "folder"
	kindSync      = "sync"
	kindRemovable = "removable"
)

// The bounds of what a destination keeps.
const (
	maxDestinations = 16
	defaultKeep     = 30
	maxKeep         = 10_000
	maxDays         = 36_500
	removableStale  = 30 // days
)

// destination is the note of a destination by id or path, nil when there is none.
func (n *notesData) destination(id string) *destinationNote {
	for i := range n.Destinations {
		if d := &n.Destinations[i]; id != "" && (d.ID == id || d.Path == id) {
			return d
		}
	}
	return nil
}

// stale is how long a destination may be without success.
func (t *destinationNote) stale(usual time.Duration) time.Duration {
	switch {
	case t.StaleDays > 0:
		return time.Duration(t.StaleDays) * day
	case t.Kind == kindRemovable:
		return removableStale * day
	}
	return usual
}

// state is how a destination is now.
func (t *destinationNote) state(now time.Time, usual time.Duration) ipc.DestinationState {
	last := t.LastSuccess
	if last.IsZero() {
		last = t.Added
	}
	switch {
	case t.State == ipc.DestinationFailing:
		return ipc.DestinationFailing
	case now.Sub(last) > t.stale(usual):
		return ipc.DestinationStale
	case t.State == "":
		return ipc.DestinationNew
	}
	return t.State
}

// gone says that the folder is no more, and what was in it: it is not there, though the
// disk that it lay on is the vault's own, or it was in memory.
func (t *destinationNote) gone() bool {
	return t.State == ipc.DestinationAbsent && !t.Elsewhere
}

// away says what has to come back for a folder that is not there, and what is run then.
func (t *destinationNote) away() (hint, fix string) {
	switch {
	case t.gone() && t.Memory:
		return "it was in memory, which a restart of the machine empties", fixForget(t)
	case t.gone():
		return "it was on the vault's own disk, and was removed or renamed", inOrder("mkdir -p "+ipc.ShellWord(t.Path), fixRun)
	case t.Kind == kindSync:
		return "what keeps it in step with other machines has to make it again", fixRun
	}
	return "plug its disk in", fixRun
}

// fixForget is the command that gives a destination up.
func fixForget(t *destinationNote) string {
	return "tokenctl backup destination remove " + ipc.ShellWord(t.Path)
}

// wireDestination is a destination as it is told.
func (u *user) wireDestination(n *notesData, t destinationNote) ipc.Destination {
	usual := u.d.rules.Load().StaleAfter
	out := ipc.Destination{
		ID: t.ID, Path: t.Path, Kind: t.Kind, Service: t.Service, Mount: t.Mount, Keep: t.Keep, KeepDays: t.KeepDays,
		StaleDays: int((t.stale(usual) + day - 1) / day), Added: wireTime(t.Added),
		LastSuccess: wireTime(t.LastSuccess), LastTry: wireTime(t.LastTry),
		State: t.state(u.d.now(), usual), Since: wireTime(t.Since), Reason: t.Reason, Elsewhere: t.Elsewhere, Memory: t.Memory,
	}
	for _, b := range n.Backups {
		if slices.ContainsFunc(b.Where, func(c copyNote) bool { return c.Destination == t.ID && c.Lost == "" }) {
			out.Copies++
		}
	}
	return out
}

func (u *user) wireDestinations(n *notesData) []ipc.Destination {
	list := []ipc.Destination{}
	for _, t := range n.Destinations {
		list = append(list, u.wireDestination(n, t))
	}
	return list
}

// keeping is the caller's part of the daemon, with a vault in it.
func (d *Daemon) keeping(p *ipc.Principal) (*user, error) {
	u, err := d.user(p)
	if err != nil {
		return nil, err
	}
	if _, err := u.existing(); err != nil {
		return nil, err
	}
	return u, nil
}

// Destinations implements [ipc.AutoBackups].
func (d *Daemon) Destinations(_ context.Context, p ipc.Principal) (ipc.DestinationList, error) {
	u, err := d.keeping(&p)
	if err != nil {
		return ipc.DestinationList{}, err
	}
	n := u.notesOf().get()
	return ipc.DestinationList{Version: ipc.Version, Destinations: u.wireDestinations(&n)}, nil
}

// AddDestination implements [ipc.AutoBackups]. The folder need not be there: the
// daemon does not look.
func (d *Daemon) AddDestination(_ context.Context, p ipc.Principal, r ipc.AddDestinationRequest) (ipc.Destination, error) {
	u, err := d.keeping(&p)
	if err != nil {
		return ipc.Destination{}, err
	}
	if err := checkDestination(&r); err != nil {
		return ipc.Destination{}, err
	}
	id, err := d.randomID()
	if err != nil {
		return ipc.Destination{}, mapError(err)
	}
	full := false
	var added destinationNote
	err = u.notesOf().update(func(n *notesData) {
		t := n.destination(r.Path)
		if t == nil {
			if full = len(n.Destinations) >= maxDestinations; full {
				return
			}
			n.Destinations = append(n.Destinations, destinationNote{ID: id, Path: r.Path, Added: wireTime(d.now())})
			t = &n.Destinations[len(n.Destinations)-1]
		}
		t.Kind, t.Service, t.Mount, t.Keep, t.KeepDays, t.StaleDays = r.Kind, r.Service, r.Mount, r.Keep, r.KeepDays, r.StaleDays
		t.Elsewhere, t.Memory = r.Elsewhere && !r.Memory, r.Memory
		added = *t
	})
	if full {
		return ipc.Destination{}, ipc.Errorf(ipc.InvalidArgument, "there can be %d destinations", maxDestinations)
	}
	u.auditResult(p, "backup-destination", added.ID, err)
	if err != nil {
		return ipc.Destination{}, mapError(err)
	}
	n := u.notesOf().get()
	return u.wireDestination(&n, added), nil
}

// checkDestination refuses what makes no sense, and fills in what is not said.
func checkDestination(r *ipc.AddDestinationRequest) error {
	if err := checkText("path of a destination", r.Path, longestPath); err != nil {
		return err
	}
	if err := checkText("name of a service", r.Service, 64); err != nil {
		return err
	}
	if err := checkText("mount of a destination", r.Mount, longestPath); err != nil {
		return err
	}
	if r.Kind == "" {
		r.Kind = kindFolder
	}
	if r.Keep == 0 {
		r.Keep = defaultKeep
	}
	switch {
	case !absolute(r.Path):
		return ipc.Errorf(ipc.InvalidArgument, "the path of a destination is absolute")
	case !slices.Contains([]string{kindFolder, kindSync, kindRemovable}, r.Kind):
		return ipc.Errorf(ipc.InvalidArgument, "a destination is a %s, %s or %s", kindFolder, kindSync, kindRemovable)
	case r.Keep < 1 || r.Keep > maxKeep:
		return ipc.Errorf(ipc.InvalidArgument, "a destination keeps 1 to %d backups", maxKeep)
	case r.KeepDays < 0 || r.KeepDays > maxDays || r.StaleDays < 0 || r.StaleDays > maxDays:
		return ipc.Errorf(ipc.InvalidArgument, "a number of days lies between 0 and %d", maxDays)
	}
	return nil
}

// absolute says that a path is, on this system or, as another client could be on,
// by its looks.
func absolute(path string) bool {
	return strings.HasPrefix(path, "/") || strings.HasPrefix(path, `\\`) ||
		len(path) > 2 && path[1] == ':' && (path[2] == '\\' || path[2] == '/')
}

// RemoveDestination implements [ipc.AutoBackups].
func (d *Daemon) RemoveDestination(_ context.Context, p ipc.Principal, id string, r ipc.RemoveDestinationRequest) (ipc.DestinationList, error) {
	u, err := d.keeping(&p)
	if err != nil {
		return ipc.DestinationList{}, err
	}
	n := u.notesOf().get()
	t := n.destination(id)
	if t == nil {
		return ipc.DestinationList{}, ipc.Errorf(ipc.NotFound, "there is no such destination")
	}
	if r.Confirm != t.ID {
		return ipc.DestinationList{}, ipc.Errorf(ipc.InvalidArgument, "the confirmation is not the destination's id")
	}
	err = u.notesOf().update(func(n *notesData) {
		n.Destinations = slices.DeleteFunc(n.Destinations, func(o destinationNote) bool { return o.ID == t.ID })
		n.eachCopy(func(c *copyNote) { // the files stay, as if made by hand
			if c.Destination != t.ID {
				return
			}
			switch c.Destination = ""; {
			case c.Lost != "":
			case t.gone():
				c.Lost = "its folder is gone"
			case t.Memory: // nobody will say when it is
				c.Lost = "it is in memory, not on a disk"
			}
		})
	})
	u.auditResult(p, "backup-destination", t.ID, err)
	if err != nil {
		return ipc.DestinationList{}, mapError(err)
	}
	n = u.notesOf().get()
	return ipc.DestinationList{Version: ipc.Version, Destinations: u.wireDestinations(&n)}, nil
}

// randomID draws 8 hexadecimal digits.
func (d *Daemon) randomID() (string, error) {
	b := make([]byte, 4)
	if _, err := io.ReadFull(d.cfg.Rand, b); err != nil {
		return "", fmt.Errorf("cannot draw random bytes: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// device is what tells this device's files from others', drawn when it is first
// needed.
func (u *user) device() (string, error) {
	if id := u.notesOf().get().Device; id != "" {
		return id, nil
	}
	id, err := u.d.randomID()
	if err != nil {
		return "", err
	}
	err = u.notesOf().update(func(n *notesData) {
		if n.Device == "" {
			n.Device = id
		}
		id = n.Device
	})
	if err != nil { // it holds while the daemon runs, and backups must not wait
		u.d.log.Warn("cannot write the daemon's notes on a user", "uid", u.uid, "err", err)
	}
	return id, nil
}

// longestHost bounds the part of a file's name that tells the machine.
const longestHost = 24

// hostPart is this machine's name as a part of a file's name.
func hostPart() string {
	name, err := os.Hostname()
	if err != nil {
		name = ""
	}
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name)
	if name = strings.Trim(name[:min(longestHost, len(name))], "-"); name == "" {
		return "host"
	}
	return name
}

// copyName is a backup's name in every folder: of vault, machine, device and time.
func copyName(vaultID, device string, at time.Time) string {
	return "tokend-" + vaultID[:min(8, len(vaultID))] + "-" + hostPart() + "-" + device + "-" + at.UTC().Format("20060102T150405Z") + ".tokend"
}
