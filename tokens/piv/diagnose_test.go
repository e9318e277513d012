//go:build cgo && linux

package piv_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"testing/fstest"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/piv"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// with is a driver on a machine that has these files.
func with(files ...string) *piv.Driver {
	root := fstest.MapFS{}
	for _, f := range files {
		name, text, _ := strings.Cut(f, "=")
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return piv.New(piv.Options{Root: root})
}

const (
	usbCCID    = "sys/bus/usb/devices/1-4:1.2/bInterfaceClass=0b\n"
	usbProduct = "sys/bus/usb/devices/1-4/product=YubiKey\n"
)

func diagnose(t *testing.T, d *piv.Driver) []tokens.Finding {
	t.Helper()
	list, err := d.Diagnose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestDiagnoseReaders(t *testing.T) {
	insert(t, vpiv.YubiKey(5, 4, 3), 0)
	list := diagnose(t, with("usr/sbin/pcscd="))
	if len(list) != 1 || list[0].Code != tokens.CodeNotPresent || list[0].Locator != reader(1) || list[0].Fix != "" {
		t.Errorf("with a card in the first of two readers: %+v", list)
	}
	// More USB readers than pcscd has.
	many := []string{"usr/bin/apt-get="}
	for _, n := range []string{"1", "2", "3"} {
		many = append(many, "sys/bus/usb/devices/1-"+n+":1.0/bInterfaceClass=0b")
	}
	list = diagnose(t, with(many...))
	if len(list) != 2 || list[0].Fix != "sudo apt-get install pcscd libccid" || !strings.Contains(list[0].Detail, "libccid") {
		t.Errorf("without the driver of USB readers: %+v", list)
	}
	list = diagnose(t, with(append(many, "usr/lib/pcsc/drivers/ifd-ccid.bundle/Contents=")...))
	if len(list) != 2 || list[0].Fix != "sudo pkill -x pcscd; sleep 1; sudo pcscd" || list[0].Device == "" {
		t.Errorf("with the driver: %+v", list)
	}
	list = diagnose(t, with(append(many, "usr/lib/pcsc/drivers/ifd-ccid.bundle/Contents=", "run/systemd/system/x=")...))
	if len(list) != 2 || list[0].Fix != "sudo systemctl restart pcscd" {
		t.Errorf("with the driver and systemd: %+v", list)
	}
}

func TestDiagnoseService(t *testing.T) {
	if err := bench.rig.KillPCSCD(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bench.rig.StartPCSCD(); err != nil {
			t.Fatal(err)
		}
	})
	if list := diagnose(t, with("usr/sbin/pcscd=", "run/systemd/system/x=")); len(list) != 1 || list[0].Fix != "sudo systemctl enable --now pcscd.socket" {
		t.Errorf("without pcscd running, with systemd: %+v", list)
	}
	list := diagnose(t, with("usr/sbin/pcscd=", usbCCID, usbProduct))
	if len(list) != 1 || list[0].Code != tokens.CodeNoService || list[0].Fix != "sudo pcscd" || !strings.Contains(list[0].Detail, `"YubiKey" is plugged in`) {
		t.Errorf("without pcscd running: %+v", list)
	}
	list = diagnose(t, with("usr/bin/dnf="))
	if len(list) != 1 || list[0].Fix != "sudo dnf install pcsc-lite pcsc-lite-ccid" || !strings.Contains(list[0].Detail, "not installed") {
		t.Errorf("without pcscd: %+v", list)
	}
}

// TestOwnRoots: a maker that is not known vouches where his root is given.
func TestOwnRoots(t *testing.T) {
	card := insert(t, vpiv.YubiKey(5, 4, 3), 0)
	enroll := func(roots ...[]byte) *tokens.Attestation {
		t.Helper()
		made, err := client().Enroll(t.Context(), tokens.EnrollRequest{
			Locator: reader(0), Classes: []tokens.Class{tokens.ClassSession}, PIN: []byte(card.Options().PIN),
			Overwrite: []string{"82"}, Roots: roots,
		})
		if err != nil {
			t.Fatal(err)
		}
		return made.Attestation
	}
	if a := enroll(); a == nil || a.Verified {
		t.Errorf("without roots: %+v", a)
	}
	other, err := vpiv.New(vpiv.YubiKey(5, 4, 3))
	if err != nil {
		t.Fatal(err)
	}
	if a := enroll(other.AttestationRoot().Raw); a == nil || a.Verified {
		t.Errorf("with another's root: %+v", a)
	}
	root := card.AttestationRoot()
	if a := enroll(other.AttestationRoot().Raw, root.Raw); a == nil || !a.Verified || a.Serial == "" || a.Maker != root.Subject.CommonName {
		t.Errorf("with its root, %q: %+v", root.Subject.CommonName, a)
	}
}

// TestAnImportedKeyIsNotVouchedFor by what the card says of a key beside it.
func TestAnImportedKeyIsNotVouchedFor(t *testing.T) {
	card := insert(t, vpiv.YubiKey(5, 4, 3), 0)
	r := tokens.EnrollRequest{
		Locator: reader(0), Classes: []tokens.Class{tokens.ClassSession, tokens.ClassTouch}, PIN: []byte(card.Options().PIN),
		Roots: [][]byte{card.AttestationRoot().Raw},
	}
	made, err := client().Enroll(t.Context(), r)
	if err != nil || made.Attestation == nil || !made.Attestation.Verified {
		t.Fatalf("attested %+v: %v", made.Attestation, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	withCard(t, func(yk *gopiv.YubiKey) error {
		slot, _ := gopiv.RetiredKeyManagementSlot(0x83)
		return yk.SetPrivateKeyInsecure(gopiv.DefaultManagementKey, slot, key, gopiv.Key{
			Algorithm: gopiv.AlgorithmEC256, PINPolicy: gopiv.PINPolicyOnce, TouchPolicy: gopiv.TouchPolicyAlways,
		})
	})
	r.UseExisting = true
	made, err = client().Enroll(t.Context(), r)
	if err != nil || len(made.Keys) != 2 {
		t.Fatalf("enrolled %+v: %v", made, err)
	}
	if made.Attestation != nil {
		t.Errorf("an imported key is vouched for: %+v", made.Attestation)
	}
	r.Classes = r.Classes[:1]
	if made, err = client().Enroll(t.Context(), r); err != nil || made.Attestation == nil || !made.Attestation.Verified {
		t.Errorf("the key made on the card alone: %+v: %v", made.Attestation, err)
	}
}
