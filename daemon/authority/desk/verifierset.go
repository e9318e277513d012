package desk

import (
	"cmp"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/ipc"
)

// Makers make what asks verifiers elsewhere of settings, which they must not keep. An
// error of theirs says what is wrong with the settings, without their secrets. What
// they make is closed when it is replaced, if it is an interface{ Close() }.
type Makers struct {
	Radius func(ipc.RadiusSettings) (remote.Verifier, error)
	Duo    func(ipc.DuoSettings) (remote.Verifier, error)
}

// verifiersBucket has a verifierRecord for each that is set up, by name.
const verifiersBucket = "verifiers"

// The records. Numbers are never used again for other things.

type verifierRecord struct {
	Radius  *radiusRecord `cbor:"1,keyasint,omitempty"`
	Duo     *duoRecord    `cbor:"2,keyasint,omitempty"`
	By      string        `cbor:"3,keyasint"`
	Changed time.Time     `cbor:"4,keyasint"`
}

type radiusRecord struct {
	Servers   []radiusServerRecord `cbor:"1,keyasint"`
	NAS       string               `cbor:"2,keyasint,omitempty"`
	Timeout   int                  `cbor:"3,keyasint,omitempty"`
	Tries     int                  `cbor:"4,keyasint,omitempty"`
	PushWord  string               `cbor:"5,keyasint,omitempty"`
	PhoneWord string               `cbor:"6,keyasint,omitempty"`
	SMSWord   string               `cbor:"7,keyasint,omitempty"`
	Wait      int                  `cbor:"8,keyasint,omitempty"`
}

type radiusServerRecord struct {
	Address string `cbor:"1,keyasint"`
	Secret  []byte `cbor:"2,keyasint"`
}

type duoRecord struct {
	Host           string `cbor:"1,keyasint"`
	IntegrationKey string `cbor:"2,keyasint"`
	SecretKey      []byte `cbor:"3,keyasint"`
	Timeout        int    `cbor:"4,keyasint,omitempty"`
	CA             string `cbor:"5,keyasint,omitempty"`
}

func (r *verifierRecord) wipe() {
	if r.Radius != nil {
		for _, s := range r.Radius.Servers {
			clear(s.Secret)
		}
	}
	if r.Duo != nil {
		clear(r.Duo.SecretKey)
	}
}

func recordOfVerifier(r ipc.SetVerifierRequest, by string, now time.Time) verifierRecord {
	out := verifierRecord{By: by, Changed: now.UTC()}
	if s := r.Radius; s != nil {
		out.Radius = &radiusRecord{NAS: s.NASIdentifier, Timeout: s.TimeoutSeconds, Tries: s.Tries, PushWord: s.PushWord, PhoneWord: s.PhoneWord,
			SMSWord: s.SMSWord, Wait: s.WaitSeconds}
		for _, x := range s.Servers {
			out.Radius.Servers = append(out.Radius.Servers, radiusServerRecord{x.Address, x.Secret})
		}
	}
	if s := r.Duo; s != nil {
		out.Duo = &duoRecord{s.Host, s.IntegrationKey, s.SecretKey, s.TimeoutSeconds, s.CACertificates}
	}
	return out
}

// settings are those of a record, which share its secrets.
func (r *verifierRecord) settings() (out ipc.SetVerifierRequest) {
	if s := r.Radius; s != nil {
		out.Radius = &ipc.RadiusSettings{Servers: []ipc.RadiusServer{}, NASIdentifier: s.NAS, TimeoutSeconds: s.Timeout, Tries: s.Tries, PushWord: s.PushWord,
			PhoneWord: s.PhoneWord, SMSWord: s.SMSWord, WaitSeconds: s.Wait}
		for _, x := range s.Servers {
			out.Radius.Servers = append(out.Radius.Servers, ipc.RadiusServer{Address: x.Address, Secret: x.Secret})
		}
	}
	if s := r.Duo; s != nil {
		out.Duo = &ipc.DuoSettings{Host: s.Host, IntegrationKey: s.IntegrationKey, SecretKey: s.SecretKey, TimeoutSeconds: s.Timeout, CACertificates: s.CA}
	}
	return out
}

// shown are settings without their secrets.
func (r *verifierRecord) shown() ipc.SetVerifierRequest {
	out := r.settings()
	if out.Radius != nil {
		for i := range out.Radius.Servers {
			out.Radius.Servers[i].Secret = nil
		}
	}
	if out.Duo != nil {
		out.Duo.SecretKey = nil
	}
	return out
}

// verifiers are those that are set up.
type verifiers struct {
	store  *store.Store
	makers Makers
	log    *slog.Logger
	now    func() time.Time

	mu   sync.Mutex
	live map[policy.Verifier]*liveVerifier
}

// liveVerifier is one of them. asks is nil where it cannot be used.
type liveVerifier struct {
	asks    remote.Verifier
	shown   ipc.SetUpVerifier
	problem error
	failure string // of the last question that had no answer
	failed  time.Time
}

func remoteVerifiers() []policy.Verifier { return []policy.Verifier{policy.Radius, policy.Duo} }

func openVerifiers(s *store.Store, c Config) (*verifiers, error) {
	v := &verifiers{store: s, makers: c.Makers, log: c.Log, now: c.Now, live: map[policy.Verifier]*liveVerifier{}}
	if err := s.Ensure(verifiersBucket); err != nil {
		return nil, err
	}
	for _, name := range remoteVerifiers() {
		err := v.with(name, func(r *verifierRecord) error {
			v.live[name] = v.bring(name, r)
			if problem := v.live[name].problem; problem != nil {
				c.Log.Error("a verifier that is set up cannot be used", "verifier", name, "err", problem)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errNotSetUp) {
			v.close()
			return nil, err
		}
	}
	return v, nil
}

var errNotSetUp = errors.New("no such verifier is set up")

// with lends the record of a verifier. It fails with errNotSetUp.
func (v *verifiers) with(name policy.Verifier, f func(r *verifierRecord) error) error {
	var r verifierRecord
	defer r.wipe()
	found := false
	err := v.store.View(func(tx *store.Tx) (err error) {
		found, err = tx.Get(verifiersBucket, []byte(name), &r)
		return err
	})
	switch {
	case err != nil:
		return err
	case !found:
		return errNotSetUp
	}
	return f(&r)
}

// bring makes of a record what asks.
func (v *verifiers) bring(name policy.Verifier, r *verifierRecord) *liveVerifier {
	l := &liveVerifier{shown: ipc.SetUpVerifier{Name: ipc.VerifierName(name), By: r.By, Changed: wireTime(r.Changed)}}
	s := r.shown()
	l.shown.Radius, l.shown.Duo = s.Radius, s.Duo
	l.asks, l.problem = v.makers.make(r.settings())
	return l
}

func (m Makers) make(s ipc.SetVerifierRequest) (remote.Verifier, error) {
	switch {
	case s.Radius != nil && m.Radius != nil:
		return m.Radius(*s.Radius)
	case s.Duo != nil && m.Duo != nil:
		return m.Duo(*s.Duo)
	}
	return nil, errors.New("this daemon cannot ask such a verifier")
}

// put stores a verifier and has it asked from now on; nothing is changed where it
// fails. The secrets in r stay the caller's.
func (v *verifiers) put(name policy.Verifier, r verifierRecord) (ipc.SetUpVerifier, error) {
	l := v.bring(name, &r)
	if l.problem != nil {
		return ipc.SetUpVerifier{}, ipc.Errorf(ipc.InvalidArgument, "cannot ask %s: %s", name, l.problem)
	}
	if err := v.store.Update(func(tx *store.Tx) error { return tx.Put(verifiersBucket, []byte(name), r) }); err != nil {
		l.close()
		return ipc.SetUpVerifier{}, err
	}
	v.replace(name, l)
	return l.shown, nil
}

// remove forgets a verifier. It fails with errNotSetUp.
func (v *verifiers) remove(name policy.Verifier) (out ipc.SetUpVerifier, err error) {
	err = v.with(name, func(r *verifierRecord) error {
		s := r.shown()
		out = ipc.SetUpVerifier{Name: ipc.VerifierName(name), Radius: s.Radius, Duo: s.Duo, By: r.By, Changed: wireTime(r.Changed)}
		return v.store.Update(func(tx *store.Tx) error { return tx.Delete(verifiersBucket, []byte(name)) })
	})
	if err == nil {
		v.replace(name, nil)
	}
	return out, err
}

// replace closes what was there; what that is being asked comes to nothing.
func (v *verifiers) replace(name policy.Verifier, l *liveVerifier) {
	v.mu.Lock()
	was := v.live[name]
	delete(v.live, name)
	if l != nil {
		v.live[name] = l
	}
	v.mu.Unlock()
	was.close()
}

func (l *liveVerifier) close() {
	if l == nil {
		return
	}
	if c, ok := l.asks.(interface{ Close() }); ok {
		c.Close()
	}
}

func (v *verifiers) close() {
	for _, name := range remoteVerifiers() {
		v.replace(name, nil)
	}
}

// get is what asks a verifier; nil where there is none that can be used.
func (v *verifiers) get(name policy.Verifier) remote.Verifier {
	v.mu.Lock()
	defer v.mu.Unlock()
	if l := v.live[name]; l != nil && l.problem == nil {
		return l.asks
	}
	return nil
}

func (v *verifiers) ready(name policy.Verifier) bool { return v.get(name) != nil }

// failed notes why a verifier gave no answer.
func (v *verifiers) failed(name policy.Verifier, err error) {
	v.log.Warn("a verifier gave no answer that counts", "verifier", name, "err", err)
	v.mu.Lock()
	defer v.mu.Unlock()
	if l := v.live[name]; l != nil {
		l.failure, l.failed = err.Error(), v.now()
	}
}

// silent is why a verifier gave no answer, and when, if that is not long ago.
func (v *verifiers) silent(name policy.Verifier) (problem string, when time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	l := v.live[name]
	if l == nil || l.failure == "" || v.now().Sub(l.failed).Abs() > silence {
		return "", time.Time{}
	}
	return l.failure, l.failed
}

// list tells what is set up.
func (v *verifiers) list() (out []ipc.SetUpVerifier) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, name := range remoteVerifiers() {
		l := v.live[name]
		if l == nil {
			continue
		}
		s := l.shown
		if l.problem != nil {
			s.Problem = l.problem.Error()
		}
		s.Problem, s.Failed = cmp.Or(s.Problem, l.failure), wireTime(l.failed)
		out = append(out, s)
	}
	return out
}
