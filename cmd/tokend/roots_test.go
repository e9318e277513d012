package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// maker is a root of attestations, in PEM.
func maker(t testing.TB, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestRootsAreRead(t *testing.T) {
	one, two := maker(t, "one"), maker(t, "two")
	path := filepath.Join(t.TempDir(), "roots.pem")
	text := bytes.Join([][]byte{[]byte("made by hand\n"), one, []byte("and the other\n"), two}, nil)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	roots, err := readRoots(path)
	if err != nil || len(roots) != 2 {
		t.Fatalf("%d roots, %v", len(roots), err)
	}
	if c, err := x509.ParseCertificate(roots[1]); err != nil || c.Subject.CommonName != "two" {
		t.Errorf("the second is %v, %v", c, err)
	}
	if roots, err := readRoots(""); roots != nil || err != nil {
		t.Errorf("no file: %v, %v", roots, err)
	}
}

func TestBadRootsAreRefused(t *testing.T) {
	good := maker(t, "one")
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	for _, c := range []struct {
		name string
		text []byte
		want string
	}{
		{"empty", nil, "no certificate"},
		{"text", []byte("hello\n"), "no certificate"},
		{"a private key", append(bytes.Clone(good), key...), `a "PRIVATE KEY" is in it`},
		{"not a certificate", append(bytes.Clone(good), broken...), "certificate 2 cannot be read"},
		{"cut off", append(bytes.Clone(good), good[:len(good)/2]...), "1 of 2 certificates in it are not whole"},
		{"large", bytes.Repeat(good, 1+maxRootsFile/len(good)), "larger than 64 KiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "roots.pem")
			if err := os.WriteFile(path, c.text, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := readRoots(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) && !strings.Contains(err.Error(), "larger") {
				t.Errorf("got %v, want it to say %q and the path", err, c.want)
			}
			config := filepath.Join(t.TempDir(), "tokend.toml")
			if err := os.WriteFile(config, []byte("[tokens]\nattestation_roots = \""+path+"\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := newService(options{config: config, user: true, stateDir: t.TempDir(), socket: path}, &bytes.Buffer{}); err == nil {
				t.Error("the daemon starts with it")
			}
		})
	}
	if _, err := readRoots(filepath.Join(t.TempDir(), "none.pem")); err == nil {
		t.Error("a missing file passes")
	}
}

// FuzzRoots: what is read is certificates, whatever is in the file.
func FuzzRoots(f *testing.F) {
	good := maker(f, "one")
	f.Add(good)
	f.Add(append(bytes.Clone(good), good[:40]...))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		roots, err := parseRoots(text)
		if err != nil && roots != nil {
			t.Error("an error and roots")
		}
		for _, r := range roots {
			if _, err := x509.ParseCertificate(r); err != nil {
				t.Errorf("what was read is no certificate: %v", err)
			}
		}
	})
}

func TestFIDO2DevicesOfFileAndFlags(t *testing.T) {
	config := filepath.Join(t.TempDir(), "tokend.toml")
	if err := os.WriteFile(config, []byte("[tokens]\nfido2_devices = [\"/dev/one\"]\nrequire_attestation = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options{config: config, user: true, stateDir: t.TempDir(), socket: filepath.Join(t.TempDir(), "s"), fido2Devices: []string{"/dev/two", "/dev/one", "three"}}
	s, err := newService(o, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	got := s.config.Tokens.FIDO2Devices
	if len(got) != 3 || got[0] != "/dev/one" || got[1] != "/dev/two" || !filepath.IsAbs(got[2]) || !s.attestation().Required {
		t.Errorf("devices %q, attestation %+v", got, s.attestation())
	}
	o.fido2Devices = []string{""}
	if _, err := newService(o, &bytes.Buffer{}); err == nil {
		t.Error("an empty path passes")
	}
}
