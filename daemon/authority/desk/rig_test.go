package desk_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/otp"
	"github.com/tokenbridge/tokend/ipc"
)

var root = ipc.Principal{UID: "0", Admin: true}

// uids of those who have a role of that name; "bob" is another user, "ghost" a
// disabled one, and "stranger" none.
func uids() map[string]string {
	return map[string]string{"user": "1001", "verifier": "1002", "helpdesk": "1003", "admin": "1004", "owner": "1005",
		"bob": "1006", "ghost": "1007", "stranger": "1008", "admin2": "1009", "helpdesk2": "1010"}
}

func as(name string) ipc.Principal {
	if name == "root" {
		return root
	}
	if uid, ok := relatives()[name]; ok {
		return ipc.Principal{UID: uid}
	}
	return ipc.Principal{UID: uids()[name]}
}

// relatives are uids of users of child authorities, see family.
func relatives() map[string]string {
	out := map[string]string{}
	for i, home := range []string{"west", "east", "south"} {
		for j, role := range []string{"user", "verifier", "helpdesk", "admin", "owner"} {
			out[home+"-"+role] = fmt.Sprint(2000 + 10*i + j)
		}
	}
	return out
}

func loginOf(uid string) string {
	for _, all := range []map[string]string{uids(), relatives()} {
		for name, u := range all {
			if u == uid {
				return "os-" + name
			}
		}
	}
	return ""
}

// clock stands still, and notes what was waited for.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	waited []time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) wait(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waited = append(c.waited, d)
	return ctx.Err()
}

// took is what was waited for since it was asked last.
func (c *clock) took() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.waited
	c.waited = nil
	return w
}

type bench struct {
	*desk.Desk
	*clock
	dir string
	ids map[string]string // of users, by name
}

// empty is a desk without an authority.
func empty(t *testing.T, dir string, changes ...func(*desk.Config)) *bench {
	t.Helper()
	b := &bench{clock: &clock{now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}, dir: dir, ids: map[string]string{}}
	reach := desk.Reach{Endpoints: []message.Endpoint{{Host: "help.example.org", Port: 7443, Pin: message.Hash{1}}, {Socket: "/run/tokend/tokend.sock"}}}
	c := desk.Config{Dir: dir, Login: loginOf, Reach: func() desk.Reach { return reach }, Now: b.clock.Now, Wait: b.clock.wait}
	for _, change := range changes {
		change(&c)
	}
	b.Desk = desk.New(c)
	b.Open()
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// furnished is a desk whose authority has a user of each role, each with a fob.
func furnished(t *testing.T, changes ...func(*desk.Config)) *bench {
	t.Helper()
	b := empty(t, filepath.Join(t.TempDir(), "authority"), changes...)
	if _, err := b.CreateAuthority(t.Context(), root, ipc.CreateAuthorityRequest{Name: "Example AG", Contact: "IT desk", Portal: "https://help.example.org"}); err != nil {
		t.Fatal(err)
	}
	for name := range uids() {
		if name == "stranger" {
			continue
		}
		n := ipc.NewUser{Name: name, Logins: []string{"os-" + name}}
		switch name {
		case "verifier", "helpdesk", "admin", "owner":
			n.Roles = []ipc.Role{ipc.Role(name)}
		case "admin2", "helpdesk2":
			n.Roles = []ipc.Role{ipc.Role(name[:len(name)-1])}
		}
		u, err := b.AddUser(t.Context(), root, n)
		if err != nil {
			t.Fatal(err)
		}
		b.ids[name] = u.ID
		b.issue(t, name+"-fob", name)
	}
	yes := true
	if _, err := b.EditUser(t.Context(), root, "ghost", ipc.EditUserRequest{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	b.took()
	return b
}

// seed is a fob's secret, made of its serial number.
func seed(serial string) []byte { return []byte(fmt.Sprintf("%-20.20s", serial)) }

func newFob(serial string) ipc.NewFob {
	return ipc.NewFob{Serial: serial, Type: ipc.FobHOTP, Secret: ipc.Secret(base64.StdEncoding.EncodeToString(seed(serial)))}
}

// issue imports a fob and gives it to a user.
func (b *bench) issue(t *testing.T, serial, user string) {
	t.Helper()
	r, err := b.ImportFobs(t.Context(), root, ipc.ImportFobsRequest{Fobs: []ipc.NewFob{newFob(serial)}, Apply: true})
	if err != nil || r.Rows[0].Outcome != ipc.FobAdded {
		t.Fatalf("%+v, %v", r, err)
	}
	if user == "" {
		return
	}
	if _, err := b.AssignFob(t.Context(), root, serial, ipc.AssignFobRequest{User: user}); err != nil {
		t.Fatal(err)
	}
}

// passcode is the one that a fob makes at a counter.
func passcode(t *testing.T, serial string, counter uint64) string {
	t.Helper()
	code, err := otp.HOTP(seed(serial), otp.Params{Type: otp.TypeHOTP}.WithDefaults(), counter)
	if err != nil {
		t.Fatal(err)
	}
	return code.String()
}

// asksForSecond has the policy ask for a second person where users are helped; back
// puts it as it was.
func (b *bench) asksForSecond(t *testing.T) (back func()) {
	t.Helper()
	p, err := b.Policy(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	set := func(text string) {
		t.Helper()
		if _, err := b.SetPolicy(t.Context(), root, ipc.SetPolicyRequest{Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.Replace(p.Text, `# second_approver_for = ["admin", "owner"]`, `second_approver_for = ["user"]`, 1)
	if text == p.Text {
		t.Fatal("the policy has no such line")
	}
	set(text)
	return func() { set(p.Text) }
}
