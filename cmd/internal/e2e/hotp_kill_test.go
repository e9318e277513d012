//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// TestKilledAtRandomMoments kills the daemon in the midst of adds and HOTP codes:
// the vault always opens, what was reported added is there, and no counter is
// handed out twice.
func TestKilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	const kills = 200
	d := NewDaemon(t, plainPrograms(t), nil)
	d.Start()
	pass := File(t, "correct horse battery staple")
	d.OK("", "init", "--token", "soft", "--pin-file", pass, "--no-recovery-password")
	hotp := samples(5)[4]
	hotp.class = "session"
	d.OK(hotp.uri(), "account", "add", "--uri-file", "-", "--class", "session")

	var (
		mu      sync.Mutex
		seen    = map[uint64]int{} // counter -> kill round in which it was handed out
		added   = map[string]bool{}
		highest uint64
		serial  atomic.Int64
		took    atomic.Int64 // of the last command that succeeded, in nanoseconds
	)
	// How long one takes is known before the first kill: where that is longer than any
	// pause below, none would ever succeed.
	first := d.OK("", "--json", "code", hotp.name)
	took.Store(int64(first.Took))
	for round := range kills {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					r := d.Ctl("", "--json", "code", hotp.name)
					if r.Exit != 0 {
						continue
					}
					took.Store(int64(r.Took))
					var c ipc.Code
					if err := json.Unmarshal([]byte(r.Stdout), &c); err != nil || c.Counter == nil {
						t.Errorf("round %d: no code: %s", round, r)
						return
					}
					mu.Lock()
					if before, ok := seen[*c.Counter]; ok {
						t.Errorf("round %d: counter %d was handed out in round %d", round, *c.Counter, before)
					}
					seen[*c.Counter] = round
					highest = max(highest, *c.Counter)
					mu.Unlock()
				}
			})
		}
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("added-%d", serial.Add(1))
				a := sample{name: name, typ: "totp", alg: "SHA1", digits: 6, period: 30, secret: hotp.secret}
				if r := d.Ctl(a.uri(), "account", "add", "--uri-file", "-", "--class", "session"); r.Exit == 0 {
					mu.Lock()
					added[name] = true
					mu.Unlock()
				}
			}
		})
		// Of the time that a command takes here and now, however loaded the
		// machine is.
		time.Sleep(time.Duration(rand.Int64N(int64(4 * max(30*time.Millisecond, time.Duration(took.Load()))))))
		d.Kill()
		close(stop)
		wg.Wait()
		d.Start()
		d.OK("", "unlock", "--pin-file", pass)
		if t.Failed() {
			return
		}
	}
	var list ipc.AccountList
	d.JSON(&list, "account", "list")
	there := map[string]bool{}
	for _, a := range list.Accounts {
		there[a.Name] = true
		if a.Name == hotp.name && (a.Counter == nil || *a.Counter <= highest) {
			t.Errorf("next counter %v after %d was handed out", a.Counter, highest)
		}
	}
	for name := range added {
		if !there[name] {
			t.Errorf("%s was reported added and is gone", name)
		}
	}
	t.Logf("%d kills, %d counters handed out, the last is %d, %d accounts added", kills, len(seen), highest, len(added))
	if len(seen) < kills/4 || len(added) < kills/8 {
		t.Errorf("too little happened between the kills for this to prove anything")
	}
}
