package message

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// The golden files were written once, with the keys of newRig; they must open
// for ever. HPKE takes its own randomness, so they are not written alike again.
var update = flag.Bool("update", false, "write the golden files that are missing")

func goldenFile(tb testing.TB, name string) []byte {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "golden", name))
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func writeGolden(t *testing.T, name string, raw []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join("testdata", "golden"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", "golden", name), raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeAllGolden(t *testing.T) {
	r := newRig(t)
	text, err := r.d.Text(r.authority)
	if err != nil {
		t.Fatal(err)
	}
	writeGolden(t, "descriptor.txt", []byte(text))
	uri, err := links(t)[0].URI()
	if err != nil {
		t.Fatal(err)
	}
	writeGolden(t, "link.txt", []byte(uri+"\n"))
	for _, b := range bodies() {
		name := string(b.kind())
		if _, err := os.Stat(filepath.Join("testdata", "golden", "request-"+name+".txt")); err == nil {
			writeMissing(t, r, name)
			continue // written by a version that was before
		}
		sealed, p := r.seal(t, r.request(t, b, nil, Hash{}))
		text, err := FileText(PartsRequest, sealed)
		if err != nil {
			t.Fatal(err)
		}
		writeGolden(t, "request-"+name+".txt", []byte(text))
		pending, _ := json.Marshal(p)
		writeGolden(t, "pending-"+name+".json", append(pending, '\n'))
		o := r.open(t, sealed)
		for _, result := range results(r.now) {
			if result.result().fits(b.kind()) {
				text, err := FileText(PartsAnswer, r.answer(t, o, result))
				if err != nil {
					t.Fatal(err)
				}
				writeGolden(t, "answer-"+name+"-"+string(result.result())+".txt", []byte(text))
			}
		}
	}
}

// writeMissing writes the answers that came later than the request.
func writeMissing(t *testing.T, r *rig, name string) {
	t.Helper()
	_, sealed, err := ReadText(string(goldenFile(t, "request-"+name+".txt")))
	if err != nil {
		t.Fatal(err)
	}
	o := r.open(t, sealed)
	write := func(suffix string, result Result) {
		file := "answer-" + name + "-" + suffix + ".txt"
		if _, err := os.Stat(filepath.Join("testdata", "golden", file)); err == nil || !result.result().fits(o.Kind()) {
			return
		}
		text, err := FileText(PartsAnswer, r.answer(t, o, result))
		if err != nil {
			t.Fatal(err)
		}
		writeGolden(t, file, []byte(text))
	}
	for _, result := range results(r.now) {
		write(string(result.result()), result)
	}
	write("offer-by", laterOffer(r.now))
}

func TestGolden(t *testing.T) {
	if *update {
		writeAllGolden(t)
	}
	r := newRig(t)
	read := func(name string, want PartKind) []byte {
		kind, raw, err := ReadText(string(goldenFile(t, name)))
		if err != nil || kind != want {
			t.Fatalf("%s: %v", name, err)
		}
		return raw
	}
	d, err := ParseDescriptor(read("descriptor.txt", PartsDescriptor))
	if err != nil || !reflect.DeepEqual(d, r.d) {
		t.Fatalf("%v\n%+v", err, d)
	}
	// Computed with python3-cryptography: users have compared them by eye.
	if f := d.Fingerprint(); f != goldenFingerprint {
		t.Errorf("fingerprint %s", f)
	}
	device := r.device.Public().DeviceID()
	if id := hex.EncodeToString(device[:]); id != goldenDevice {
		t.Errorf("device %s", id)
	}
	l, err := ParseLink(string(goldenFile(t, "link.txt")))
	if err != nil || !reflect.DeepEqual(*l, links(t)[0]) {
		t.Fatalf("%v\n%+v", err, l)
	}
	for _, b := range bodies() {
		o := r.open(t, read("request-"+string(b.kind())+".txt", PartsRequest))
		if !reflect.DeepEqual(o.Body, b) {
			t.Errorf("%+v", o.Body)
		}
		var p Pending
		if err := json.Unmarshal(goldenFile(t, "pending-"+string(b.kind())+".json"), &p); err != nil {
			t.Fatal(err)
		}
		for _, result := range results(r.now) {
			if !result.result().fits(b.kind()) {
				continue
			}
			got, err := p.Open(read("answer-"+string(b.kind())+"-"+string(result.result())+".txt", PartsAnswer), r.device, r.now)
			if err != nil || !reflect.DeepEqual(got, result) {
				t.Errorf("%v %+v", err, got)
			}
		}
		if !ResultOffer.fits(b.kind()) {
			continue
		}
		later := laterOffer(r.now)
		got, err := p.Open(read("answer-"+string(b.kind())+"-offer-by.txt", PartsAnswer), r.device, r.now)
		if err != nil || !reflect.DeepEqual(got, later) {
			t.Errorf("%v %+v", err, got)
		}
	}
}

func FuzzLink(f *testing.F) {
	f.Add(string(goldenFile(f, "link.txt")))
	for _, l := range links(f) {
		uri, err := l.URI()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uri)
		f.Add(uri[:len(uri)-9])
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLink(s)
		if (l == nil) != (err != nil) {
			t.Fatal("both or neither")
		}
		if err != nil {
			return
		}
		uri, err := l.URI()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseLink(uri); err != nil || !reflect.DeepEqual(again, l) {
			t.Fatalf("%v: %+v %+v", err, again, l)
		}
	})
}

// FuzzDescriptor goes past the signature, too.
func FuzzDescriptor(f *testing.F) {
	_, raw, err := ReadText(string(goldenFile(f, "descriptor.txt")))
	if err != nil {
		f.Fatal(err)
	}
	var outer signedBytes
	if err := decode(raw, &outer); err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(outer.Body)
	k := keysFor(f, 1)
	f.Fuzz(func(t *testing.T, raw []byte) {
		resigned, err := encode(signedBytes{Version: 1, Body: raw, Signature: sign(k.Sign, wordDescriptor, raw)})
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range [][]byte{raw, resigned} {
			d, err := ParseDescriptor(raw)
			if err != nil || d.Keys != k.Public() {
				continue
			}
			again, err := d.Encode(k)
			if err != nil || string(again) != string(raw) {
				t.Fatalf("accepted, and not what would be written: %v", err)
			}
		}
	})
}

// FuzzEnvelope feeds foreign bytes to the readers of requests and answers: as
// they come, and signed and sealed by who may.
func FuzzEnvelope(f *testing.F) {
	r := newRig(f)
	n := 0
	for _, b := range bodies() {
		_, sealed, err := ReadText(string(goldenFile(f, "request-"+string(b.kind())+".txt")))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sealed)
		raw, err := encode(r.wire(f, b))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		n++
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
	for _, result := range results(r.now) {
		raw, err := encode(result)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	_, p := r.seal(f, r.request(f, bodies()[4], nil, Hash{}))
	hash := r.d.KeysHash()
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = p.Open(raw, r.device, r.now)
		for _, k := range []ResultKind{ResultRefused, ResultOffer, ResultWaiting, ResultSecret, ResultDone, ResultQuestions, ResultNotices, ResultDevices, ResultChallenge} {
			if v := newResult(k); body(raw, v) == nil {
				if again, err := encode(v); err != nil || string(again) != string(raw) {
					t.Fatalf("accepted, and not what would be written: %v", err)
				}
			}
		}
		if len(raw) > 10_000 {
			return
		}
		enc, ct, err := sealPadded(r.d.Keys.Seal, requestInfo(hash), signedBytes{Version: 1, Body: raw,
			Signature: sign(r.device.Sign, wordRequest, raw), Account: sign(r.account, wordAccount, raw)})
		if err != nil {
			t.Fatal(err)
		}
		resealed, err := encode(sealedRequest{1, [8]byte(hash[:8]), enc, ct})
		if err != nil {
			t.Fatal(err)
		}
		for _, sealed := range [][]byte{raw, resealed} {
			o, err := OpenRequest(sealed, r.authority, r.d, r.now, r.key)
			if (o == nil) != (err != nil) {
				t.Fatal("both or neither")
			}
			if o != nil && (o.Body.check() != nil || o.Body.kind() != o.Kind() || !r.now.Before(o.Expires) || o.Step < 1) {
				t.Fatalf("%+v is accepted", o)
			}
		}
	})
}

func FuzzParts(f *testing.F) {
	f.Add(string(goldenFile(f, "descriptor.txt")))
	f.Add(string(goldenFile(f, "request-begin.txt")))
	raw := make([]byte, 300)
	_, _ = rand.Read(raw)
	parts, err := Parts(PartsAnswer, raw, leastPart)
	if err != nil || len(parts) < 3 {
		f.Fatal(err)
	}
	f.Add(parts[2] + "\n# x\n" + parts[0] + "\n" + parts[1][:50] + "\n" + parts[1][50:])
	f.Add("TOKEND-REQUEST:1:1/2:AAAAAAAA:AAAA:AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		kind, raw, err := ReadText(s)
		if (raw == nil) != (err != nil) {
			t.Fatal("both or neither")
		}
		if err != nil {
			return
		}
		text, err := FileText(kind, raw)
		if err != nil {
			t.Fatal(err)
		}
		if k, again, err := ReadText(text); err != nil || k != kind || string(again) != string(raw) {
			t.Fatal(err)
		}
	})
}

const (
	goldenFingerprint = "TUOO-QPJS-VSIN-JHSL-3QZG-OGP5"
	goldenDevice      = "8655ebe2b030329258fa1f147c271283"
)
