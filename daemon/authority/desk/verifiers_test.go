package desk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/ipc"
)

// mute is a verifier that answers nobody.
type mute struct {
	settings ipc.RadiusSettings
	secret   string
	closed   *closings
}

// closings are the servers whose askers were closed.
type closings struct {
	mu   sync.Mutex
	list []string
}

func (c *closings) has(server string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.list, server)
}

func (m mute) Begin(context.Context, remote.Question) (remote.Answer, error) {
	return remote.Answer{}, &remote.Unavailable{Verifier: "radius", Problem: "no answer"}
}

func (m mute) Continue(context.Context, []byte, []byte) (remote.Answer, error) {
	return remote.Answer{}, &remote.Unavailable{Verifier: "radius", Problem: "no answer"}
}

func (m mute) Check(context.Context) error {
	if m.settings.Servers[0].Address == "good:1812" {
		return nil
	}
	return &remote.Unavailable{Verifier: "radius", Server: m.settings.Servers[0].Address, Problem: "no answer"}
}

func (m mute) Close() {
	m.closed.mu.Lock()
	defer m.closed.mu.Unlock()
	m.closed.list = append(m.closed.list, m.settings.Servers[0].Address)
}

const sharedSecret = "a shared secret of some length"

func (b *bench) withVerifiers(t *testing.T) (closed *closings, reopen func()) {
	t.Helper()
	closed = &closings{}
	makers := desk.Makers{Radius: func(s ipc.RadiusSettings) (remote.Verifier, error) {
		if len(s.Servers[0].Secret) < 8 {
			return nil, errors.New("the secret is too short")
		}
		return mute{s, string(s.Servers[0].Secret), closed}, nil
	}}
	reopen = func() {
		t.Helper()
		_ = b.Close()
		b.Desk = desk.New(desk.Config{Dir: b.dir, Login: loginOf, Makers: makers, Now: b.clock.Now, Wait: b.clock.wait})
		b.Open()
	}
	reopen()
	t.Cleanup(func() { _ = b.Close() })
	return closed, reopen
}

func radiusAt(addresses ...string) ipc.SetVerifierRequest {
	s := &ipc.RadiusSettings{TimeoutSeconds: 2}
	for _, a := range addresses {
		s.Servers = append(s.Servers, ipc.RadiusServer{Address: a, Secret: ipc.Secret(sharedSecret)})
	}
	return ipc.SetVerifierRequest{Radius: s}
}

// TestVerifiers: what is set up is kept sealed, found after a restart, shown without
// its secrets, and known to the policy's check.
func TestVerifiers(t *testing.T) {
	b := furnished(t)
	closed, reopen := b.withVerifiers(t)
	ctx := t.Context()
	text, err := b.Policy(ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetPolicy(ctx, root, ipc.SetPolicyRequest{Text: strings.Replace(text.Text, `fob = ["local"]`, `fob = ["local", "radius"]`, 1)}); err != nil {
		t.Fatal(err)
	}
	unset := func() bool {
		found, err := b.CheckPolicy(ctx, root, ipc.CheckPolicyRequest{})
		if err != nil {
			t.Fatal(err)
		}
		info, err := b.Authority(ctx, root)
		if err != nil {
			t.Fatal(err)
		}
		warned := slices.ContainsFunc(info.Warnings, func(w ipc.Warning) bool { return w.Code == "authority-verifier" })
		told := slices.ContainsFunc(found.Findings, func(f ipc.PolicyFinding) bool { return strings.Contains(f.Message, "radius, which is not set up") })
		if warned != told {
			t.Errorf("%+v, %+v", info.Warnings, found)
		}
		return told
	}
	if !unset() {
		t.Error("nothing says that radius is not set up")
	}
	for what, r := range map[string]ipc.SetVerifierRequest{"nothing": {}, "both": {Radius: radiusAt("a:1").Radius, Duo: &ipc.DuoSettings{}},
		"Duo's": {Duo: &ipc.DuoSettings{Host: "x"}}, "a short secret": {Radius: &ipc.RadiusSettings{Servers: []ipc.RadiusServer{{Address: "a:1", Secret: ipc.Secret("short")}}}}} {
		if _, err := b.SetVerifier(ctx, root, "radius", r); ipc.KindOf(err) != ipc.InvalidArgument || strings.Contains(fmt.Sprint(err), "short\"") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := b.SetVerifier(ctx, root, "duo", ipc.SetVerifierRequest{Duo: &ipc.DuoSettings{Host: "x"}}); ipc.KindOf(err) != ipc.InvalidArgument {
		t.Errorf("a verifier that this desk cannot make: %v", err)
	}
	if _, err := b.SetVerifier(ctx, root, "local", radiusAt("a:1")); ipc.KindOf(err) != ipc.InvalidArgument {
		t.Errorf("local: %v", err)
	}
	v, err := b.SetVerifier(ctx, as("owner"), "radius", radiusAt("good:1812", "bad:1812"))
	if err != nil || !slices.Equal(v.Factors, []ipc.Factor{ipc.FactorFob}) || v.By != b.ids["owner"] {
		t.Fatalf("%+v, %v", v, err)
	}
	if unset() {
		t.Error("radius is set up, and that is not known")
	}
	e, err := b.ExplainPolicy(ctx, root, ipc.ExplainPolicyRequest{User: "bob"})
	if err != nil || len(e.Offers) == 0 || e.Offers[0].Asserted {
		t.Errorf("bob has a fob that is verified here: %+v, %v", e.Offers, err)
	}
	if _, err := b.LoseFob(ctx, root, "bob-fob"); err != nil {
		t.Fatal(err)
	}
	if e, err = b.ExplainPolicy(ctx, root, ipc.ExplainPolicyRequest{User: "bob"}); err != nil || !e.Offers[0].Asserted || !slices.Equal(e.Offers[0].Verifiers, []string{"radius"}) {
		t.Errorf("%+v, %v", e.Offers, err)
	}
	reopen()
	files, err := filepath.Glob(filepath.Join(b.dir, "*"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if raw, err := os.ReadFile(f); err != nil || bytes.Contains(raw, []byte(sharedSecret)) || bytes.Contains(raw, []byte("good:1812")) {
			t.Errorf("%s is not sealed: %v", f, err)
		}
	}
	list, err := b.Verifiers(ctx, as("helpdesk"))
	if err != nil || len(list.Verifiers) != 1 || list.Verifiers[0].Radius.TimeoutSeconds != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	check, err := b.CheckVerifier(ctx, as("admin"), "radius")
	if err != nil || len(check.Servers) != 2 || !check.Servers[0].OK || check.Servers[1].OK || check.Servers[1].Problem != "no answer" {
		t.Errorf("%+v, %v", check, err)
	}
	audit, err := b.AuthorityAudit(ctx, root, ipc.AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range []any{v, list, check, audit} {
		if raw, err := json.Marshal(doc); err != nil || strings.Contains(string(raw), sharedSecret) {
			t.Errorf("%s, %v", raw, err)
		}
	}
	if !slices.ContainsFunc(audit.Entries, func(x ipc.AuditEntry) bool {
		return x.Action == "verifier-set" && x.OK && x.By == b.ids["owner"]
	}) {
		t.Error("the audit does not tell who set it up")
	}
	if _, err := b.SetVerifier(ctx, root, "radius", radiusAt("other:1812")); err != nil || !closed.has("good:1812") {
		t.Errorf("%v, closed: %q", err, closed.list)
	}
	if _, err := b.RemoveVerifier(ctx, root, "radius"); err != nil || !unset() || !closed.has("other:1812") {
		t.Errorf("%v, closed: %q", err, closed.list)
	}
	reopen()
	for _, f := range []func() error{
		func() error { _, err := b.RemoveVerifier(ctx, root, "radius"); return err },
		func() error { _, err := b.CheckVerifier(ctx, root, "radius"); return err },
	} {
		if err := f(); ipc.KindOf(err) != ipc.NotFound {
			t.Errorf("%v", err)
		}
	}
}
