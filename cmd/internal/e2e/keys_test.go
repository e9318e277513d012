//go:build linux

package e2e

import (
	"path/filepath"
	"testing"

	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// key is a token as the tests of many tokens use it. Another kind of token joins
// those tests by another implementation.
type key interface {
	// name is the label it is enrolled under.
	name() string
	// enroll is what "token enroll" is told of it, its label left out.
	enroll() []string
	// overwrite is what "token enroll" is told beside, where an enrolment that
	// was cut off left a key that nobody knows of; nil where none can be left.
	overwrite() []string
	// pinFile holds its PIN or passphrase; "" where it has none.
	pinFile() string
	// touch says that it can guard accounts by touch.
	touch() bool
}

// plug is a key that can be pulled out.
type plug interface {
	key
	remove() error
	insert() error
	// in says whether it is plugged in.
	in() bool
}

// pivKey is a virtual card in a reader of a rig.
type pivKey struct {
	label, pin string
	card       *vpiv.Card
	rig        *rig.Rig
	reader     int
}

var _ plug = (*pivKey)(nil)

// newPIVKey makes a factory-fresh YubiKey and puts it into a reader.
func newPIVKey(t *testing.T, r *rig.Rig, reader int, label string) *pivKey {
	t.Helper()
	card, err := vpiv.New(yubikey()) // all of one serial number, as cards without one are
	if err != nil {
		t.Fatal(err)
	}
	k := &pivKey{label: label, pin: File(t, vpiv.FactoryPIN), card: card, rig: r, reader: reader}
	if err := k.insert(); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *pivKey) name() string        { return k.label }
func (k *pivKey) pinFile() string     { return k.pin }
func (k *pivKey) touch() bool         { return true }
func (k *pivKey) overwrite() []string { return []string{"--overwrite", "82", "--overwrite", "83"} }
func (k *pivKey) insert() error       { return k.rig.Insert(k.card, k.reader) }
func (k *pivKey) remove() error       { return k.rig.Remove(k.reader) }
func (k *pivKey) in() bool            { return k.rig.Card(k.reader) == k.card }

func (k *pivKey) enroll() []string {
	return []string{"--token", "piv", "--reader", k.rig.Readers()[k.reader], "--pin-file", k.pin}
}

// fidoKey is a virtual FIDO2 key in a port of its own.
type fidoKey struct {
	label, pin string // pin is "" for a key without
	key        *vfido.Key
	port       *vfido.Port
}

var _ plug = (*fidoKey)(nil)

// newFIDOKey makes a factory-fresh key, with a PIN or with "" without, and plugs
// it in. The daemon is to be started with "--fido2-device" and its device.
func newFIDOKey(t *testing.T, label, pin string) *fidoKey {
	t.Helper()
	key, err := vfido.New(vfido.Options{PIN: pin})
	if err != nil {
		t.Fatal(err)
	}
	k := &fidoKey{label: label, key: key, port: vfido.NewPort(filepath.Join(t.TempDir(), "key"))}
	if pin != "" {
		k.pin = File(t, pin)
	}
	if err := k.insert(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if k.in() {
			_ = k.remove()
		}
	})
	return k
}

func (k *fidoKey) name() string        { return k.label }
func (k *fidoKey) pinFile() string     { return k.pin }
func (k *fidoKey) touch() bool         { return true }
func (k *fidoKey) overwrite() []string { return nil } // credentials are not kept on the key
func (k *fidoKey) device() string      { return k.port.Path() }
func (k *fidoKey) insert() error       { return k.port.Insert(k.key) }
func (k *fidoKey) remove() error       { return k.port.Remove() }
func (k *fidoKey) in() bool            { return k.port.Key() == k.key }

func (k *fidoKey) enroll() []string {
	return append([]string{"--token", "fido2", "--device", k.device()}, pinOf(k)...)
}

// pinOf is the flag that names a key's PIN; none for a key without.
func pinOf(k key) []string {
	if k.pinFile() == "" {
		return nil
	}
	return []string{"--pin-file", k.pinFile()}
}

// softKey is a software token.
type softKey struct{ label, pin string }

var _ key = softKey{}

func (k softKey) name() string        { return k.label }
func (k softKey) pinFile() string     { return k.pin }
func (k softKey) touch() bool         { return false }
func (k softKey) overwrite() []string { return nil }
func (k softKey) enroll() []string    { return []string{"--token", "soft", "--pin-file", k.pin} }
