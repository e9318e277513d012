package message

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRoundTrip sends a request of each kind, and each answer that it can have.
func TestRoundTrip(t *testing.T) {
	r := newRig(t)
	pairs := 0
	for _, b := range bodies() {
		q := r.request(t, b, nil, Hash{})
		sealed, p := r.seal(t, q)
		o := r.open(t, sealed)
		if !reflect.DeepEqual(o.Request, *q) || o.Device != r.device.Public() || o.Hash != p.Request {
			t.Fatalf("%s\n%+v\n%+v", b.kind(), o.Request, *q)
		}
		for _, result := range results(r.now) {
			if !result.result().fits(b.kind()) {
				if _, err := o.Answer(r.authority, r.d, result, r.now); !errors.Is(err, ErrUnexpected) {
					t.Errorf("%s answers %s: %v", result.result(), b.kind(), err)
				}
				continue
			}
			pairs++
			got, err := p.Open(r.answer(t, o, result), r.device, r.now)
			if err != nil || !reflect.DeepEqual(got, result) {
				t.Errorf("%s to %s: %v\n%+v", result.result(), b.kind(), err, got)
			}
		}
	}
	if pairs < 17 {
		t.Errorf("only %d pairs", pairs)
	}
}

// TestCarrierLearnsNothing: requests of all kinds look alike, and neither they
// nor answers hold anything of what they say in the clear.
func TestCarrierLearnsNothing(t *testing.T) {
	r := newRig(t)
	size := 0
	for _, b := range bodies() {
		sealed, _ := r.seal(t, r.request(t, b, nil, Hash{}))
		if size == 0 {
			size = len(sealed)
		}
		if len(sealed) != size {
			t.Errorf("%s has %d bytes, another %d", b.kind(), len(sealed), size)
		}
		public := r.device.Public()
		id := public.DeviceID()
		all := [][]byte{sealed}
		o := r.open(t, sealed)
		for _, result := range results(r.now) {
			if result.result().fits(b.kind()) {
				all = append(all, r.answer(t, o, result))
			}
		}
		for _, m := range all {
			for _, what := range [][]byte{[]byte("acc-1"), []byte("alice"), []byte("laptop"), []byte(b.kind()), public.Sign[:], public.Seal[:], id[:], []byte("123456")} {
				if bytes.Contains(m, what) {
					t.Errorf("%s: %q is in the clear", b.kind(), what)
				}
			}
		}
	}
}

// TestRequestRefused tampers with requests.
func TestRequestRefused(t *testing.T) {
	r := newRig(t)
	other := keysFor(t, 9)
	otherD := &Descriptor{Name: "Other", ID: ID{7}, Keys: other.Public(), Issued: r.now}
	begin := bodies()[1]
	tampered := func(change func(w *wireRequest), device Keys, account ed25519.PrivateKey) []byte {
		w := r.wire(t, begin)
		change(w)
		sealed, err := w.seal(device, account, r.d)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	good, _ := r.seal(t, r.request(t, begin, nil, Hash{}))
	outer := func(change func(o *sealedRequest)) []byte {
		var o sealedRequest
		if err := decode(good, &o); err != nil {
			t.Fatal(err)
		}
		change(&o)
		raw, err := encode(o)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	hash := otherD.KeysHash()
	for _, c := range []struct {
		name   string
		sealed []byte
		now    time.Time
		want   error
	}{
		{"good", good, r.now, nil},
		{"its clock is a little ahead", good, r.now.Add(-4 * time.Minute), nil},
		{"expired", good, r.now.Add(MaxInteractive), ErrExpired},
		{"made in the future", good, r.now.Add(-6 * time.Minute), ErrTooEarly},
		{"empty", nil, r.now, ErrMalformed},
		{"too large", make([]byte, MaxSize+1), r.now, ErrTooLarge},
		{"trailing bytes", append(bytes.Clone(good), 0), r.now, ErrMalformed},
		{"cut", good[:len(good)-1], r.now, ErrMalformed},
		{"a newer version", outer(func(o *sealedRequest) { o.Version = 2 }), r.now, ErrNewer},
		{"an older version", outer(func(o *sealedRequest) { o.Version = 0 }), r.now, ErrDowngraded},
		{"for another authority", outer(func(o *sealedRequest) { o.To = [8]byte(hash[:8]) }), r.now, ErrWrongAuthority},
		{"a flipped bit", outer(func(o *sealedRequest) { o.Sealed[100] ^= 1 }), r.now, ErrDamaged},
		{"a flipped bit of the key", outer(func(o *sealedRequest) { o.Enc[3] ^= 1 }), r.now, ErrDamaged},
		{"no key", outer(func(o *sealedRequest) { o.Enc = nil }), r.now, ErrDamaged},
		{"sealed on to this authority", tampered(func(w *wireRequest) { w.Authority = hash }, r.device, r.account), r.now, ErrWrongAuthority},
		{"signed within as older", tampered(func(w *wireRequest) { w.Version = 0 }, r.device, r.account), r.now, ErrDowngraded},
		{"a higher version than it knows", tampered(func(w *wireRequest) { w.Highest = 0 }, r.device, r.account), r.now, ErrDowngraded},
		{"by another device", tampered(func(*wireRequest) {}, other, r.account), r.now, ErrForged},
		{"by another account", tampered(func(*wireRequest) {}, r.device, other.Sign), r.now, ErrForged},
		{"by no account", tampered(func(*wireRequest) {}, r.device, nil), r.now, ErrForged},
		{"of an unknown account", tampered(func(w *wireRequest) { w.Account = "acc-2" }, r.device, r.account), r.now, errNoAccount},
		{"without an account", tampered(func(w *wireRequest) { w.Account = "" }, r.device, r.account), r.now, ErrMalformed},
		{"an unknown kind", tampered(func(w *wireRequest) { w.Kind = "beg" }, r.device, nil), r.now, ErrNewer},
		{"no kind", tampered(func(w *wireRequest) { w.Kind = "" }, r.device, nil), r.now, ErrMalformed},
		{"another body", tampered(func(w *wireRequest) { w.Kind = KindFactor }, r.device, r.account), r.now, ErrMalformed},
		{"good for too long", tampered(func(w *wireRequest) { w.Expires += 1 }, r.device, r.account), r.now, ErrMalformed},
		{"good for ever", tampered(func(w *wireRequest) { w.Expires = 1<<63 - 1 }, r.device, r.account), r.now, ErrMalformed},
		{"good for never", tampered(func(w *wireRequest) { w.Expires = w.Issued }, r.device, r.account), r.now, ErrMalformed},
		{"a file is good for longer", tampered(func(w *wireRequest) { w.Files, w.Expires = true, w.Issued+86400 }, r.device, r.account), r.now.Add(23 * time.Hour), nil},
		{"but not for ever", tampered(func(w *wireRequest) { w.Files, w.Expires = true, w.Issued+86401 }, r.device, r.account), r.now, ErrMalformed},
		{"a later step after nothing", tampered(func(w *wireRequest) { w.Step = 2 }, r.device, r.account), r.now, ErrMalformed},
		{"a first step after something", tampered(func(w *wireRequest) { w.After = Hash{1} }, r.device, r.account), r.now, ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := OpenRequest(c.sealed, r.authority, r.d, c.now, r.key)
			if !errors.Is(err, c.want) || (o == nil) != (c.want != nil) {
				t.Fatalf("%v, want %v", err, c.want)
			}
		})
	}
}

// TestEverySingleBit: no bit of a request or an answer can be changed.
func TestEverySingleBit(t *testing.T) {
	r := newRig(t)
	sealed, p := r.seal(t, r.request(t, bodies()[1], nil, Hash{}))
	answer := r.answer(t, r.open(t, sealed), results(r.now)[1])
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1 << (i % 8)
		if _, err := OpenRequest(bad, r.authority, r.d, r.now, r.key); err == nil {
			t.Fatalf("byte %d of the request", i)
		}
	}
	for i := range answer {
		bad := bytes.Clone(answer)
		bad[i] ^= 1 << (i % 8)
		if _, err := p.Open(bad, r.device, r.now); err == nil {
			t.Fatalf("byte %d of the answer", i)
		}
	}
}

// TestAnswerRefused gives a device answers that are not what it waits for.
func TestAnswerRefused(t *testing.T) {
	r := newRig(t)
	sealed, p := r.seal(t, r.request(t, bodies()[1], nil, Hash{}))
	o := r.open(t, sealed)
	offer := results(r.now)[1]
	good := r.answer(t, o, offer)

	again, _ := r.seal(t, r.request(t, bodies()[1], nil, Hash{}))
	elsewhere := *r
	elsewhere.device = keysFor(t, 8)
	theirs, _ := elsewhere.seal(t, elsewhere.request(t, bodies()[1], nil, Hash{}))

	tampered := func(k Keys, change func(w *wireAnswer)) []byte {
		body, _ := encode(offer)
		device := r.device.Public().DeviceID()
		w := wireAnswer{Version: 1, Highest: 1, Kind: ResultOffer, Authority: r.d.KeysHash(), Request: o.Hash, Device: device,
			Conversation: o.Conversation, Step: o.Step, Issued: r.now.Unix(), Expires: r.now.Unix() + 60, Body: body}
		change(&w)
		raw, err := encode(w)
		if err != nil {
			t.Fatal(err)
		}
		enc, ct, err := sealPadded(r.device.Public().Seal, answerInfo(o.Hash, device), signedBytes{Version: 1, Body: raw, Signature: sign(k.Sign, wordAnswer, raw)})
		if err != nil {
			t.Fatal(err)
		}
		out, err := encode(sealedAnswer{1, o.Hash, answerFor(o.Hash, device), enc, ct})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	outer := func(change func(a *sealedAnswer)) []byte {
		var a sealedAnswer
		if err := decode(good, &a); err != nil {
			t.Fatal(err)
		}
		change(&a)
		raw, err := encode(a)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for _, c := range []struct {
		name   string
		answer []byte
		now    time.Time
		want   error
	}{
		{"good", good, r.now, nil},
		{"good once more", tampered(r.authority, func(*wireAnswer) {}), r.now, nil},
		{"swapped for that to another request", r.answer(t, r.open(t, again), offer), r.now, ErrOtherRequest},
		{"for another device", r.answer(t, r.open(t, theirs), offer), r.now, ErrOtherDevice},
		{"for another device, relabelled", outer(func(a *sealedAnswer) { a.For[0] ^= 1 }), r.now, ErrOtherDevice},
		{"an answer relabelled to this request", func() []byte {
			var a sealedAnswer
			if err := decode(r.answer(t, r.open(t, again), offer), &a); err != nil {
				t.Fatal(err)
			}
			a.Request, a.For = p.Request, answerFor(p.Request, r.device.Public().DeviceID())
			raw, _ := encode(a)
			return raw
		}(), r.now, ErrDamaged},
		{"the request itself", sealed, r.now, ErrMalformed},
		{"expired", good, r.now.Add(MaxInteractive), ErrExpired},
		{"made in the future", good, r.now.Add(-time.Hour), ErrTooEarly},
		{"a newer version", outer(func(a *sealedAnswer) { a.Version = 2 }), r.now, ErrNewer},
		{"an older version", outer(func(a *sealedAnswer) { a.Version = 0 }), r.now, ErrDowngraded},
		{"signed within as older", tampered(r.authority, func(w *wireAnswer) { w.Version = 0 }), r.now, ErrDowngraded},
		{"by another authority", tampered(keysFor(t, 9), func(*wireAnswer) {}), r.now, ErrForged},
		{"in the name of another authority", tampered(r.authority, func(w *wireAnswer) { w.Authority[0] ^= 1 }), r.now, ErrWrongAuthority},
		{"signed for another device", tampered(r.authority, func(w *wireAnswer) { w.Device[0] ^= 1 }), r.now, ErrOtherDevice},
		{"signed for another request", tampered(r.authority, func(w *wireAnswer) { w.Request[0] ^= 1 }), r.now, ErrOtherRequest},
		{"of another conversation", tampered(r.authority, func(w *wireAnswer) { w.Conversation[0] ^= 1 }), r.now, ErrReordered},
		{"of another step", tampered(r.authority, func(w *wireAnswer) { w.Step = 2 }), r.now, ErrReordered},
		{"an unknown kind", tampered(r.authority, func(w *wireAnswer) { w.Kind = "ok" }), r.now, ErrNewer},
		{"no kind", tampered(r.authority, func(w *wireAnswer) { w.Kind = "" }), r.now, ErrMalformed},
		{"a kind that does not fit", tampered(r.authority, func(w *wireAnswer) { w.Kind = ResultDone }), r.now, ErrUnexpected},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := p.Open(c.answer, r.device, c.now)
			if !errors.Is(err, c.want) || (got == nil) != (c.want != nil) {
				t.Fatalf("%v, want %v", err, c.want)
			}
		})
	}
}

// TestConversation goes through a reactivation, and tries at each step what must
// not be served.
func TestConversation(t *testing.T) {
	r := newRig(t)
	all, res := bodies(), results(r.now)
	var order *Order
	var before *Pending
	var last Hash
	var history [][]byte
	for i, step := range []struct {
		b RequestBody
		r Result
	}{{all[1], res[1]}, {all[2], res[2]}, {all[4], res[3]}, {all[3], res[4]}} {
		if i > 0 {
			// Not after the answer that was sent.
			sealed, _ := r.seal(t, r.request(t, step.b, before, Hash{1}))
			if _, err := order.Check(r.open(t, sealed)); !errors.Is(err, ErrReordered) {
				t.Errorf("after another answer: %v", err)
			}
			// A step too far.
			far := *before
			far.Step++
			sealed, _ = r.seal(t, r.request(t, step.b, &far, last))
			if _, err := order.Check(r.open(t, sealed)); !errors.Is(err, ErrReordered) {
				t.Errorf("a step too far: %v", err)
			}
			// Another device, which has overheard all.
			thief := *r
			thief.device = keysFor(t, 8)
			sealed, _ = thief.seal(t, thief.request(t, step.b, before, last))
			if _, err := order.Check(r.open(t, sealed)); !errors.Is(err, ErrOtherDevice) {
				t.Errorf("another device: %v", err)
			}
		}
		sealed, p := r.seal(t, r.request(t, step.b, before, last))
		o := r.open(t, sealed)
		if again, err := order.Check(o); again || err != nil {
			t.Fatalf("%s: %v %v", o.Kind(), again, err)
		}
		answer := r.answer(t, o, step.r)
		if order == nil {
			order = NewOrder(o, answer)
		} else {
			order = order.Advance(o, answer)
		}
		if again, err := order.Check(o); !again || err != nil {
			t.Fatalf("%s once more: %v %v", o.Kind(), again, err)
		}
		for _, old := range history {
			if _, err := order.Check(r.open(t, old)); !errors.Is(err, ErrReplayed) {
				t.Errorf("an old one: %v", err)
			}
		}
		if _, err := p.Open(answer, r.device, r.now); err != nil {
			t.Fatal(err)
		}
		history, before, last = append(history, sealed), p, AnswerHash(answer)
	}
	if order.Account != "acc-1" || order.Step != 4 {
		t.Errorf("%+v", order)
	}
	// A later request of a conversation that is not known.
	if _, err := (*Order)(nil).Check(r.open(t, history[1])); !errors.Is(err, ErrReordered) {
		t.Error(err)
	}
	other, _ := r.seal(t, r.request(t, all[1], nil, Hash{}))
	if _, err := order.Check(r.open(t, other)); !errors.Is(err, ErrReordered) {
		t.Error(err)
	}
}

func TestSeen(t *testing.T) {
	now := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	s := NewSeen(2)
	for i, c := range []struct {
		hash byte
		at   time.Duration
		want error
	}{{1, 0, nil}, {1, 0, ErrReplayed}, {2, time.Minute, nil}, {3, time.Minute, ErrFull}, {1, 9 * time.Minute, ErrReplayed}, {3, 10 * time.Minute, nil}, {2, 10 * time.Minute, ErrReplayed}} {
		at := now.Add(c.at)
		if err := s.Add(Hash{c.hash}, at.Add(10*time.Minute), at); !errors.Is(err, c.want) {
			t.Fatalf("%d: %v", i, err)
		}
	}
}

// TestRequestNotMade: what would be refused is not sent.
func TestRequestNotMade(t *testing.T) {
	r := newRig(t)
	for _, b := range []RequestBody{
		&Activate{Secret: Secret("short"), DeviceName: "x", Reactivation: [32]byte{1}},
		&Activate{Secret: make(Secret, 16), DeviceName: "x"},
		&Begin{DeviceName: ""}, &Begin{DeviceName: "a\nb"}, &Begin{DeviceName: strings.Repeat("x", 65)},
		&Factor{Factor: "fob?"}, &Factor{Factor: "fob", Passcode: make(Secret, 129)}, &Factor{Factor: "security_key", Assertion: make([]byte, 4097)},
		&Proof{}, &Proof{Code: make(Secret, 17)},
		&Approve{Yes: true, Number: 9}, &Approve{Yes: true, Number: 100}, &Approve{Number: 42},
		&Notice{Forgotten: make([]string, 33)}, &Notice{Forgotten: []string{""}},
		&RevokeDevice{}, &RevokeDevice{This: true},
	} {
		if _, _, err := r.request(t, b, nil, Hash{}).Seal(r.device, r.signer(b.kind()), r.d); err == nil {
			t.Errorf("%+v is sent", b)
		}
	}
	if _, _, err := r.request(t, bodies()[1], nil, Hash{}).Seal(r.device, nil, r.d); err == nil {
		t.Error("begin without the account's signature")
	}
	if _, _, err := r.request(t, bodies()[4], nil, Hash{}).Seal(r.device, r.account, r.d); err == nil {
		t.Error("poll with the account's signature")
	}
}

// TestDeviceList: the longest list there can be fits a message, and one that names
// accounts that it has not is no list.
func TestDeviceList(t *testing.T) {
	r := newRig(t)
	sealed, p := r.seal(t, r.request(t, &Devices{}, nil, Hash{}))
	o := r.open(t, sealed)
	long := &DeviceList{}
	for n := range maxList {
		d := OwnDevice{ID: ID{byte(n + 1)}, Name: strings.Repeat("x", maxName), State: "revoked", This: true, First: 1 << 40, Last: 1 << 40}
		for a := range maxList {
			d.Has = append(d.Has, a)
		}
		long.Devices = append(long.Devices, d)
		long.Accounts = append(long.Accounts, strings.Repeat("y", 2*maxName))
	}
	got, err := p.Open(r.answer(t, o, long), r.device, r.now)
	if err != nil || !reflect.DeepEqual(got, long) {
		t.Fatal(err)
	}
	good := func() *DeviceList { return results(r.now)[7].(*DeviceList) }
	if l := good(); l.check() != nil || !slices.Equal(l.AccountsOf(l.Devices[1]), l.Accounts) || len(l.AccountsOf(l.Devices[0])) > 0 {
		t.Fatalf("%+v", l)
	}
	for _, spoil := range []func(l *DeviceList){
		func(l *DeviceList) { l.Devices[0].ID = ID{} },
		func(l *DeviceList) { l.Devices[0].State = "pending" },
		func(l *DeviceList) { l.Devices[0].Name = "" },
		func(l *DeviceList) { l.Devices[0].First = 0 },
		func(l *DeviceList) { l.Devices[1].Has = []int{0, 2} },
		func(l *DeviceList) { l.Devices[1].Has = []int{-1} },
		func(l *DeviceList) { l.Devices[1].Has = []int{1, 1} },
		func(l *DeviceList) { l.Accounts[0] = "a\nb" },
		func(l *DeviceList) { l.Devices = make([]OwnDevice, maxList+1) },
	} {
		l := good()
		spoil(l)
		if _, err := o.Answer(r.authority, r.d, l, r.now); err == nil {
			t.Errorf("%+v is sent", l)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 1023, 4095, 4096, 16383} {
		raw := bytes.Repeat([]byte{0x80}, n)
		padded, err := pad(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := unpad(padded); err != nil || !bytes.Equal(got, raw) {
			t.Fatalf("%d: %v", n, err)
		}
		if _, err := unpad(append(padded, 0)); err == nil {
			t.Fatalf("%d: padded to no class", n)
		}
	}
	if _, err := pad(make([]byte, 16384)); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	// A whole class too much.
	if _, err := unpad(append([]byte{1, 0x80}, make([]byte, 1022)...)); err == nil {
		t.Fatal("padded to a later class than the next")
	}
}

// TestNothingIsPrinted: no form of a body shows its secrets.
func TestNothingIsPrinted(t *testing.T) {
	r := newRig(t)
	l := Link{Endpoint: r.d.Endpoints[0], Secret: Secret("0123456789abcdef"), Expires: r.now}
	for _, v := range []any{&Factor{Factor: "fob", Passcode: Secret("755224")}, &Proof{Code: Secret("755224")}, &NewSecret{Secret: Secret("755224")}, l, &l} {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{string(raw), fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), fmt.Sprintf("%x", v), fmt.Sprintf("%q", v)} {
			for _, secret := range []string{"755224", "373535", "0x37, 0x35", "0123456789abcdef", "30313233"} {
				if strings.Contains(s, secret) {
					t.Errorf("%T: %s", v, s)
				}
			}
		}
	}
	s := Secret("x")
	if s.Wipe(); s[0] != 0 {
		t.Error("not wiped")
	}
}

func TestNumber(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	count := map[int]int{}
	random := bytes.NewReader(every)
	for {
		n, err := NewNumber(random)
		if err != nil {
			break
		}
		count[n]++
	}
	if len(count) != 90 {
		t.Fatalf("%d numbers", len(count))
	}
	for n, c := range count {
		if c != 2 || n < 10 || n > 99 {
			t.Errorf("%d comes %d times", n, c)
		}
	}
	if !SameNumber(42, 42) || SameNumber(42, 24) || SameNumber(0, 0) {
		t.Error("compared wrongly")
	}
}
