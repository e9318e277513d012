//go:build cgo && linux && !nofido2

package fido2_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/fido2"
	"github.com/tokenbridge/tokend/tokens/helper"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/socketrig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// program is tokend-helper, built once for all tests.
var program string

func TestMain(m *testing.M) {
	if os.Getenv(standIn) != "" {
		os.Exit(driveOnce())
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "fido2")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "tokend-helper")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/tokenbridge/tokend/cmd/tokend-helper").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

const (
	rightPIN = "271828"
	wrongPIN = "314159"
	newPIN   = "1618033"
)

// slot is a virtual key and the path that it is plugged in at.
type slot struct {
	*vfido.Key
	port *vfido.Port
}

func (s slot) path() string { return s.port.Path() }

// plug makes a key and plugs it in for the length of the test.
func plug(t testing.TB, o vfido.Options) slot {
	t.Helper()
	k, err := vfido.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := slot{Key: k, port: vfido.NewPort(filepath.Join(t.TempDir(), "key"))}
	if err := s.port.Insert(k); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.port.Remove() })
	return s
}

// driver drives the keys at these paths.
func driver(paths ...string) *fido2.Driver {
	return fido2.New(fido2.Options{Devices: paths, Patience: 2 * time.Second, Answer: time.Second})
}

// client is the driver as the daemon has it: a process per operation.
func client(paths ...string) *helper.Client {
	return helper.New(helper.Config{Path: program, Kind: tokens.KindFIDO2, Devices: paths, Timeout: 40 * time.Second})
}

// connected is the driver as the system's daemon has it: a helper per connection,
// started by the service manager.
func connected(t testing.TB, paths ...string) *helper.Client {
	t.Helper()
	folder := socketrig.Start(t, socketrig.Options{Program: program, Kind: tokens.KindFIDO2, Devices: paths})
	return helper.New(helper.Config{Sockets: folder, Kind: tokens.KindFIDO2, Devices: paths, Timeout: 40 * time.Second})
}

// user makes a key's user out of its script.
func user(s slot, pin string) conformance.Token {
	return conformance.Token{
		Locator: s.path(), PIN: []byte(pin), WrongPIN: []byte(wrongPIN), NewPIN: []byte(newPIN),
		SetTouch: func(w conformance.Touch) {
			s.SetTouch(map[conformance.Touch]vfido.TouchFunc{
				conformance.TouchGive: vfido.TouchYes, conformance.TouchRefuse: vfido.TouchNo, conformance.TouchForsake: vfido.TouchNever,
			}[w])
		},
		Touches:  func() int { return s.Counts().TouchesAsked },
		PINsSeen: func() int { return s.Counts().PINsSeen },
	}
}
