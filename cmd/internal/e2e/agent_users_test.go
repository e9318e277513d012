//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// curlAs calls the daemon's socket as a user, with curl.
func (d *Daemon) curlAs(ctx context.Context, uid int, args ...string) *exec.Cmd {
	u := fmt.Sprint(uid)
	return exec.CommandContext(ctx, "setpriv", append([]string{"--reuid=" + u, "--regid=" + u, "--clear-groups",
		"curl", "-sSN", "--max-time", "150", "--unix-socket", d.Socket, "-H", "Content-Type: application/json"}, args...)...)
}

// TestOtherUsersAgent: what one user is asked for his consent reaches no agent of
// another's, who can neither answer in his place nor see his grants; over the bus
// he is as far from it.
func TestOtherUsersAgent(t *testing.T) {
	t.Parallel()
	if NeedRoot(t) {
		return
	}
	d, bus, account := newSystemBench(t)
	d.okAs(t, bob, "bob's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--no-recovery-password")
	d.okAs(t, zoey, "", "grant", "mode", "ask")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	call := func(uid int, args ...string) string {
		t.Helper()
		out, err := d.curlAs(ctx, uid, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
		return string(out)
	}
	// agent registers one, and waits until it counts.
	agent := func(uid int) *Buffer {
		t.Helper()
		heard := new(Buffer)
		cmd := d.curlAs(ctx, uid, "-X", "POST", "http://tokend/v1/agent?can=consent,pin,touch")
		cmd.Stdout, cmd.Stderr = heard, heard
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cancel(); _ = cmd.Wait() })
		Eventually(t, time.Minute, func() error {
			if !strings.Contains(heard.String(), `"type":"state"`) {
				return fmt.Errorf("the agent of %d: %s", uid, heard)
			}
			return nil
		})
		return heard
	}
	wish := func(uid int) *exec.Cmd {
		return d.curlAs(ctx, uid, "-d", `{"interaction":"agent"}`, "http://tokend/v1/codes?account=Zoeysbank")
	}
	bobs := agent(bob)
	if out := call(zoey, "-d", `{"interaction":"agent"}`, "http://tokend/v1/codes?account=Zoeysbank"); !strings.Contains(out, "no agent can ask the user") {
		t.Errorf("bob's agent is zoey's: %s", out)
	}
	zoeys := agent(zoey)
	answer := new(Buffer)
	script := wish(zoey)
	script.Stdout = answer
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	operation := ""
	Eventually(t, time.Minute, func() error {
		_, question, _ := strings.Cut(zoeys.String(), "consent-wanted")
		if operation = between(question, `"operation":"`, `"`); operation == "" {
			return fmt.Errorf("zoey's agent is not asked: %s", zoeys)
		}
		return nil
	})
	// The question waits: bob tries all that he can.
	const none = "no-such-operation"
	yes := func(id string) string {
		return call(bob, "-d", `{"operation":"`+id+`","allow":true,"for":"lock"}`, "http://tokend/v1/agent/answer")
	}
	if own, other := yes(operation), yes(none); own != other || !strings.Contains(own, `"error"`) {
		t.Errorf("bob answers zoey's question: %s, one that is not there: %s", own, other)
	}
	for _, out := range []string{call(bob, "http://tokend/v1/grants"), call(bob, "-d", `{"account":"`+account+`","action":"code","for":"lock"}`, "http://tokend/v1/grants"),
		call(bob, "-X", "POST", "http://tokend/v1/codes?account=Zoeysbank")} {
		if strings.Contains(out, "oey") || strings.Contains(out, `"code"`) || strings.Contains(out, operation) {
			t.Errorf("bob reads %s", out)
		}
	}
	if err := bus.python(bob, nil, busCall{root, managerIface, "GenerateCode", []any{"Zoeysbank", []opt{{"interaction", "agent"}}}}); err == nil || !strings.Contains(err.Error(), ownError+"NotFound") {
		t.Errorf("bob asks for zoey's account over the bus: %v", err)
	}
	if answer.String() != "" {
		t.Errorf("zoey's program was answered: %s", answer)
	}
	call(zoey, "-d", `{"operation":"`+operation+`","allow":true,"for":"once"}`, "http://tokend/v1/agent/answer")
	if err := script.Wait(); err != nil || !strings.Contains(answer.String(), `"code":"`) {
		t.Errorf("zoey's own yes: %v %s", err, answer)
	}
	for _, word := range []string{"consent", "oey", account, operation} {
		if strings.Contains(bobs.String(), word) {
			t.Errorf("bob's agent heard %q: %s", word, bobs)
		}
	}
}
