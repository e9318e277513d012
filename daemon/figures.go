package daemon

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// auditEvery is how old what is known of audit logs may be in the figures: reading
// them all takes long where there are many.
const auditEvery = 10 * time.Minute

// figures is what gathering them remembers. It is guarded by its mutex, and so one
// gathering goes on at a time.
type figures struct {
	mu      sync.Mutex
	audited time.Time
	audit   map[bool]int // how many logs are intact, and are not
}

// Metrics is the figures in Prometheus's text format, for who administers the machine
// and for the user whom the daemon runs as. They name no user and no account.
func (d *Daemon) Metrics(_ context.Context, p ipc.Principal) ([]byte, error) {
	p, err := d.Identify(p)
	if err != nil {
		return nil, err
	}
	if !p.Admin && (p.UID != d.cfg.Owner || d.cfg.Owner == "") {
		return nil, ipc.Errorf(ipc.NotAuthorized, "the figures are for who administers the machine")
	}
	return d.Figures()
}

// Figures is Metrics for the daemon's own program.
func (d *Daemon) Figures() ([]byte, error) {
	d.figures.mu.Lock()
	defer d.figures.mu.Unlock()
	m := d.cfg.Metrics
	if m.Set == nil {
		return nil, ipc.Errorf(ipc.Unsupported, "nothing is counted here")
	}
	m.Build.Set(1, d.cfg.Version)
	m.Started.Set(float64(d.started.Unix()))
	m.Helper.Bool(d.helper() == "ok")
	if state := d.bus(); state != "" {
		m.Bus.Bool(state == "ok")
	}
	if free, err := freeSpace(d.cfg.StateDir); err == nil {
		m.DiskFree.Set(float64(free))
	}
	if d.cfg.Configuration != nil {
		st := d.cfg.Configuration()
		m.ConfigOK.Bool(st.Problem == "" && !st.Changed)
		m.ConfigWaits.Set(float64(len(st.Waits)))
		m.ConfigFailing.Set(float64(len(st.Failing)))
		m.ConfigLoaded.Set(float64(st.Loaded.Unix()))
	}
	m.EventStreams.Set(float64(len(d.hub.receivers())))
	m.EventsDropped.Is(float64(d.hub.lost.Load()))
	d.tokenFigures()
	d.vaultFigures()
	d.auditFigures()
	m.Process()
	if d.cfg.Gather != nil {
		d.cfg.Gather()
	}
	m.Written.Set(float64(d.now().Unix()))
	var b bytes.Buffer
	if err := m.Write(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (d *Daemon) tokenFigures() {
	m := d.cfg.Metrics
	m.TokensPresent.Clear()
	m.TokenService.Clear()
	count := map[string]int{}
	for _, t := range d.presence.all() {
		count[string(t.Kind)]++
	}
	for _, kind := range watchedKinds(d.cfg.Watchers) {
		ok, _ := d.presence.service(kind)
		m.TokenService.Bool(ok, string(kind))
		m.TokensPresent.Set(float64(count[string(kind)]), string(kind))
	}
}

// vaultFigures counts over all users: of one alone nothing can be told.
func (d *Daemon) vaultFigures() {
	m := d.cfg.Metrics
	states, problems, places, conditions := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{"ok": 0, "urgent": 0}
	for _, s := range []ipc.VaultState{ipc.VaultIsLocked, ipc.VaultUnlocked, ipc.VaultReadOnly, ipc.VaultBroken} {
		states[string(s)] = 0
	}
	var success, proof oldest
	for _, u := range d.everyUser() {
		info := u.vaultInfo()
		if info.State == ipc.VaultNone {
			continue
		}
		states[string(info.State)]++
		if u.notesOf() == nil {
			continue
		}
		st := u.backupStatus()
		if st.OK {
			conditions["ok"]++
		} else {
			conditions["urgent"]++
		}
		for _, p := range st.Problems {
			problems[p.Code]++
		}
		for _, to := range st.Destinations {
			places[string(to.State)]++
			success.see(to.LastSuccess)
		}
		if st.Proved != nil {
			proof.see(st.Proved.Proved)
		} else if st.Newest != nil {
			proof.see(time.Time{})
		}
	}
	for _, g := range []struct {
		to interface {
			Clear()
			Set(v float64, values ...string)
		}
		counts map[string]int
	}{{m.Vaults, states}, {m.BackupProblems, problems}, {m.BackupDestinations, places}, {m.BackupVaults, conditions}} {
		g.to.Clear()
		for label, n := range g.counts {
			g.to.Set(float64(n), label)
		}
	}
	m.BackupOldest.Clear()
	m.BackupProved.Clear()
	if success.any {
		m.BackupOldest.Set(success.unix)
	}
	if proof.any {
		m.BackupProved.Set(proof.unix)
	}
}

// oldest is the oldest of times, in seconds since 1970; one that never was is the
// oldest, and 0.
type oldest struct {
	any  bool
	unix float64
}

func (o *oldest) see(t time.Time) {
	unix := 0.0
	if !t.IsZero() {
		unix = float64(t.Unix())
	}
	if !o.any || unix < o.unix {
		o.any, o.unix = true, unix
	}
}

// auditFigures needs figures.mu.
func (d *Daemon) auditFigures() {
	f := &d.figures
	if f.audit == nil || d.now().Sub(f.audited).Abs() >= auditEvery {
		f.audited, f.audit = d.now(), map[bool]int{}
		for _, u := range d.everyUser() {
			log, problem, err := u.chain()
			if log == nil && err == nil && problem == "" {
				continue // he has none
			}
			intact := err == nil && problem == "" && log != nil
			if intact {
				found, err := log.Check()
				intact = err == nil && found.Intact()
			}
			f.audit[intact]++
		}
	}
	d.cfg.Metrics.AuditLogs.Set(float64(f.audit[true]), "intact")
	d.cfg.Metrics.AuditLogs.Set(float64(f.audit[false]), "damaged")
}
