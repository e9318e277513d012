package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
)

// serviceName is the service's name; a service that has its process for itself is
// started under whatever name it has.
const serviceName = "tokend"

// suspending is PBT_APMSUSPEND of winuser.h.
const suspending = 4

// paramChange is what stands for the configuration's having changed, as SIGHUP does
// elsewhere.
type paramChange struct{}

func (paramChange) Signal() {}

func (paramChange) String() string { return "paramchange" }

// manager is the service manager, where it has started this process.
type manager struct {
	ready   chan struct{}  // closed when the daemon answers
	changed chan os.Signal // the configuration
}

// underManager runs the daemon, under the service manager where that has started it. Who has
// not been started by it cannot speak with it, which is told at once.
func underManager(ctx context.Context, o options, stderr io.Writer) error {
	m := &managed{options: o, ctx: ctx, users: make(map[uint32]string)}
	err := svc.Run(serviceName, m)
	if errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		s, err := newService(o, stderr)
		if err != nil {
			return err
		}
		return s.run(ctx)
	}
	if err != nil {
		return fmt.Errorf("cannot serve under the service manager: %w", err)
	}
	return m.err
}

// hangups is the channel of the service manager's word that the configuration has
// changed.
func (m manager) hangups() (<-chan os.Signal, func()) { return m.changed, func() {} }

// notifyReady tells the service manager, where there is one.
func (s *service) notifyReady() {
	if s.manager.ready != nil {
		close(s.manager.ready)
	}
}

// managed does what the service manager asks for. It implements svc.Handler.
type managed struct {
	options options
	service *service
	ctx     context.Context
	users   map[uint32]string // SIDs, by their sessions
	err     error             // of the run
}

// begin makes the service, with the event log for its log: what keeps it from
// starting, a mistake in the configuration, stands there too.
func (m *managed) begin() error {
	log, err := openEvents()
	if err != nil {
		return err
	}
	if m.service, err = newService(m.options, log); err != nil {
		return errors.Join(err, log.write(slog.LevelError, "the daemon cannot start: "+err.Error()))
	}
	m.service.manager = manager{ready: make(chan struct{}), changed: make(chan os.Signal, 1)}
	return nil
}

// Execute implements svc.Handler. The service counts as running when the daemon
// answers.
func (m *managed) Execute(_ []string, requests <-chan svc.ChangeRequest, states chan<- svc.Status) (bool, uint32) {
	ctx, stop := context.WithCancel(m.ctx)
	defer stop()
	states <- svc.Status{State: svc.StartPending}
	if m.err = m.begin(); m.err != nil {
		return true, 1
	}
	ended := make(chan error, 1)
	go func() { ended <- m.service.run(ctx) }()
	ready := m.service.manager.ready
	for {
		select {
		case <-ready:
			ready = nil
			m.learn()
			states <- svc.Status{
				State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown | svc.AcceptParamChange | svc.AcceptPowerEvent | svc.AcceptSessionChange,
			}
		case m.err = <-ended:
			if m.err != nil {
				m.service.log.Error("the daemon ended", "err", m.err)
				return true, 1
			}
			return false, 0
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				states <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				states <- svc.Status{State: svc.StopPending}
				stop()
			case svc.ParamChange:
				select {
				case m.service.manager.changed <- paramChange{}:
				default: // it is about to read it anyway
				}
			case svc.PowerEvent:
				if r.EventType == suspending {
					m.service.daemon.LockAll("the machine suspends")
				}
			case svc.SessionChange:
				m.session(r.EventType, r.EventData)
			}
		}
	}
}

// session locks the vault of a user who leaves his session: who comes to it then
// need not be he.
func (m *managed) session(event uint32, data uintptr) {
	var reason string
	switch event {
	case windows.WTS_SESSION_LOCK:
		reason = "the session was locked"
	case windows.WTS_SESSION_LOGOFF:
		reason = "the session ended"
	case windows.WTS_CONSOLE_DISCONNECT, windows.WTS_REMOTE_DISCONNECT:
		reason = "the session was left"
	}
	id, err := sessionOf(data)
	if err == nil {
		m.remember(id)
	}
	if reason == "" {
		return
	}
	uid := m.users[id]
	if err != nil || uid == "" {
		// Whose it is cannot be told: rather one vault too many.
		m.service.log.Warn("all vaults are locked, for it is not known whose session this is", "why", reason, "session", strconv.FormatUint(uint64(id), 10))
		m.service.daemon.LockAll(reason)
		return
	}
	m.service.daemon.LockUser(uid, reason)
	if event == windows.WTS_SESSION_LOGOFF {
		delete(m.users, id)
	}
}

// remember keeps whose a session is: after its end the system does not say.
func (m *managed) remember(session uint32) {
	if uid, err := sessionUser(session); err == nil {
		m.users[session] = uid
	}
}

// learn remembers the sessions that there are.
func (m *managed) learn() {
	var first *windows.WTS_SESSION_INFO
	var n uint32
	if err := windows.WTSEnumerateSessions(0, 0, 1, &first, &n); err != nil {
		m.service.log.Warn("cannot tell whose sessions there are", "err", err)
		return
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(first)))
	for _, s := range unsafe.Slice(first, n) {
		m.remember(s.SessionID)
	}
}

// sessionOf reads the session of a change from where the service manager has put it.
// That is the manager's memory, so it is read as another process's would be: what is
// not there any more is an error, not the end of this process.
func sessionOf(data uintptr) (uint32, error) {
	var n windows.WTSSESSION_NOTIFICATION
	size := unsafe.Sizeof(n)
	var read uintptr
	err := windows.ReadProcessMemory(windows.CurrentProcess(), data, (*byte)(unsafe.Pointer(&n)), size, &read)
	if err != nil {
		return 0, fmt.Errorf("cannot read which session it is: %w", err)
	}
	if read != size || uintptr(n.Size) != size {
		return 0, fmt.Errorf("cannot read which session it is: %d of %d bytes", n.Size, size)
	}
	return n.SessionID, nil
}
