//go:build cgo && linux

package piv_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
	"github.com/tokenbridge/tokend/tokens/tokentest/socketrig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// bench is the one rig that all tests of this process share, because the client
// library reads its environment once.
var bench struct {
	rig     *rig.Rig
	program string // tokend-helper
}

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "piv")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bench.program = filepath.Join(dir, "tokend-helper")
	if out, err := exec.Command("go", "build", "-o", bench.program, "github.com/tokenbridge/tokend/cmd/tokend-helper").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	if bench.rig, err = rig.New(context.Background(), rig.Options{Readers: 2}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer bench.rig.Close()
	for _, kv := range bench.rig.Env() {
		name, value, _ := strings.Cut(kv, "=")
		os.Setenv(name, value)
	}
	return m.Run()
}

// insert puts a new card into a reader for the length of the test.
func insert(t *testing.T, o vpiv.Options, reader int) *vpiv.Card {
	t.Helper()
	card, err := vpiv.New(o)
	if err != nil {
		t.Fatal(err)
	}
	plug(t, card, reader)
	return card
}

// plug puts a card into a reader for the length of the test.
func plug(t *testing.T, card *vpiv.Card, reader int) {
	t.Helper()
	if bench.rig.Card(reader) != nil {
		remove(t, reader)
	}
	if err := bench.rig.Insert(card, reader); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if bench.rig.Card(reader) == card {
			remove(t, reader)
		}
	})
}

func remove(t *testing.T, reader int) {
	t.Helper()
	if err := bench.rig.Remove(reader); err != nil {
		t.Fatal(err)
	}
}

func reader(n int) string { return bench.rig.Readers()[n] }

// client is the driver as the daemon has it: a process per operation.
func client() *helper.Client {
	return helper.New(helper.Config{Path: bench.program, Kind: tokens.KindPIV, Env: bench.rig.Env(), Timeout: 40 * time.Second})
}

// connected is the driver as the system's daemon has it: a helper per connection,
// started by the service manager.
func connected(t *testing.T) *helper.Client {
	t.Helper()
	folder := socketrig.Start(t, socketrig.Options{Program: bench.program, Kind: tokens.KindPIV, Env: bench.rig.Env()})
	return helper.New(helper.Config{Sockets: folder, Kind: tokens.KindPIV, Timeout: 40 * time.Second})
}

// user makes a card's user out of its script.
func user(card *vpiv.Card, reader string) conformance.Token {
	return conformance.Token{
		Locator: reader, PIN: []byte(card.Options().PIN), WrongPIN: []byte("999111"), NewPIN: []byte("24681357"),
		SetTouch: func(w conformance.Touch) {
			card.SetTouch(map[conformance.Touch]vpiv.TouchFunc{
				conformance.TouchGive: vpiv.TouchYes, conformance.TouchRefuse: vpiv.TouchNo, conformance.TouchForsake: vpiv.TouchNever,
			}[w])
		},
		Touches:  func() int { return card.Counts().TouchesAsked },
		PINsSeen: func() int { return card.Counts().PINsSeen },
	}
}
