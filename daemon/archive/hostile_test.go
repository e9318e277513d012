package archive

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestEveryByte flips every byte of a small backup and cuts it at every length:
// it is damage each time, and never anything that a password could mend.
func TestEveryByte(t *testing.T) {
	data := newSample(t).build(t)
	for at := range data {
		bits := byte(1) << (at % 8)
		bad := bytes.Clone(data)
		bad[at] ^= bits
		if _, err := Parse(bad); !errors.Is(err, ErrDamaged) && (!errors.Is(err, ErrNewer) || !inVersion(data, at)) {
			t.Fatalf("byte %d, bits %x: %v", at, bits, err)
		}
	}
	for n := range data {
		_, err := Parse(data[:n])
		if n == 0 && errors.Is(err, ErrNotArchive) {
			continue // an empty file
		}
		wantErr(t, err, ErrDamaged)
	}
	for _, n := range []int{1, 511, 512, 10240} {
		_, err := Parse(append(bytes.Clone(data), make([]byte, n)...))
		wantErr(t, err, ErrDamaged)
	}
}

// inVersion says that a byte is a digit of a document's version: what comes out
// of it is a newer version by its own word, and refused as that.
func inVersion(data []byte, at int) bool {
	before := data[max(0, at-10):at]
	return bytes.Equal(before, []byte(`"version":`))
}

// spent is how many bytes f asked the memory for in all.
func spent(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// stanzas is the header of an age file for n recipients who are nobody.
func stanzas(n int) []byte {
	var b bytes.Buffer
	b.WriteString("age-encryption.org/v1\n")
	for i := range n {
		fmt.Fprintf(&b, "-> X25519 %s\n%s\n", strings.Repeat("A", 43), strings.Repeat("B", 42)+string(rune('A'+i%16)))
	}
	b.WriteString("--- " + strings.Repeat("C", 43) + "\n")
	return append(b.Bytes(), make([]byte, 64)...)
}

// trap is a container that somebody signed in order to harm who opens it, and the
// keys that it is for.
type trap struct {
	*sample
	data []byte
}

func hostile(t *testing.T, change func(s *sample)) trap {
	t.Helper()
	s := newSample(t)
	change(s)
	return trap{s, s.build(t)}
}

// sealed is what a payload becomes for the sample's own keys: whoever has the
// public keys of a token can do as much.
func sealed(t *testing.T, s *sample, payload string) []byte {
	t.Helper()
	to, err := Recipient(s.identity)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Encrypt([]byte(payload), to, s.keys.RecoveryRecipient)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestHostileContents opens containers that are signed well and made to cost: each
// is refused, and what that takes of memory is bounded by a few times the bytes
// that came in.
func TestHostileContents(t *testing.T) {
	session := func(accounts string) string {
		return `{"format":"tokend-vault-session","version":1,"vault_id":"` + strings.Repeat("ab", 16) +
			`","journal":"0000000000000001","journal_before":"0000000000000002","accounts":[` + accounts + `]}`
	}
	const many = 8 << 20
	for name, s := range map[string]trap{
		"100,000 recipients of the accounts": hostile(t, func(s *sample) { s.parts.Session = stanzas(100_000) }),
		"10,000 recipients of the keys":      hostile(t, func(s *sample) { s.parts.Keys = stanzas(9_000) }),
		"100 recipients of the password":     hostile(t, func(s *sample) { s.parts.RecoveryKey = stanzas(100) }),
		"a stanza of 8 MiB": hostile(t, func(s *sample) {
			s.parts.Session = []byte("age-encryption.org/v1\n-> X25519 " + strings.Repeat("A", many) + "\n")
		}),
		"8 MiB of header lines": hostile(t, func(s *sample) {
			s.parts.Session = []byte("age-encryption.org/v1\n-> X25519 AAAA\n" + strings.Repeat(strings.Repeat("A", 64)+"\n", many/65))
		}),
		"millions of empty accounts": hostile(t, func(s *sample) { s.parts.Session = sealed(t, s, session(strings.Repeat("{},", many/3)+"{}")) }),
		"accounts nested deeply": hostile(t, func(s *sample) {
			s.parts.Session = sealed(t, s, session(strings.Repeat("[", many)+strings.Repeat("]", many)))
		}),
		"one account of 8 MiB": hostile(t, func(s *sample) {
			s.parts.Session = sealed(t, s, session(`{"id":"0011223344556677","name":"`+strings.Repeat("x", many)+`"}`))
		}),
		"a name a million times": hostile(t, func(s *sample) {
			s.parts.Session = sealed(t, s, session(`{`+strings.Repeat(`"id":"a",`, many/9)+`"id":"a"}`))
		}),
		"keys nested deeply": hostile(t, func(s *sample) { s.parts.Keys = sealed(t, s, strings.Repeat(`{"a":`, 100_000)) }),
		"a password's work factor of 2^62": hostile(t, func(s *sample) {
			s.parts.RecoveryKey = bytes.Replace(s.parts.RecoveryKey, []byte(" 1\n"), []byte(" 62\n"), 1)
		}),
		"a password's work factor of 2^21": hostile(t, func(s *sample) {
			s.parts.RecoveryKey = bytes.Replace(s.parts.RecoveryKey, []byte(" 1\n"), []byte(" 21\n"), 1)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			a, err := Parse(s.data)
			if err != nil {
				t.Fatalf("it is whole: %v", err)
			}
			for way, open := range map[string]func() (*Contents, error){
				"password":     func() (*Contents, error) { return a.OpenPassword([]byte(samplePassword)) },
				"recovery key": func() (*Contents, error) { return a.OpenRecoveryKey(s.recovery) },
				"session key":  func() (*Contents, error) { return a.OpenSession(s.identity) },
			} {
				took := spent(func() { _, err = open() })
				// Who has the key does not come by what is wrong with the password's part.
				good := way != "password" && strings.Contains(name, "password")
				if good && err != nil || !good && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrWrongPassword) {
					t.Errorf("by %s: %v", way, err)
				}
				if limit := uint64(8*len(s.data) + 16<<20); took > limit {
					t.Errorf("by %s: %d bytes took %d bytes of memory, more than %d", way, len(s.data), took, limit)
				}
			}
		})
	}
}

// hostileTars are containers as foreign tar programs could write them to hide or
// overwrite something.
func hostileTars(t *testing.T) map[string][]byte {
	s := newSample(t)
	data := s.build(t)
	at := bytes.Index(data, []byte(nameSession+"\x00"))
	head := func(name string, size int, kind byte) []byte {
		h := tarHeader(name, size, s.parts.Time.Unix())
		h[156] = kind
		return fixSum(h, 0)
	}
	insert := func(block []byte) []byte { return append(append(bytes.Clone(data[:at]), block...), data[at:]...) }
	pad := func(b []byte) []byte { return append(b, make([]byte, padded(len(b))-len(b))...) }
	out := map[string][]byte{
		"a member twice":          insert(append(head(nameKeys, len(s.parts.Keys), '0'), pad(bytes.Clone(s.parts.Keys))...)),
		"GNU long name":           insert(append(head("././@LongLink", 512, 'L'), bytes.Repeat([]byte("a"), 512)...)),
		"pax record":              insert(append(head("PaxHeader", 512, 'x'), pad([]byte("20 path=../../evil\n"))...)),
		"global pax record":       insert(append(head("PaxHeader", 512, 'g'), pad([]byte("22 size=99999999999\n"))...)),
		"a path that leads out":   insert(head("../../.bashrc", 0, '0')),
		"an absolute path":        insert(head("/etc/passwd", 0, '0')),
		"an empty name":           insert(head("", 0, '0')),
		"a size in base 256":      bytes.Clone(data),
		"a size that overflows":   bytes.Clone(data),
		"a header of ten million": bytes.Repeat(head(nameHeader, 0, '0'), 20_000),
	}
	for _, kind := range []struct {
		name string
		kind byte
	}{{"hard link", '1'}, {"symbolic link", '2'}, {"device", '3'}, {"block device", '4'}, {"folder", '5'}, {"fifo", '6'}, {"sparse file", 'S'}, {"old file", 0}} {
		h := head(nameTouch, 0, kind.kind)
		copy(h[157:], "/etc/passwd")
		out["a "+kind.name] = insert(fixSum(h, 0))
	}
	copy(out["a size in base 256"][at+124:], "\x80\x00\x00\x00\x00\x00\x00\x00\x7f\xff\xff\xff")
	fixSum(out["a size in base 256"], at)
	copy(out["a size that overflows"][at+124:], "77777777777\x00")
	fixSum(out["a size that overflows"], at)
	return out
}

func TestHostileTars(t *testing.T) {
	for name, data := range hostileTars(t) {
		var err error
		took := spent(func() { _, err = Parse(data) })
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if limit := uint64(4*len(data) + 1<<20); took > limit {
			t.Errorf("%s: %d bytes took %d bytes of memory", name, len(data), took)
		}
	}
}
