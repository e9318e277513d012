//go:build linux

package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// childVariable makes the test binary start a rig and wait, to be killed.
const childVariable = "RIG_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	r, err := New(context.Background(), Options{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(r.dir, r.holder.pid, r.daemon)
	if os.Getenv(childVariable) == "panic" {
		panic("on purpose")
	}
	select {}
}

func newCard(t *testing.T, o vpiv.Options) *vpiv.Card {
	t.Helper()
	card, err := vpiv.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return card
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// present says which readers hold a card, as pcscd sees it.
func present(t *testing.T, r *Rig) []bool {
	t.Helper()
	states, err := readerStates(t.Context(), r.Socket())
	must(t, err)
	var out []bool
	for _, s := range states {
		out = append(out, s.present())
	}
	return out
}

func wantPresent(t *testing.T, r *Rig, want ...bool) {
	t.Helper()
	if got := present(t, r); !slices.Equal(got, want) {
		t.Errorf("cards in %v, not %v", got, want)
	}
}

func TestInsertRemoveRestart(t *testing.T) {
	r := Start(t, Options{})
	names := []string{FriendlyName + " 00 00", FriendlyName + " 00 01"}
	if !slices.Equal(r.Readers(), names) || r.Reader() != names[0] {
		t.Errorf("readers %q", r.Readers())
	}
	first, second := newCard(t, vpiv.YubiKey(5, 4, 3)), newCard(t, vpiv.YubiKey(4, 3, 5))
	wantPresent(t, r, false, false)
	must(t, r.Insert(first, 0))
	wantPresent(t, r, true, false)
	must(t, r.Insert(second, 1))
	wantPresent(t, r, true, true)
	if err := r.Insert(newCard(t, vpiv.PlainPIV()), 0); err == nil {
		t.Error("two cards in one reader")
	}
	must(t, r.Remove(0))
	wantPresent(t, r, false, true)
	if err := r.Remove(0); err == nil {
		t.Error("a card pulled out of an empty reader")
	}
	if err := r.Insert(second, 0); !errors.Is(err, vpiv.ErrInserted) {
		t.Errorf("one card in two readers: %v", err)
	}
	socket := r.Socket()
	must(t, r.RestartPCSCD())
	wantPresent(t, r, false, true)
	if r.Socket() != socket || r.Card(0) != nil || r.Card(1) != second {
		t.Error("the restart changed more than pcscd")
	}
	must(t, r.StopPCSCD())
	if _, err := readerStates(t.Context(), socket); err == nil {
		t.Error("a stopped pcscd answers")
	}
	if err := r.Insert(first, 0); err == nil {
		t.Error("a card inserted without pcscd")
	}
	if err := r.KillPCSCD(); err == nil {
		t.Error("pcscd killed twice")
	}
	must(t, r.StartPCSCD())
	wantPresent(t, r, false, true)
	if err := r.StartPCSCD(); err == nil {
		t.Error("pcscd started twice")
	}
	must(t, r.Remove(1))
	must(t, r.Close())
	must(t, r.Close())
	if _, err := os.Stat(r.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is left: %v", err)
	}
	if err := r.Insert(first, 0); err == nil {
		t.Error("a card inserted into a closed rig")
	}
}

// TestCardLeavesByItself pulls a card by its own fault: the rig notices, also
// over a restart of pcscd, and the reader takes another.
func TestCardLeavesByItself(t *testing.T) {
	r := Start(t, Options{})
	card := newCard(t, vpiv.YubiKey(5, 4, 3))
	for _, restart := range []bool{false, true} {
		must(t, r.Insert(card, 0))
		card.Inject(vpiv.Fault{Kind: vpiv.FaultRemove})
		cmd := exec.CommandContext(t.Context(), "opensc-tool", "-n")
		cmd.Env = append(os.Environ(), r.Env()...)
		// It may take the missing card for a nameless one.
		if out, _ := cmd.CombinedOutput(); strings.Contains(string(out), "Personal Identity") {
			t.Errorf("opensc-tool names a card that left: %s", out)
		}
		if r.Card(0) != nil {
			t.Error("the rig takes the card for inserted")
		}
		if restart {
			must(t, r.RestartPCSCD())
			wantPresent(t, r, false, false)
		}
	}
	must(t, r.Insert(card, 0))
	wantPresent(t, r, true, false)
}

func TestManyReadersAndRigs(t *testing.T) {
	r := Start(t, Options{Readers: 5, FriendlyName: "Some Reader"})
	other := Start(t, Options{})
	if n := len(r.Readers()); n != 6 {
		t.Fatalf("%d readers", n)
	}
	card := newCard(t, vpiv.PlainPIV())
	must(t, r.Insert(card, 5))
	wantPresent(t, r, false, false, false, false, false, true)
	wantPresent(t, other, false, false)
	if want := []string{"Some Reader 00 00", "Some Reader 00 01", "Some Reader 2 00 00"}; !slices.Equal(r.Readers()[:3], want) {
		t.Errorf("readers %q", r.Readers())
	}
}

// TestNoPortOnHost checks that vpcd listens inside the namespace alone.
func TestNoPortOnHost(t *testing.T) {
	Start(t, Options{})
	for _, port := range []int{firstPort, firstPort + 1} {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			_ = conn.Close()
			t.Errorf("port %d is open on the host", port)
		}
	}
}

// TestRelay takes the way of those who are not root.
func TestRelay(t *testing.T) {
	p, err := findPrograms()
	must(t, err)
	p.rootless = true
	r, err := newRig(t.Context(), Options{Readers: 2, FriendlyName: FriendlyName, Timeout: 10 * time.Second}, p)
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	card := newCard(t, vpiv.YubiKey(5, 4, 3))
	must(t, r.Insert(card, 1))
	must(t, r.Remove(1))
	must(t, r.Insert(card, 1))
	must(t, r.RestartPCSCD())
	wantPresent(t, r, false, true)
	cmd := exec.CommandContext(t.Context(), "opensc-tool", "-r", "1", "-n")
	cmd.Env = append(os.Environ(), r.Env()...)
	if out, err := cmd.CombinedOutput(); err != nil || card.Counts().Commands == 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// TestEndsWithItsProgram kills a program that has a rig, and has another panic.
func TestEndsWithItsProgram(t *testing.T) {
	for _, how := range []string{"kill", "panic"} {
		t.Run(how, func(t *testing.T) {
			self, err := os.Executable()
			must(t, err)
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), childVariable+"="+how)
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			line, err := bufio.NewReader(out).ReadString('\n')
			must(t, err)
			var dir, pid, daemon string
			if n, err := fmt.Sscan(line, &dir, &pid, &daemon); n != 3 || err != nil {
				t.Fatalf("%q", line)
			}
			if how == "kill" {
				must(t, cmd.Process.Kill())
			}
			if err := cmd.Wait(); err == nil {
				t.Error("the program ended well")
			}
			for _, gone := range []string{dir, "/proc/" + pid, "/proc/" + daemon} {
				waitGone(t, gone)
			}
		})
	}
}

// TestHolderKilled kills the script alone: pcscd must not outlive it.
func TestHolderKilled(t *testing.T) {
	p, err := findPrograms()
	must(t, err)
	if len(p.enter) > 0 {
		t.Log("the script belongs to root here and cannot be killed; sudo's own end is not tested")
		return
	}
	r, err := New(t.Context(), Options{})
	must(t, err)
	daemon := "/proc/" + r.daemon
	if _, err := os.Stat(daemon); err != nil {
		t.Fatal(err)
	}
	must(t, r.holder.cmd.Process.Kill())
	waitGone(t, daemon)
	if err := r.Close(); err == nil {
		t.Error("the end of the script goes unnoticed")
	}
	waitGone(t, r.dir)
}

func waitGone(t *testing.T, path string) {
	t.Helper()
	for range 500 {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%s is left", path)
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{{Readers: 17}, {Readers: -1}, {FriendlyName: "a\"b"}, {FriendlyName: "a\nb"}} {
		if r, err := New(t.Context(), o); err == nil {
			t.Errorf("%+v makes a rig", o)
			must(t, r.Close())
		}
	}
}

func TestMissing(t *testing.T) {
	err := error(&MissingError{What: []string{"pcscd", "libifdvpcd.so"}, Package: []string{"pcscd", "vsmartcard-vpcd"}})
	const want = "cannot run a private pcscd: missing pcscd, libifdvpcd.so (Debian packages: pcscd, vsmartcard-vpcd)"
	if err.Error() != want {
		t.Errorf("%q", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := New(ctx, Options{}); err == nil {
		t.Error("a rig was started for nobody")
		must(t, r.Close())
	}
}

// TestPCSCDThatEndsAtOnce uses a program that is no pcscd.
func TestPCSCDThatEndsAtOnce(t *testing.T) {
	p, err := findPrograms()
	must(t, err)
	p.pcscd = []string{"/bin/false"}
	_, err = newRig(t.Context(), Options{Readers: 2, FriendlyName: FriendlyName, Timeout: 3 * time.Second}, p)
	if err == nil || !strings.Contains(err.Error(), "cannot wait for pcscd") {
		t.Errorf("%v", err)
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		r, err := New(b.Context(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
