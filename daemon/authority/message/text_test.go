package message

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

func TestDescriptor(t *testing.T) {
	r := newRig(t)
	raw, err := r.d.Encode(r.authority)
	if err != nil {
		t.Fatal(err)
	}
	d, err := ParseDescriptor(raw)
	if err != nil || d.KeysHash() != r.d.KeysHash() || d.Name != r.d.Name || !slices.Equal(d.Endpoints, r.d.Endpoints) ||
		!d.Issued.Equal(r.d.Issued) || d.Contact != r.d.Contact || d.Portal != r.d.Portal {
		t.Fatalf("%v\n%+v", err, d)
	}
	if f := d.Fingerprint(); len(f) != 29 || strings.Count(f, "-") != 5 {
		t.Error(f)
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		if d, err := ParseDescriptor(bad); err == nil || d != nil {
			t.Fatalf("byte %d", i)
		}
	}
	if _, err := r.d.Encode(r.device); !errors.Is(err, ErrWrongAuthority) {
		t.Error(err)
	}
	text, err := r.d.Text(r.authority)
	if err != nil {
		t.Fatal(err)
	}
	kind, again, err := ReadText(text)
	if err != nil || kind != PartsDescriptor || !bytes.Equal(again, raw) {
		t.Fatal(kind, err)
	}
}

func TestDescriptorRefused(t *testing.T) {
	for name, change := range map[string]func(d *Descriptor){
		"no name":            func(d *Descriptor) { d.Name = "" },
		"a line break":       func(d *Descriptor) { d.Name = "a\nb" },
		"turned text":        func(d *Descriptor) { d.Contact = "a\u202eb" },
		"a long contact":     func(d *Descriptor) { d.Contact = strings.Repeat("x", 401) },
		"a portal over http": func(d *Descriptor) { d.Portal = "http://x.example" },
		"many endpoints":     func(d *Descriptor) { d.Endpoints = slices.Repeat(d.Endpoints[:1], 9) },
		"no pin":             func(d *Descriptor) { d.Endpoints[0].Pin = Hash{} },
		"no port":            func(d *Descriptor) { d.Endpoints[0].Port = 0 },
		"host and socket":    func(d *Descriptor) { d.Endpoints[0].Socket = "/x" },
		"a relative socket":  func(d *Descriptor) { d.Endpoints[1].Socket = "x" },
		"a flag for a host":  func(d *Descriptor) { d.Endpoints[0].Host = "-x" },
		"a user at a host":   func(d *Descriptor) { d.Endpoints[0].Host = "a@b" },
		"half an address":    func(d *Descriptor) { d.Endpoints[0].Host = "a:b" },
		"no time":            func(d *Descriptor) { d.Issued = time.Time{} },
	} {
		r := newRig(t)
		change(r.d)
		if _, err := r.d.Encode(r.authority); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func links(tb testing.TB) []Link {
	r := newRig(tb)
	l := Link{Endpoint: r.d.Endpoints[0], Authority: r.d.KeysHash(), Activation: ID{1}, Secret: bytes.Repeat(Secret{2}, 16), Expires: r.now.Add(time.Hour)}
	local, six, long := l, l, l
	local.Endpoint = r.d.Endpoints[1]
	six.Endpoint.Host = "2001:db8::1"
	long.Endpoint.Host = strings.Repeat("x", 85) + ".example.org"
	return []Link{l, local, six, long}
}

func TestLink(t *testing.T) {
	r := newRig(t)
	for _, l := range links(t) {
		uri, err := l.URI()
		if err != nil {
			t.Fatal(err)
		}
		if len(uri) >= MaxLink || strings.ContainsAny(uri, " &?;'\"`$\\<>|*[](){}!#~%\n") {
			t.Errorf("%d characters: %s", len(uri), uri)
		}
		got, err := ParseLink(" " + uri + "\n")
		if err != nil || got.Endpoint != l.Endpoint || got.Authority != l.Authority || got.Activation != l.Activation ||
			!bytes.Equal(got.Secret, l.Secret) || !got.Expires.Equal(l.Expires) {
			t.Fatalf("%v\n%+v\n%+v", err, got, l)
		}
		if err := got.Check(r.d, r.now); err != nil {
			t.Error(err)
		}
		if err := got.Check(r.d, l.Expires); !errors.Is(err, ErrExpired) {
			t.Error(err)
		}
		other := *r.d
		other.ID[0]++
		if err := got.Check(&other, r.now); !errors.Is(err, ErrWrongAuthority) {
			t.Error(err)
		}
		// Cut anywhere, or with one character changed.
		for i := range len(uri) {
			if _, err := ParseLink(uri[:i]); err == nil || strings.Contains(err.Error(), uri[len(uri)-20:]) {
				t.Fatalf("cut at %d: %v", i, err)
			}
			c := byte('A')
			if uri[i] == c {
				c = 'B'
			}
			if _, err := ParseLink(uri[:i] + string(c) + uri[i+1:]); err == nil {
				t.Fatalf("changed at %d", i)
			}
		}
		readQR(t, uri, 0)
	}
	resum := func(s string) string { return s + linkSum(s) }
	good, _ := links(t)[0].URI()
	body := good[:strings.LastIndexByte(good, ',')+1]
	for _, c := range []struct {
		name, link string
		want       error
	}{
		{"nothing", "", ErrMalformed},
		{"another scheme", "otpauth://totp/x", ErrMalformed},
		{"upper case", strings.ToUpper(good[:16]) + good[16:], ErrMalformed},
		{"newer", LinkScheme + "2,x", ErrNewer},
		{"mistyped", strings.Replace(good, "auth", "auht", 1), ErrDamaged},
		{"too long", LinkScheme + strings.Repeat("x", 300), ErrTooLarge},
		{"another spelling of the port", resum(strings.Replace(body, ",7443,", ",07443,", 1)), ErrMalformed},
		{"too large a port", resum(strings.Replace(body, ",7443,", ",74430,", 1)), ErrMalformed},
		{"no port and a pin", resum(strings.Replace(body, ",7443,", ",0,", 1)), ErrMalformed},
	} {
		if l, err := ParseLink(c.link); !errors.Is(err, c.want) || l != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	long := links(t)[0]
	long.Endpoint.Host = strings.Repeat("x", 101)
	if _, err := long.URI(); err == nil {
		t.Error("a host that does not fit")
	}
}

// readQR draws a text as a QR code of at most a version (0: any) and reads it.
func readQR(t *testing.T, text string, most int) {
	t.Helper()
	code, failed := encoder.Encoder_encode(text, decoder.ErrorCorrectionLevel_M, nil)
	if failed != nil {
		t.Fatal(failed)
	}
	if v := code.GetVersion().GetVersionNumber(); most > 0 && v > most {
		t.Errorf("QR version %d, not %d", v, most)
	}
	img, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, 500, 500, map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_ERROR_CORRECTION: "M"})
	if err != nil {
		t.Fatal(err)
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		t.Fatal(err)
	}
	// Drawn, not photographed: the search for corners, which misses one of two
	// hundred dense codes, is not what is tested here.
	got, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true})
	if err != nil || got.GetText() != text {
		t.Fatalf("%v: %v", err, got)
	}
}

func TestParts(t *testing.T) {
	r := newRig(t)
	sealed, _ := r.seal(t, r.request(t, bodies()[1], nil, Hash{}))
	parts, err := Parts(PartsRequest, sealed, 0)
	if err != nil || len(parts) != 2 {
		t.Fatalf("%v: %d parts of %d bytes", err, len(parts), len(sealed))
	}
	for _, p := range parts {
		readQR(t, p, 18)
	}
	parts, err = Parts(PartsRequest, sealed, leastPart)
	if err != nil || len(parts) < 5 {
		t.Fatal(err, len(parts))
	}
	var c Collector
	if _, _, err := c.Message(); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	for i := len(parts) - 1; i >= 0; i-- {
		var missing *MissingError
		if _, _, err := c.Message(); i < len(parts)-1 && (!errors.As(err, &missing) || !errors.Is(err, ErrMissingParts) || len(missing.Missing) != i+1 || missing.Total != len(parts)) {
			t.Fatal(err)
		}
		for range 2 {
			if err := c.Add(parts[i] + "\r\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if kind, raw, err := c.Message(); err != nil || kind != PartsRequest || !bytes.Equal(raw, sealed) {
		t.Fatal(kind, err)
	}
	if _, _, err := ReadText(parts[0] + "\n" + parts[3]); err == nil || !strings.Contains(err.Error(), "there are missing: 2, 3, 5") {
		t.Error(err)
	}
}

func TestPartsRefused(t *testing.T) {
	r := newRig(t)
	sealed, _ := r.seal(t, r.request(t, bodies()[1], nil, Hash{}))
	other, _ := r.seal(t, r.request(t, bodies()[1], nil, Hash{}))
	parts, _ := Parts(PartsRequest, sealed, 200)
	others, _ := Parts(PartsRequest, other, 200)
	answers, _ := Parts(PartsAnswer, sealed, 200)
	sum := func(head, data string) string { return head + ":" + partSum(head, data) + ":" + data }
	for _, c := range []struct {
		name  string
		parts []string
		want  error
	}{
		{"of two messages", []string{parts[0], others[1]}, ErrMixed},
		{"of two kinds", []string{parts[0], answers[1]}, ErrMixed},
		{"nothing", []string{""}, ErrMalformed},
		{"something else", []string{"otpauth://totp/x"}, ErrMalformed},
		{"another kind", []string{"TOKEND-NOTE:1:1/1:AAAAAAAA:AAAA:AAAA"}, ErrMalformed},
		{"newer", []string{"TOKEND-REQUEST:2:1/1"}, ErrNewer},
		{"cut", []string{parts[0][:100]}, ErrDamaged},
		{"one character changed", []string{parts[0][:100] + "0" + parts[0][101:]}, ErrDamaged},
		{"lower case", []string{strings.ToLower(parts[0])}, ErrMalformed},
		{"part 0", []string{sum("TOKEND-REQUEST:1:0/1:AAAAAAAA", "AAAA")}, ErrMalformed},
		{"part 2 of 1", []string{sum("TOKEND-REQUEST:1:2/1:AAAAAAAA", "AAAA")}, ErrMalformed},
		{"part 01", []string{sum("TOKEND-REQUEST:1:01/1:AAAAAAAA", "AAAA")}, ErrMalformed},
		{"65 parts", []string{sum("TOKEND-REQUEST:1:1/65:AAAAAAAA", "AAAA")}, ErrMalformed},
		{"no data", []string{sum("TOKEND-REQUEST:1:1/1:AAAAAAAA", "")}, ErrDamaged},
		{"two forms of one", []string{sum("TOKEND-REQUEST:1:1/2:AAAAAAAA", "AAAA"), sum("TOKEND-REQUEST:1:1/2:AAAAAAAA", "AAAB")}, ErrDamaged},
		{"not what was written", []string{sum("TOKEND-REQUEST:1:1/1:AAAAAAAA", "AAAA")}, ErrDamaged},
		{"another spelling of it", []string{sum("TOKEND-REQUEST:1:1/1:AAAAAAAA", "AAAAB")}, ErrMalformed},
		{"another message's name", []string{sum("TOKEND-REQUEST:1:1/1:AAAAAAAA", "MFRGG")}, ErrDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, raw, err := ReadText(strings.Join(c.parts, "\n"))
			if c.parts[0] == "" {
				_, raw, err = ReadText("")
			}
			if !errors.Is(err, c.want) || raw != nil {
				t.Fatalf("%v, want %v", err, c.want)
			}
		})
	}
	if _, err := Parts(PartsRequest, make([]byte, MaxSize+1), 0); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if _, err := Parts(PartsRequest, make([]byte, MaxSize), leastPart); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// TestFileText: a file survives what mail programs and editors do to it.
func TestFileText(t *testing.T) {
	for _, n := range []int{1, 620, 2000, MaxSize} {
		raw := make([]byte, n)
		_, _ = rand.Read(raw)
		text, err := FileText(PartsAnswer, raw)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			if len(line) > fileLine+1 {
				t.Fatalf("a line of %d characters", len(line))
			}
		}
		for name, s := range map[string]string{
			"as written": text, "comments": "# from Alice\n\n" + text + "# end\n", "CRLF": strings.ReplaceAll(text, "\n", "\r\n"),
			"indented": strings.ReplaceAll(text, "\n", "\n  \t"), "a mark before": "\ufeff" + text, "no last line end": strings.TrimSpace(text),
		} {
			if kind, got, err := ReadText(s); err != nil || kind != PartsAnswer || !bytes.Equal(got, raw) {
				t.Errorf("%d bytes, %s: %v", n, name, err)
			}
		}
	}
	if _, _, err := ReadText("TOKEND-ANSWER:1:1/1:\n" + strings.Repeat("A\n", 100_000)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if _, _, err := ReadText(strings.Repeat("#", MaxText+1)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}
