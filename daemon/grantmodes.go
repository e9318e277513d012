package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"sync"

	"github.com/tokenbridge/tokend/ipc"
)

// modes is what programs need before they are handed codes, kept in grants.json
// beside the vault: ids of accounts, no names. It is not in the vault because it
// is about the programs of this machine, and must be known, and can be made
// stricter, while the vault is locked. Unlike the notes it decides something:
// where it cannot be read, the user is asked about everything. The mode of an
// account that was removed stays: a restore can bring the account back.
type modes struct {
	path string
	mu   sync.Mutex
	data modesData
	// problem is why the file was not used.
	problem error
	// closed says that the file is another's now: nothing is written any more.
	closed bool
}

type modesData struct {
	Version  int                      `json:"version"`
	Mode     ipc.GrantMode            `json:"mode"`
	Accounts map[string]ipc.GrantMode `json:"accounts,omitempty"`
}

// modesVersion is that of the file's format.
const modesVersion = 1

// modesName is the file in the user's folder.
const modesName = "grants.json"

func readModes(path string, log *slog.Logger) *modes {
	m := &modes{path: path, data: modesData{Mode: ipc.GrantOff}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m
	}
	if err == nil {
		m.data, err = parseModes(b)
	}
	if err != nil {
		log.Warn("cannot read the modes of grants; the user is asked about every account", "err", err)
		m.data, m.problem = modesData{Mode: ipc.GrantAsk}, err
	}
	return m
}

func parseModes(b []byte) (modesData, error) {
	var d modesData
	if err := json.Unmarshal(b, &d); err != nil {
		return d, err
	}
	if d.Version != modesVersion {
		return d, fmt.Errorf("the file has version %d", d.Version)
	}
	for _, mode := range d.Accounts {
		if !mode.Valid() {
			return d, fmt.Errorf("there is no mode %q", mode)
		}
	}
	if !d.Mode.Valid() {
		return d, fmt.Errorf("there is no mode %q", d.Mode)
	}
	return d, nil
}

// of is the mode of an account. A user who has no folder has no vault either.
func (m *modes) of(account string) ipc.GrantMode {
	if m == nil {
		return ipc.GrantOff
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if own, ok := m.data.Accounts[account]; ok {
		return own
	}
	return m.data.Mode
}

// get is a copy.
func (m *modes) get() modesData {
	if m == nil {
		return modesData{Mode: ipc.GrantOff}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.data
	d.Accounts = maps.Clone(d.Accounts)
	return d
}

// damaged is why the file was not used, nil where it was.
func (m *modes) damaged() error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.problem
}

// set puts a mode on disk, then in force: of an account, or of all that have
// none of their own where account is empty. An empty mode takes an account's
// own away.
func (m *modes) set(account string, mode ipc.GrantMode) error {
	if m == nil {
		return errNoVault()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errNoVault()
	}
	d := m.data
	d.Version, d.Accounts = modesVersion, maps.Clone(d.Accounts)
	switch {
	case account == "":
		d.Mode = mode
	case mode == "":
		delete(d.Accounts, account)
	default:
		if d.Accounts == nil {
			d.Accounts = make(map[string]ipc.GrantMode)
		}
		d.Accounts[account] = mode
	}
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if err := writeFile(m.path, b); err != nil {
		return err
	}
	m.data, m.problem = d, nil
	return nil
}

// close ends the modes: their folder goes.
func (m *modes) close() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
}

// modesOf is the user's modes, nil where he has no folder.
func (u *user) modesOf() *modes {
	if _, err := u.storeIfAny(); err != nil {
		u.d.log.Debug("cannot open a user's folder", "uid", u.uid, "err", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.modes
}
