//go:build linux

package foreign

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// tool runs a program on the first reader's card and returns all it says.
func tool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	switch name {
	case "ykman":
		args = append([]string{"-r", "CCID 00 00"}, args...)
	case "yubico-piv-tool":
		args = append([]string{"-r", pcsc.Reader()}, args...)
	}
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

// say wants a program to succeed and to say all of the words.
func say(t *testing.T, words []string, name string, args ...string) string {
	t.Helper()
	out, err := tool(t, name, args...)
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("%s %q does not say %q: %s", name, args, w, out)
		}
	}
	return out
}

// refuse wants a program to fail and to say the word.
func refuse(t *testing.T, word, name string, args ...string) {
	t.Helper()
	out, err := tool(t, name, args...)
	if err == nil || !strings.Contains(out, word) {
		t.Errorf("%s %q: %v: %s", name, args, err, out)
	}
}

func factoryKey() string { return hex.EncodeToString(vpiv.FactoryManagementKey()) }

func readPEM(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("no PEM in %s", path)
	}
	return block.Bytes
}

// chained checks that a file holds an attestation under the card's root.
func chained(t *testing.T, card *vpiv.Card, path string) {
	t.Helper()
	cert, err := x509.ParseCertificate(readPEM(t, path))
	if err != nil {
		t.Fatal(err)
	}
	object, ok := card.Object(0x5FFF01)
	if !ok {
		t.Fatal("the card has no attestation certificate")
	}
	start := bytes.Index(object, []byte{0x30, 0x82})
	issuer, err := x509.ParseCertificate(object[start : len(object)-5])
	if err != nil {
		t.Fatal(err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(card.AttestationRoot())
	between.AddCert(issuer)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Error(err)
	}
}

func TestYkman(t *testing.T) {
	for _, v := range []vpiv.Version{{4, 3, 5}, {5, 2, 7}, {5, 4, 3}, {5, 7, 1}} {
		t.Run(v.String(), func(t *testing.T) { ykman(t, v) })
	}
}

func ykman(t *testing.T, v vpiv.Version) {
	card := insert(t, vpiv.YubiKey(v[0], v[1], v[2]))
	dir := t.TempDir()
	public, attestation := filepath.Join(dir, "public.pem"), filepath.Join(dir, "attestation.pem")
	key := factoryKey()
	piv := func(words []string, args ...string) string {
		t.Helper()
		return say(t, words, "ykman", append([]string{"piv"}, args...)...)
	}
	say(t, []string{"Firmware version: " + v.String(), "Serial number: 12345678"}, "ykman", "info")
	piv([]string{"PIV version: " + v.String(), "PIN tries remaining: 3"}, "info")
	piv(nil, "keys", "generate", "-m", key, "-P", "123456", "-a", "ECCP256", "--touch-policy", "ALWAYS", "9a", public)
	before := card.Counts()
	piv(nil, "certificates", "generate", "-m", key, "-P", "123456", "-s", "CN=virtual", "9a", public)
	if n := card.Counts(); n.TouchesGiven != before.TouchesGiven+1 || n.PrivateUses != before.PrivateUses+1 {
		t.Errorf("counts went from %+v to %+v", before, n)
	}
	piv(nil, "keys", "attest", "9a", attestation)
	chained(t, card, attestation)
	piv([]string{"CN=virtual", "ECCP256"}, "info")
	piv(nil, "access", "change-pin", "-P", "123456", "-n", "654321")
	piv(nil, "access", "change-puk", "-p", "12345678", "-n", "87654321")
	refuse(t, "2", "ykman", "piv", "access", "change-pin", "-P", "111111", "-n", "222222")
	piv(nil, "access", "unblock-pin", "-p", "87654321", "-n", "111222")
	piv(nil, "access", "change-management-key", "-g", "--protect", "-m", key, "-P", "111222")
	if _, now := card.ManagementKey(); bytes.Equal(now, vpiv.FactoryManagementKey()) {
		t.Error("the management key is the factory's still")
	}
	piv([]string{"protected by PIN"}, "info")
	piv(nil, "keys", "generate", "-P", "111222", "-a", "ECCP384", "9d", public)
	piv(nil, "access", "set-retries", "-f", "-P", "111222", "5", "4")
	if card.PINTries() != 5 || card.PUKTries() != 4 {
		t.Errorf("%d and %d tries", card.PINTries(), card.PUKTries())
	}
	piv(nil, "reset", "-f")
	if n := card.Counts(); n.Resets != 1 || len(card.Slots()) != 0 {
		t.Errorf("not reset: %+v", n)
	}
	piv([]string{"PIN tries remaining: 3"}, "info")
	if v.AtLeast(5, 4, 0) {
		piv(nil, "access", "change-management-key", "-a", "AES256", "-m", key, "-P", "123456", "-n", strings.Repeat("ab", 32))
		if alg, now := card.ManagementKey(); alg != vpiv.AlgAES256 || !bytes.Equal(now, bytes.Repeat([]byte{0xAB}, 32)) {
			t.Errorf("management key of algorithm %02x", alg)
		}
	}
}

func TestYubicoPIVTool(t *testing.T) {
	// Its version in Debian 12 knows 3DES management keys alone, so not 5.7.
	for _, v := range []vpiv.Version{{4, 3, 5}, {5, 2, 7}, {5, 4, 3}} {
		t.Run(v.String(), func(t *testing.T) { yubicoPIVTool(t, v) })
	}
}

func yubicoPIVTool(t *testing.T, v vpiv.Version) {
	card := insert(t, vpiv.YubiKey(v[0], v[1], v[2]))
	dir := t.TempDir()
	public, cert, attestation := filepath.Join(dir, "p.pem"), filepath.Join(dir, "c.pem"), filepath.Join(dir, "a.pem")
	key := "-k" + factoryKey()
	run := func(words string, args ...string) {
		t.Helper()
		say(t, []string{words}, "yubico-piv-tool", args...)
	}
	run("PIN tries left:\t3", "-a", "status")
	run(v.String(), "-a", "version")
	run("Successfully verified PIN", "-a", "verify-pin", "-P", "123456")
	refuse(t, "2 tries left", "yubico-piv-tool", "-a", "verify-pin", "-P", "111111")
	run("Successfully", key, "-a", "generate", "-s", "9d", "-A", "ECCP256", "--pin-policy", "once", "--touch-policy", "always", "-o", public)
	// The tool's own selfsign-certificate fails on Debian 12 by itself.
	say(t, nil, "ykman", "piv", "certificates", "generate", "-P", "123456", "-m", factoryKey(), "-s", "CN=x", "9d", public)
	run("", "-a", "read-certificate", "-s", "9d", "-o", cert)
	before := card.Counts()
	run("Successfully performed ECDH", "-a", "verify-pin", "-P", "123456", "-a", "test-decipher", "-s", "9d", "-i", cert)
	if n := card.Counts(); n.ECDHs != before.ECDHs+1 || n.TouchesGiven != before.TouchesGiven+1 {
		t.Errorf("counts went from %+v to %+v", before, n)
	}
	run("", "-a", "attest", "-s", "9d", "-o", attestation)
	chained(t, card, attestation)
	run("Successfully", key, "-a", "generate", "-s", "9c", "-A", "RSA2048", "-o", public)
	say(t, nil, "ykman", "piv", "certificates", "generate", "-P", "123456", "-m", factoryKey(), "-s", "CN=x", "9c", public)
	run("", "-a", "read-certificate", "-s", "9c", "-o", cert)
	run("Successful RSA verification", "-a", "verify-pin", "-P", "123456", "-a", "test-signature", "-s", "9c", "-i", cert)
	other := strings.Repeat("0123456789abcdef", 3)
	run("Successfully set new management key", key, "-a", "set-mgm-key", "-n", other)
	key = "-k" + other
	run("Successfully set new CHUID", key, "-a", "set-chuid")
	run("Successfully changed the pin", "-a", "change-pin", "-P", "123456", "-N", "654321")
	run("Successfully unblocked", "-a", "unblock-pin", "-P", "12345678", "-N", "123456")
	run("Successfully changed pin retries", key, "-a", "verify-pin", "-P", "123456", "-a", "pin-retries", "--pin-retries", "2", "--puk-retries", "1")
	for range 2 {
		_, _ = tool(t, "yubico-piv-tool", "-a", "verify-pin", "-P", "111111") // wrong on purpose
	}
	refuse(t, "blocked", "yubico-piv-tool", "-a", "verify-pin", "-P", "123456")
	refuse(t, "blocked", "yubico-piv-tool", "-a", "change-puk", "-P", "11111111", "-N", "22222222")
	run("Successfully reset", "-a", "reset")
	if len(card.Slots()) != 0 || card.PINTries() != 3 {
		t.Error("not reset")
	}
}

func TestOpenSC(t *testing.T) {
	card := insert(t, vpiv.YubiKey(5, 4, 3))
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for slot, public := range map[string]string{"9a": in("9a.pem"), "9d": in("9d.pem")} {
		say(t, nil, "ykman", "piv", "keys", "generate", "-m", factoryKey(), "-P", "123456", "-a", "ECCP256", slot, public)
		say(t, nil, "ykman", "piv", "certificates", "generate", "-m", factoryKey(), "-P", "123456", "-s", "CN=in "+slot, slot, public)
	}
	say(t, []string{"Personal Identity Verification Card"}, "opensc-tool", "-n")
	say(t, []string{pcsc.Reader()}, "opensc-tool", "-l")
	say(t, []string{"PIV AUTH key", "KEY MAN key", "PIV PUK", "Key ref        : 157 (0x9D)"}, "pkcs15-tool", "--list-pins", "--list-keys", "--list-certificates")
	say(t, []string{"CN=in 9a", "CN=in 9d"}, "pkcs11-tool", "--list-objects")
	if n := card.Counts().PINsSeen; n == 0 {
		t.Error("PINs of ykman were not counted")
	}
	refuse(t, "CKR_PIN_INCORRECT", "pkcs11-tool", "--login", "--pin", "111111", "--list-objects")

	if err := os.WriteFile(in("message"), []byte("message"), 0o600); err != nil {
		t.Fatal(err)
	}
	say(t, nil, "pkcs11-tool", "--login", "--pin", "123456", "--sign", "--mechanism", "ECDSA-SHA256", "--id", "01",
		"--input-file", in("message"), "--output-file", in("signature"), "--signature-format", "openssl")
	signature, err := os.ReadFile(in("signature"))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("message"))
	if !ecdsa.VerifyASN1(publicKey(t, in("9a.pem")), digest[:], signature) {
		t.Error("wrong signature")
	}

	peer, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(peer.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("peer.der"), der, 0o600); err != nil {
		t.Fatal(err)
	}
	say(t, nil, "pkcs11-tool", "--login", "--pin", "123456", "--derive", "--mechanism", "ECDH1-DERIVE", "--id", "03",
		"--input-file", in("peer.der"), "--output-file", in("shared"))
	got, err := os.ReadFile(in("shared"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := publicKey(t, in("9d.pem")).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	if want, err := peer.ECDH(theirs); err != nil || !bytes.Equal(got, want) {
		t.Errorf("another shared secret: %v", err)
	}
}

func publicKey(t *testing.T, path string) *ecdsa.PublicKey {
	t.Helper()
	public, err := x509.ParsePKIXPublicKey(readPEM(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return public.(*ecdsa.PublicKey)
}

// TestPlainCardTools shows a card without Yubico's extensions to everybody.
func TestPlainCardTools(t *testing.T) {
	insert(t, vpiv.PlainPIV())
	say(t, []string{pcsc.Reader()}, "opensc-tool", "-l")
	say(t, []string{"PIN [PIN]"}, "pkcs15-tool", "--list-pins")
	refuse(t, "", "ykman", "piv", "info")
}
