package vault

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/tokens"
)

const testPassword = "correct horse battery"

// softKey is a token made of two keys in memory: what a driver would do with
// hardware, through the same Exchange.
type softKey struct {
	keys  map[tokens.Class]*ecdh.PrivateKey
	kind  tokens.Kind
	alg   tokens.Algorithm
	calls map[tokens.Class]int
	fail  error
}

func newSoftKey(tb testing.TB, alg tokens.Algorithm, classes ...tokens.Class) *softKey {
	tb.Helper()
	curve := alg.Curve()
	k := &softKey{keys: map[tokens.Class]*ecdh.PrivateKey{}, kind: tokens.KindPIV, alg: alg, calls: map[tokens.Class]int{}}
	for _, c := range classes {
		priv, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		k.keys[c] = priv
	}
	return k
}

func (k *softKey) exchange(_ context.Context, key tokens.Key, peer []byte) ([]byte, error) {
	if k.fail != nil {
		return nil, k.fail
	}
	k.calls[key.Class]++
	priv := k.keys[key.Class]
	if priv == nil {
		return nil, &tokens.Error{Code: tokens.CodeWrongToken}
	}
	pub, err := priv.Curve().NewPublicKey(peer)
	if err != nil {
		return nil, err
	}
	return priv.ECDH(pub)
}

func (k *softKey) slot(id, label string) NewSlot {
	e := tokens.Enrollment{Token: tokens.Token{Kind: k.kind, Model: "Test Key", Serial: "42"}}
	for _, c := range []tokens.Class{tokens.ClassSession, tokens.ClassTouch} {
		if p := k.keys[c]; p != nil {
			e.Keys = append(e.Keys, tokens.Key{Kind: k.kind, Class: c, Algorithm: k.alg,
				Public: p.PublicKey().Bytes(), Params: []byte(`{"slot":"82","PinPolicy":"once"}`)})
		}
	}
	return NewSlot{ID: id, Label: label, Enrollment: e, Exchange: k.exchange}
}

func (k *softKey) way(id string) Way { return Way{SlotID: id, Exchange: k.exchange} }

func passwordWay() Way { return Way{Password: []byte(testPassword)} }

// clock stands still until it is moved.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

type rig struct {
	tb    testing.TB
	opt   Options
	clock *clock
	store *Store
	key   *softKey
}

func newRig(tb testing.TB) *rig {
	tb.Helper()
	dir := tb.TempDir()
	r := &rig{tb: tb, clock: &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	r.opt = Options{Dir: filepath.Join(dir, "vault"), PinFile: filepath.Join(dir, "pins", "1000.json"),
		Now: r.clock.now, ScryptLogN: 10, KeepGenerations: 3}
	r.open()
	tb.Cleanup(func() {
		if r.store != nil {
			_ = r.store.Close()
		}
	})
	return r
}

func (r *rig) open() {
	r.tb.Helper()
	s, err := OpenStore(r.opt)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.store = s
}

func (r *rig) reopen() {
	r.tb.Helper()
	if r.store != nil {
		if err := r.store.Close(); err != nil {
			r.tb.Fatal(err)
		}
	}
	r.open()
}

// create makes a vault with a P-256 token of both classes and a recovery
// password.
func (r *rig) create() *Vault {
	r.tb.Helper()
	r.key = newSoftKey(r.tb, tokens.P256, tokens.ClassSession, tokens.ClassTouch)
	n := r.key.slot("one", "my key")
	v, err := r.store.Create(r.tb.Context(), &n, []byte(testPassword))
	if err != nil {
		r.tb.Fatal(err)
	}
	return v
}

func (r *rig) unlock(w Way) *Vault {
	r.tb.Helper()
	v, err := r.store.Unlock(r.tb.Context(), w)
	if err != nil {
		r.tb.Fatal(err)
	}
	return v
}

func newAccounts(n int, class tokens.Class, typ string) []NewAccount {
	var out []NewAccount
	for i := range n {
		out = append(out, NewAccount{Account: Account{Issuer: fmt.Sprintf("Service %d", i), Name: fmt.Sprintf("user%04d@example.com", i),
			Class: class, Type: typ}, Secret: []byte(fmt.Sprintf("%s-%s-secret-%08d", class, typ, i))[:20]})
	}
	return out
}

func (r *rig) add(v *Vault, list ...NewAccount) []Account {
	r.tb.Helper()
	out, err := v.Add(r.tb.Context(), list)
	if err != nil {
		r.tb.Fatal(err)
	}
	return out
}

func (r *rig) secret(v *Vault, id string, w Way) string {
	r.tb.Helper()
	var s string
	if err := v.Use(r.tb.Context(), id, w, func(b []byte) error { s = string(b); return nil }); err != nil {
		r.tb.Fatal(err)
	}
	return s
}

func wantErr(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("got %v, want %v", err, want)
	}
}

type ecdhPrivate = ecdh.PrivateKey

type archiveKeys = archive.Keys

func testContext() context.Context { return context.Background() }
