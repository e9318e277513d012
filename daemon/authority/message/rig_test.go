package message

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"testing"
	"time"
)

// keysFor are keys that are the same in every run.
func keysFor(tb testing.TB, n byte) Keys {
	tb.Helper()
	k, err := KeysOf(bytes.Repeat([]byte{n}, 64))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// rig is an authority, a device and an account, and a moment.
type rig struct {
	now       time.Time
	authority Keys
	d         *Descriptor
	device    Keys
	account   ed25519.PrivateKey
}

func newRig(tb testing.TB) *rig {
	tb.Helper()
	r := &rig{now: time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC), authority: keysFor(tb, 1), device: keysFor(tb, 2),
		account: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))}
	r.d = &Descriptor{Name: "Example", ID: ID{1, 2, 3}, Keys: r.authority.Public(), Issued: r.now,
		Endpoints: []Endpoint{{Host: "auth.example.org", Port: 7443, Pin: Hash{9}}, {Socket: "/run/tokend/tokend.sock"}},
		Contact:   "IT helpdesk, +41 44 000 00 00", Portal: "https://help.example.org"}
	return r
}

func (r *rig) key(id string) (ed25519.PublicKey, error) {
	if id != "acc-1" {
		return nil, errNoAccount
	}
	return r.account.Public().(ed25519.PublicKey), nil
}

var errNoAccount = errors.New("no such account")

// bodies are one body of each kind.
func bodies() []RequestBody {
	return []RequestBody{
		&Activate{Activation: ID{5}, Secret: bytes.Repeat(Secret{6}, 16), DeviceName: "Alice's laptop", Reactivation: [32]byte{7}},
		&Begin{DeviceName: "Alice's laptop", Restored: true},
		&Factor{Factor: "fob", Passcode: Secret("123456")},
		&Proof{Code: Secret("654321")},
		&Poll{},
		&Approve{Question: ID{8}, Yes: true, Number: 42},
		&Notice{Forgotten: []string{"acc-1"}},
		&Devices{},
		&RevokeDevice{Device: ID{9}, Last: true},
	}
}

// results are one result of each kind.
func results(now time.Time) []Result {
	until := now.Add(time.Minute).Unix()
	return []Result{
		&Refused{Code: "policy-denied", Message: "no factor is left", Denials: []Denial{{"sms", `not allowed by rule "no-calls" (line 12)`, "numbers can be taken over"}},
			Alternatives: []Alternative{{"portal", "https://help.example.org"}}, Contact: "IT helpdesk", Reference: "R-1234", Final: true},
		&Offer{Factors: []string{"fob", "security_key"}, Required: 1, OldDevice: "revoke", Challenge: make([]byte, 32), RelyingTo: "example.org", Credentials: [][]byte{{1}}, Until: until},
		&Waiting{Factor: "other_device", Number: 42, RetryAfter: 2, Until: until},
		&NewSecret{Account: "acc-1", Issuer: "Example", Name: "alice", Secret: bytes.Repeat(Secret{1}, 20), Algorithm: "SHA1", Digits: 6, Period: 30, Until: until, OldDevice: "revoke"},
		&Done{Revoked: []string{"Alice's old laptop"}},
		&Questions{List: []Question{{ID: ID{8}, Account: "Example: alice", Device: "Alice's laptop", Asked: now.Unix(), Until: until}}},
		&Notices{Revoked: []Notification{{"acc-1", now.Unix(), "Alice's laptop"}}},
		&DeviceList{Devices: []OwnDevice{
			{ID: ID{9}, Name: "Alice's old laptop", State: "revoked", First: now.Unix(), Last: until},
			{ID: ID{10}, Name: "Alice's laptop", State: "active", This: true, First: now.Unix(), Last: until, Has: []int{0, 1}},
		}, Accounts: []string{"Example: alice", "vpn"}},
		&Challenge{Factor: "sms", Prompt: "Enter the code that was sent to you", Until: until},
	}
}

// laterOffer has what offers had not at first.
func laterOffer(now time.Time) *Offer {
	return &Offer{Factors: []string{"bypass_code", "push"}, Required: 1, OldDevice: "revoke", Until: now.Add(time.Minute).Unix(), By: []string{"local", "duo"}}
}

// request makes a first request, or the one after before.
func (r *rig) request(tb testing.TB, b RequestBody, before *Pending, answer Hash) *Request {
	tb.Helper()
	account := ""
	if b.kind().byAccount() {
		account = "acc-1"
	}
	q, err := NewRequest(b, account, before, answer, r.now, MaxInteractive, false, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

func (r *rig) signer(k Kind) ed25519.PrivateKey {
	if k.byAccount() {
		return r.account
	}
	return nil
}

func (r *rig) seal(tb testing.TB, q *Request) ([]byte, *Pending) {
	tb.Helper()
	sealed, p, err := q.Seal(r.device, r.signer(q.Kind()), r.d)
	if err != nil {
		tb.Fatal(err)
	}
	return sealed, p
}

func (r *rig) open(tb testing.TB, sealed []byte) *Opened {
	tb.Helper()
	o, err := OpenRequest(sealed, r.authority, r.d, r.now, r.key)
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

func (r *rig) answer(tb testing.TB, o *Opened, result Result) []byte {
	tb.Helper()
	sealed, err := o.Answer(r.authority, r.d, result, r.now)
	if err != nil {
		tb.Fatal(err)
	}
	return sealed
}

// wire is what seal would sign of a request, to be tampered with.
func (r *rig) wire(tb testing.TB, b RequestBody) *wireRequest {
	tb.Helper()
	q := r.request(tb, b, nil, Hash{})
	raw, err := encode(b)
	if err != nil {
		tb.Fatal(err)
	}
	public := r.device.Public()
	return &wireRequest{Version: 1, Highest: 1, Kind: b.kind(), Authority: r.d.KeysHash(), Sign: public.Sign, Seal: public.Seal, Account: q.Account,
		Conversation: q.Conversation, Step: 1, Nonce: q.Nonce, Issued: q.Issued.Unix(), Expires: q.Expires.Unix(), Body: raw}
}
