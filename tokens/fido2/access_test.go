//go:build cgo && linux && !nofido2

package fido2_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/fidorig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// own is this test program where every user may start it.
func own(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "fido2")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "stand-in")
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// startAsNobody starts a process of a user who may open no device.
func startAsNobody(t *testing.T, r *fidorig.Rig, cmd *exec.Cmd) (io.WriteCloser, io.ReadCloser) {
	t.Helper()
	cmd.Env = append(append(os.Environ(), r.Env()...), standIn+"=1")
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return stdin, stdout
}

// asNobody does one operation in a process of a user who may open no device.
func asNobody(t *testing.T, r *fidorig.Rig, req wire.Request, out any) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), own(t))
	stdin, stdout := startAsNobody(t, r, cmd)
	defer cmd.Wait()
	defer stdin.Close()
	req.Kind = tokens.KindFIDO2
	if err := wire.WriteRequest(stdin, req); err != nil {
		t.Fatal(err)
	}
	a, err := wire.NewAnswers(stdout, true, nil).Next()
	if err != nil {
		t.Fatal(err)
	}
	if a.Error != nil {
		return a.Error
	}
	if err := wire.Decode(a.Result, out); err != nil {
		t.Fatal(err)
	}
	return nil
}

// TestNoAccess: a key that may not be opened is listed with who may, and the
// command that mends it.
func TestNoAccess(t *testing.T) {
	r := fidorig.Start(t, fidorig.Options{})
	describe(t, r, 0)
	insert(t, r, 0, vfido.Options{})
	if err := os.Chmod(r.Port(0).Path(), 0o600); err != nil {
		t.Fatal(err)
	}
	var list []tokens.Token
	if err := asNobody(t, r, wire.Request{Op: wire.OpList}, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Problem == nil || list[0].Problem.Code != tokens.CodeNoAccess || list[0].Locator != "/dev/hidraw0" ||
		list[0].Model != "Yubico YubiKey OTP+FIDO+CCID" {
		t.Fatalf("listed as %+v", list)
	}
	for _, part := range []string{"/dev/hidraw0", "0600", "root"} {
		if !strings.Contains(list[0].Problem.Detail, part) {
			t.Errorf("%q does not name %s", list[0].Problem.Detail, part)
		}
	}
	var found []tokens.Finding
	if err := asNobody(t, r, wire.Request{Op: wire.OpDoctor}, &found); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Code != tokens.CodeNoAccess || found[0].Fix != tokens.FixAccess || found[0].Locator != "/dev/hidraw0" {
		t.Errorf("found %+v", found)
	}
	err := asNobody(t, r, wire.Request{Op: wire.OpEnroll, Enroll: &tokens.EnrollRequest{Locator: "/dev/hidraw0", Classes: both}}, nil)
	conformance.Code(t, err, tokens.CodeNoAccess)
}

// TestAccessComes: a key whose access rights come a moment after its node is
// reported without a Problem, and one that gets them late is reported anew.
func TestAccessComes(t *testing.T) {
	r := fidorig.Start(t, fidorig.Options{})
	describe(t, r, 0)
	o := watchAsNobody(t, r)
	o.next(tokens.EventReady, "", 2*time.Second)
	k := insert(t, r, 0, vfido.Options{})
	if err := os.Chmod(r.Port(0).Path(), 0o666); err != nil {
		t.Fatal(err)
	}
	if e := o.next(tokens.EventInserted, "/dev/hidraw0", 2*time.Second); e.Token.Problem != nil {
		t.Errorf("token %+v", e.Token)
	}
	if err := r.Remove(0); err != nil {
		t.Fatal(err)
	}
	o.next(tokens.EventRemoved, "/dev/hidraw0", time.Second)
	if err := r.Insert(k, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(r.Port(0).Path(), 0o600); err != nil {
		t.Fatal(err)
	}
	if e := o.next(tokens.EventInserted, "/dev/hidraw0", 5*time.Second); e.Token.Problem == nil || e.Token.Problem.Code != tokens.CodeNoAccess {
		t.Errorf("token %+v", e.Token)
	}
	if err := os.Chmod(r.Port(0).Path(), 0o666); err != nil {
		t.Fatal(err)
	}
	touch(t, r)
	if e := o.next(tokens.EventInserted, "/dev/hidraw0", 2*time.Second); e.Token.Problem != nil {
		t.Errorf("token %+v", e.Token)
	}
}

// touch makes a change in the rig's /dev, as a change of rights is one on a real
// machine, where the node is no link.
func touch(t *testing.T, r *fidorig.Rig) {
	t.Helper()
	path := r.Port(0).Path()
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".moved", path); err != nil {
		t.Fatal(err)
	}
}

// watchAsNobody watches in a process of a user who may open no device.
func watchAsNobody(t *testing.T, r *fidorig.Rig) *observer {
	t.Helper()
	cmd := exec.Command(own(t))
	stdin, stdout := startAsNobody(t, r, cmd)
	t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	if err := wire.WriteRequest(stdin, wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpWatch}); err != nil {
		t.Fatal(err)
	}
	o := &observer{t: t, events: make(chan tokens.Event, 100)}
	go func() {
		answers := wire.NewAnswers(stdout, false, nil)
		for {
			a, err := answers.Next()
			if err != nil || a.Watch == nil {
				return
			}
			o.events <- *a.Watch
		}
	}()
	return o
}
