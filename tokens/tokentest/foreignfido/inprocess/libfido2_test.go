//go:build linux && cgo && !nofido2

package inprocess

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"

	libfido2 "github.com/keys-pub/go-libfido2"

	"github.com/tokenbridge/tokend/tokens/tokentest/fidorig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

func TestMain(m *testing.M) { os.Exit(fidorig.Main(m, fidorig.Options{Ports: 2})) }

// inherit is the rig that Main made for this process.
func inherit(t *testing.T) *fidorig.Rig {
	t.Helper()
	rig, err := fidorig.Inherited()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rig.Close(); err != nil {
			t.Error(err)
		}
	})
	return rig
}

func insert(t *testing.T, rig *fidorig.Rig, n int, o vfido.Options) *vfido.Key {
	t.Helper()
	k, err := vfido.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := rig.Insert(k, n); err != nil {
		t.Fatal(err)
	}
	return k
}

func found(t *testing.T) (paths []string) {
	t.Helper()
	all, err := libfido2.DeviceLocations()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		paths = append(paths, l.Path)
	}
	slices.Sort(paths)
	return paths
}

func TestEnumerate(t *testing.T) {
	rig := inherit(t)
	if p := found(t); len(p) != 0 {
		t.Errorf("%v without a key", p)
	}
	insert(t, rig, 1, vfido.Options{})
	if p := found(t); !slices.Equal(p, []string{"/dev/hidraw1"}) {
		t.Errorf("%v", p)
	}
	insert(t, rig, 0, vfido.Options{})
	if p := found(t); !slices.Equal(p, []string{"/dev/hidraw0", "/dev/hidraw1"}) {
		t.Errorf("%v", p)
	}
	if err := rig.Remove(1); err != nil {
		t.Fatal(err)
	}
	if p := found(t); !slices.Equal(p, []string{"/dev/hidraw0"}) {
		t.Errorf("%v", p)
	}
}

// TestPreflight finds, among two keys, the one that holds a credential, without
// a touch and without a PIN.
func TestPreflight(t *testing.T) {
	rig := inherit(t)
	keys := []*vfido.Key{
		insert(t, rig, 0, vfido.Options{PIN: "1234"}),
		insert(t, rig, 1, vfido.Options{PIN: "5678", Version: vfido.CTAP20}),
	}
	const rp = "tokend.example"
	hash, salt := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	device := func(n int) *libfido2.Device {
		t.Helper()
		d, err := libfido2.NewDevice(rig.Path(n))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	made, err := device(1).MakeCredential(hash, libfido2.RelyingParty{ID: rp}, libfido2.User{ID: []byte{1}, Name: "user"},
		libfido2.ES256, "5678", &libfido2.MakeCredentialOpts{Extensions: []libfido2.Extension{libfido2.HMACSecretExtension}})
	if err != nil {
		t.Fatal(err)
	}
	before := keys[1].Counts()
	for n, want := range []error{libfido2.ErrNoCredentials, nil} {
		_, err := device(n).Assertion(rp, hash, [][]byte{made.CredentialID}, "", &libfido2.AssertionOpts{UP: libfido2.False})
		if !errors.Is(err, want) {
			t.Errorf("key %d: %v", n, err)
		}
	}
	for n, k := range keys {
		c := k.Counts()
		if c.Preflights != 1 || n == 0 && (c.PINsSeen != 0 || c.TouchesAsked != 0) || n == 1 && (c.PINsSeen != before.PINsSeen || c.TouchesAsked != before.TouchesAsked) {
			t.Errorf("key %d: %+v", n, c)
		}
	}
	secret := func(pin string) []byte {
		t.Helper()
		a, err := device(1).Assertion(rp, hash, [][]byte{made.CredentialID}, pin,
			&libfido2.AssertionOpts{Extensions: []libfido2.Extension{libfido2.HMACSecretExtension}, HMACSalt: salt})
		if err != nil {
			t.Fatal(err)
		}
		return a.HMACSecret
	}
	with, without := secret("5678"), secret("")
	if len(with) != 32 || bytes.Equal(with, without) || !bytes.Equal(secret("5678"), with) || !bytes.Equal(secret(""), without) {
		t.Error("hmac-secret is not what it should be")
	}
}
