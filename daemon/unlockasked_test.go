package daemon_test

import (
	"testing"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// TestUnlockByTheAgent: one PIN opens the vault for all who wait for it, an open
// vault asks for none, and without an agent it is as without asking.
func TestUnlockByTheAgent(t *testing.T) {
	d := start(t, nil)
	p := program("1000", "2", "cron.service", "/usr/bin/backup")
	made := initSoft(t, d, p)
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	ask := func(auth ipc.Auth) error {
		_, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: auth, Interaction: ipc.InteractionAgent})
		return err
	}
	if err := ask(ipc.Auth{}); ipc.KindOf(err) != ipc.PINRequired {
		t.Errorf("without an agent: %v", err)
	}
	if _, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Interaction: "psychic"}); ipc.KindOf(err) != ipc.InvalidArgument {
		t.Errorf("an interaction that is none: %v", err)
	}
	asked := 0
	desk := join(t, d, p, func(ipc.Event) ipc.AgentAnswer {
		asked++
		return ipc.AgentAnswer{Allow: true, PIN: secretOf(passphrase)}
	})
	calls := make([]chan error, 5)
	for i := range calls {
		calls[i] = make(chan error, 1)
		go func() { calls[i] <- ask(ipc.Auth{Token: made.Token.ID}) }()
	}
	desk.next(t, ipc.EventPINWanted)
	for _, c := range calls {
		if err := ended(t, c); err != nil {
			t.Errorf("unlock: %v", err)
		}
	}
	if err := ask(ipc.Auth{}); err != nil {
		t.Errorf("unlock of an open vault: %v", err)
	}
	if asked != 1 {
		t.Errorf("the agent was asked %d times", asked)
	}
}

// TestBusIsTold: status and doctor say how it is with the message bus, and nothing
// where there is none to serve on.
func TestBusIsTold(t *testing.T) {
	p := ipc.Principal{UID: "1000"}
	for state, level := range map[string]string{"": "", "ok": "ok", "another program has the name": "warning"} {
		d := start(t, func(c *daemon.Config) { c.Bus = func() string { return state } })
		st, err := d.Status(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		warned := false
		for _, w := range st.Warnings {
			warned = warned || w.Code == "bus"
		}
		found, err := d.Doctor(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range found.Findings {
			if f.Code == "bus" {
				got = f.Level
			}
		}
		if st.Daemon.Bus != state || warned != (level == "warning") || got != level {
			t.Errorf("%q: status says %q, warned %v, the doctor %q", state, st.Daemon.Bus, warned, got)
		}
	}
}
