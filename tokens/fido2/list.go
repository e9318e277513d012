//go:build cgo && linux && !nofido2

package fido2

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	libfido2 "github.com/keys-pub/go-libfido2"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/fido2/hid"
)

// maxPlaces is how many keys are looked at.
const maxPlaces = 64

// place is where a key is plugged in.
type place struct {
	path   string
	name   string // what it calls itself, empty where the system does not know
	status hid.Status
}

// places lists what is plugged in. A key that was configured by a path of its
// own and is listed by the system too, is named once.
func (d *Driver) places() []place { return d.configured(listed()) }

// listed is what the system lists. What may be opened, it opens.
func listed() []place {
	var out []place
	for _, n := range hid.Nodes() {
		out = addPlace(out, n.Path, n.Name)
	}
	// What libfido2 lists it has opened; it knows the names that a key has.
	if all, err := libfido2.DeviceLocations(); err == nil {
		for _, l := range all {
			if hid.IsNode(l.Path) {
				out = addPlace(out, l.Path, productName(l.Manufacturer, l.Product))
			}
		}
	}
	return out
}

// configured adds what is at the configured paths. Nothing is opened.
func (d *Driver) configured(list []place) []place {
	out := slices.Clone(list)
	for _, path := range d.o.Devices {
		out = addPlace(out, path, "")
	}
	return out
}

// addPlace adds what is at a path, if anything is.
func addPlace(list []place, path, name string) []place {
	st, err := hid.Stat(path)
	if err != nil || !st.Character || len(list) >= maxPlaces {
		return list
	}
	for i := range list {
		if same(list[i].status, st) {
			if name != "" {
				list[i].name = name
			}
			return list
		}
	}
	return append(list, place{path: path, name: name, status: st})
}

// same says whether two nodes are one.
func same(a, b hid.Status) bool {
	return a.Device == b.Device && a.Inode == b.Inode && a.Number == b.Number
}

func productName(manufacturer, product string) string {
	if manufacturer == "" || strings.HasPrefix(strings.ToLower(product), strings.ToLower(manufacturer)) {
		return product
	}
	return strings.TrimSpace(manufacturer + " " + product)
}

// place finds what the system knows of a path.
func (d *Driver) place(path string) place {
	for _, p := range d.places() {
		if p.path == path {
			return p
		}
	}
	return place{path: path}
}

// tokenID names what is plugged in at a path.
func tokenID(path string) string {
	if hid.IsNode(path) {
		return "fido2-" + strings.TrimPrefix(path, "/dev/")
	}
	sum := sha256.Sum256([]byte(path))
	return "fido2-" + hex.EncodeToString(sum[:4])
}

// List implements tokens.Driver. A key that cannot be used is listed with its
// Problem.
func (d *Driver) List(ctx context.Context) ([]tokens.Token, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	places := d.places()
	out := make([]tokens.Token, len(places))
	var wg sync.WaitGroup
	for i, p := range places {
		wg.Go(func() {
			k, err := d.meet(ctx, p.path, false)
			out[i] = describe(p, k, err)
		})
	}
	wg.Wait()
	if err := alive(ctx); err != nil {
		return nil, err
	}
	// A key that was pulled out in the meantime is not there.
	present := out[:0]
	for _, t := range out {
		if t.Problem == nil || !gone(t.Problem) {
			present = append(present, t)
		}
	}
	return present, nil
}

func gone(err error) bool {
	return errors.Is(err, &tokens.Error{Code: tokens.CodeNotPresent}) || errors.Is(err, &tokens.Error{Code: tokens.CodeRemoved})
}

// describe makes a Token of a key, or of a failure to talk to it.
func describe(p place, k *key, err error) tokens.Token {
	if err == nil {
		return k.token(p)
	}
	t := tokens.Token{ID: tokenID(p.path), Kind: tokens.KindFIDO2, Locator: p.path, Model: p.name, Unlisted: true}
	if t.Model == "" {
		t.Model = "FIDO key"
	}
	if !errors.As(err, &t.Problem) {
		t.Problem = fail(tokens.CodeProtocol, "the key could not be asked", err)
	}
	return t
}

// token describes a key that has answered.
func (k *key) token(p place) tokens.Token {
	t := tokens.Token{
		ID: tokenID(k.path), Kind: tokens.KindFIDO2, Locator: k.path, Model: p.name, Firmware: k.firmware(),
		Touch: true, Unlisted: true, Problem: k.problem(),
	}
	if k.info == nil {
		t.Touch = false
		if t.Model == "" {
			t.Model = "U2F key"
		}
		return t
	}
	t.NoPIN = !k.info.Has("clientPin") && !k.info.Has("uv")
	if t.Model == "" {
		t.Model = "FIDO2 key"
	}
	return t
}

// firmware is what the key tells in its greeting, in the form that makers use.
func (k *key) firmware() string {
	if k.version == [3]byte{} {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", k.version[0], k.version[1], k.version[2])
}

// problem says why the key cannot be used, nil when it can.
func (k *key) problem() *tokens.Error {
	switch {
	case k.info == nil, !k.ctap2():
		return tokens.Errorf(tokens.CodeUnsupported, "the key speaks U2F alone, which cannot guard a vault")
	case !k.info.Extension("hmac-secret"):
		return tokens.Errorf(tokens.CodeUnsupported, "the key does not have the extension hmac-secret, which tokend needs")
	case k.info.Has("alwaysUv") && !k.info.Has("clientPin") && !k.info.Has("uv"):
		return tokens.Errorf(tokens.CodePINNotSet, notSetDetail)
	}
	return nil
}

// ctap2 says whether the key speaks a version of CTAP 2.
func (k *key) ctap2() bool {
	for _, v := range k.info.Versions {
		if strings.HasPrefix(v, "FIDO_2_") {
			return true
		}
	}
	return false
}

// quick is the driver for processes that watch: it waits for nobody.
func (d *Driver) quick() *Driver {
	o := d.o
	o.Patience, o.OnBusy = time.Nanosecond, nil
	return New(o)
}
