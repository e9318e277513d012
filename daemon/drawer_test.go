package daemon_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/tokens"
)

// stick is a token that does not list its keys: it has the manners of a FIDO2
// key, and says whom it showed what.
type stick struct {
	model    string
	pin      string // empty for none
	uvAlways bool
	attest   *tokens.Attestation

	mu      sync.Mutex
	keys    []*ecdh.PrivateKey
	pins    []string // shown to it
	probes  int
	touches int
	wiped   []tokens.Key // that it was told to remove
	// mute keeps probes waiting until they are called off; called counts those.
	mute   bool
	called int
}

func (s *stick) pinsSeen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.pins)
}

func (s *stick) holds(k tokens.Key) *ecdh.PrivateKey {
	for _, own := range s.keys {
		if bytes.Equal(own.PublicKey().Bytes(), k.Public) {
			return own
		}
	}
	return nil
}

// show shows the stick a PIN, where it wants one.
func (s *stick) show(pin []byte, wanted bool) error {
	if s.pin == "" || !wanted {
		return nil
	}
	if len(pin) == 0 {
		return tokens.Errorf(tokens.CodePINRequired, "")
	}
	s.pins = append(s.pins, string(pin))
	if string(pin) != s.pin {
		return &tokens.Error{Code: tokens.CodePINInvalid, Tries: 7}
	}
	return nil
}

// drawer is the driver and the watcher of sticks, by their device paths.
type drawer struct {
	mu     sync.Mutex
	in     map[string]*stick
	report func(tokens.Event)
	ready  chan struct{}
}

func newDrawer() *drawer { return &drawer{in: make(map[string]*stick), ready: make(chan struct{})} }

func (w *drawer) token(path string, s *stick) tokens.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return tokens.Token{
		ID: "fido2" + path[4:], Kind: tokens.KindFIDO2, Locator: path, Model: s.model,
		Touch: true, NoPIN: s.pin == "", Unlisted: true,
	}
}

func (w *drawer) insert(path string, s *stick) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in[path] = s
	if w.report != nil {
		w.report(tokens.Event{Type: tokens.EventInserted, Kind: tokens.KindFIDO2, Token: w.token(path, s)})
	}
}

func (w *drawer) pull(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.in, path)
	w.report(tokens.Event{Type: tokens.EventRemoved, Kind: tokens.KindFIDO2, Token: tokens.Token{Kind: tokens.KindFIDO2, Locator: path}})
}

// blink loses the watch; meanwhile may exchange what is plugged in.
func (w *drawer) blink(meanwhile func(in map[string]*stick)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.report(tokens.Event{Type: tokens.EventServiceLost, Kind: tokens.KindFIDO2, Detail: "it ended"})
	meanwhile(w.in)
	for path, s := range w.in {
		w.report(tokens.Event{Type: tokens.EventInserted, Kind: tokens.KindFIDO2, Token: w.token(path, s)})
	}
	w.report(tokens.Event{Type: tokens.EventReady, Kind: tokens.KindFIDO2})
}

func (w *drawer) Watch(ctx context.Context, report func(tokens.Event)) error {
	w.mu.Lock()
	w.report = report
	for path, s := range w.in {
		report(tokens.Event{Type: tokens.EventInserted, Kind: tokens.KindFIDO2, Token: w.token(path, s)})
	}
	report(tokens.Event{Type: tokens.EventReady, Kind: tokens.KindFIDO2})
	w.mu.Unlock()
	close(w.ready)
	<-ctx.Done()
	return ctx.Err()
}

func (w *drawer) at(path string) (*stick, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.in[path]; s != nil {
		return s, nil
	}
	return nil, tokens.Errorf(tokens.CodeNotPresent, "")
}

func (w *drawer) List(context.Context) ([]tokens.Token, error) { return nil, nil }

func (w *drawer) Inspect(_ context.Context, path string) (tokens.Details, error) {
	s, err := w.at(path)
	if err != nil {
		return tokens.Details{}, err
	}
	return tokens.Details{Token: w.token(path, s), PINTries: 8, PUKTries: -1, Facts: []tokens.Fact{{Name: "CTAP versions", Value: "FIDO_2_1"}}}, nil
}

func (w *drawer) Probe(ctx context.Context, r tokens.ProbeRequest) ([]bool, error) {
	s, err := w.at(r.Locator)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.probes++
	mute := s.mute
	s.mu.Unlock()
	if mute {
		<-ctx.Done()
		s.mu.Lock()
		s.called++
		s.mu.Unlock()
		return nil, &tokens.Error{Code: tokens.CodeCancelled, Tries: -1, Err: ctx.Err()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var held []bool
	for _, k := range r.Keys {
		held = append(held, s.holds(k) != nil)
	}
	return held, nil
}

func (w *drawer) Enroll(_ context.Context, r tokens.EnrollRequest) (tokens.Enrollment, error) {
	s, err := w.at(r.Locator)
	if err != nil {
		return tokens.Enrollment{}, err
	}
	s.mu.Lock()
	if slices.ContainsFunc(r.Exclude, func(k tokens.Key) bool { return s.holds(k) != nil }) {
		s.mu.Unlock()
		return tokens.Enrollment{}, tokens.Errorf(tokens.CodeEnrolled, "")
	}
	if err := s.show(r.PIN, true); err != nil {
		s.mu.Unlock()
		return tokens.Enrollment{}, err
	}
	out := tokens.Enrollment{Attestation: s.attest}
	if s.pin == "" {
		out.Warnings = append(out.Warnings, tokens.WarnNoPIN)
	}
	for _, c := range r.Classes {
		key, err := ecdh.P256().GenerateKey(rand.Reader)
		if err != nil {
			s.mu.Unlock()
			return tokens.Enrollment{}, err
		}
		r.OnTouch()
		s.touches++
		s.keys = append(s.keys, key)
		params, err := json.Marshal(map[string]any{"credential": s.model + string(c), "uv": c == tokens.ClassSession && s.pin != ""})
		if err != nil {
			s.mu.Unlock()
			return tokens.Enrollment{}, err
		}
		out.Keys = append(out.Keys, tokens.Key{Kind: tokens.KindFIDO2, Class: c, Algorithm: tokens.P256, Public: key.PublicKey().Bytes(), Params: params})
	}
	s.mu.Unlock()
	out.Token = w.token(r.Locator, s)
	return out, nil
}

func (w *drawer) Agree(_ context.Context, r tokens.AgreeRequest) ([]byte, error) {
	s, err := w.at(r.Locator)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.holds(r.Key)
	if key == nil {
		return nil, tokens.Errorf(tokens.CodeWrongToken, "")
	}
	if err := s.show(r.PIN, r.Key.Class == tokens.ClassSession || s.uvAlways); err != nil {
		return nil, err
	}
	r.OnTouch()
	s.touches++
	peer, err := ecdh.P256().NewPublicKey(r.Peer)
	if err != nil {
		return nil, err
	}
	return key.ECDH(peer)
}

func (w *drawer) ChangePIN(_ context.Context, r tokens.PINRequest) ([]byte, error) {
	s, err := w.at(r.Locator)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(r.Keys) > 0 && !slices.ContainsFunc(r.Keys, func(k tokens.Key) bool { return s.holds(k) != nil }) {
		return nil, tokens.Errorf(tokens.CodeWrongToken, "it holds none of the keys")
	}
	if err := s.show(r.Old, true); err != nil {
		return nil, err
	}
	s.pin = string(r.New)
	return nil, nil
}

func (w *drawer) Wipe(_ context.Context, r tokens.WipeRequest) ([]string, error) {
	s, err := w.at(r.Locator)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wiped = append(s.wiped, r.Keys...)
	return nil, nil
}

// withDrawer starts a daemon that drives the sticks in w.
func withDrawer(t *testing.T, w *drawer, change func(*daemon.Config)) *daemon.Daemon {
	t.Helper()
	d := start(t, func(c *daemon.Config) {
		c.Drivers[tokens.KindFIDO2] = w
		c.Watchers = map[tokens.Kind]tokens.Watcher{tokens.KindFIDO2: w}
		if change != nil {
			change(c)
		}
	})
	<-w.ready
	return d
}
