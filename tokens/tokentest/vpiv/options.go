package vpiv

import (
	"bytes"
	"fmt"
	"time"
)

// Version is a firmware version as the card tells it.
type Version [3]byte

// String is the usual notation, "5.4.3".
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// AtLeast says whether v is the given version or a later one.
func (v Version) AtLeast(major, minor, patch byte) bool {
	return bytes.Compare(v[:], []byte{major, minor, patch}) >= 0
}

// What a factory-fresh card has.
const (
	FactoryPIN = "123456"
	FactoryPUK = "12345678"
)

// FactoryManagementKey is the management key of a factory-fresh card: the same
// 24 bytes whether they are used for 3DES or for AES-192.
func FactoryManagementKey() []byte {
	return bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3)
}

// Options describe a card. Start from YubiKey or PlainPIV and change what the
// test is about; zero values of PIN, PUK, tries, management key, touch, times
// and ATR stand for what a factory-fresh card has.
type Options struct {
	// Version decides what the card can do: attestation from 4.3, the serial
	// number over PIV from 5.0, metadata from 5.3, AES management keys from
	// 5.4, AES-192 as the factory's management key, Ed25519, X25519, larger RSA
	// keys and moving keys from 5.7.
	Version Version
	// Yubico turns on Yubico's instructions, the management applet and the OTP
	// applet. Without it the card answers 6D00 and 6A82 to them.
	Yubico bool
	// Serial is the serial number; 0 is told as 0.
	Serial uint32
	// NoSerial makes the card refuse to tell a serial number.
	NoSerial bool
	// NoMetadata makes GET METADATA fail with 6D00 whatever the version.
	NoMetadata bool
	// NoAttestation makes ATTEST fail with 6D00 whatever the version.
	NoAttestation bool
	// NoApplets leaves out the management and the OTP applet.
	NoApplets bool
	// PIN and PUK are what the card starts with: 6 to 8 bytes. A reset of the
	// application sets the factory's.
	PIN, PUK string
	// PINTries and PUKTries are how often a wrong PIN or PUK may be tried: 1 to
	// 255. A reset of the application sets 3.
	PINTries, PUKTries int
	// ManagementAlgorithm is one of the Alg… constants for management keys; 0
	// means what the version has from the factory.
	ManagementAlgorithm byte
	// ManagementKey is the management key the card starts with.
	ManagementKey []byte
	// RetiredSlots are the slots from 0x82 to 0x95 that exist; nil means all.
	RetiredSlots []byte
	// Touch answers when the card wants to be touched; nil means TouchYes.
	Touch TouchFunc
	// TouchTimeout is how long the card waits for a touch; 0 means 15 s.
	TouchTimeout time.Duration
	// LogSecrets keeps PINs, keys and shared secrets in the log.
	LogSecrets bool
	// ATR is the answer to reset; nil means that of a YubiKey 5. Clients speak
	// T=1 to the card, so it must offer that.
	ATR []byte
	// Now is the card's clock, for cached touches and the log; nil is time.Now.
	Now func() time.Time
}

// YubiKey describes a factory-fresh YubiKey of that firmware version, whose
// touch sensor is always touched at once.
func YubiKey(major, minor, patch byte) Options {
	return Options{Version: Version{major, minor, patch}, Yubico: true, Serial: 12345678}
}

// PlainPIV describes a factory-fresh PIV card without any of Yubico's
// extensions.
func PlainPIV() Options {
	return Options{NoSerial: true, ATR: []byte{
		0x3B, 0xD6, 0x96, 0x00, 0x81, 0xB1, 0xFE, 0x45, 0x1F, 0x87, 0x70, 0x6C, 0x61, 0x69, 0x6E, 0x21, 0x00,
	}}
}

// complete fills in what is not set and refuses what makes no sense.
func (o Options) complete() (Options, error) {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	num := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	def(&o.PIN, FactoryPIN)
	def(&o.PUK, FactoryPUK)
	num(&o.PINTries, factoryTries)
	num(&o.PUKTries, factoryTries)
	if o.ManagementAlgorithm == 0 {
		o.ManagementAlgorithm = factoryManagementAlgorithm(o.Version)
	}
	if o.ManagementKey == nil {
		o.ManagementKey = FactoryManagementKey()
	}
	if o.Touch == nil {
		o.Touch = TouchYes
	}
	if o.TouchTimeout == 0 {
		o.TouchTimeout = 15 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ATR == nil {
		o.ATR = []byte{
			0x3B, 0xFD, 0x13, 0x00, 0x00, 0x81, 0x31, 0xFE, 0x15, 0x80, 0x73, 0xC0, 0x21, 0xC0, 0x57,
			0x59, 0x75, 0x62, 0x69, 0x4B, 0x65, 0x79, 0x40,
		}
	}
	return o, o.check()
}

func (o Options) check() error {
	for _, s := range []string{o.PIN, o.PUK} {
		if len(s) < minReference || len(s) > maxReference {
			return fmt.Errorf("cannot make a card: a PIN or PUK has %d bytes, not 6 to 8", len(s))
		}
	}
	if o.PINTries < 1 || o.PINTries > 255 || o.PUKTries < 1 || o.PUKTries > 255 {
		return fmt.Errorf("cannot make a card: tries must be 1 to 255")
	}
	if _, err := managementCipher(o.ManagementAlgorithm, o.ManagementKey); err != nil {
		return fmt.Errorf("cannot make a card: %w", err)
	}
	for _, s := range o.RetiredSlots {
		if s < firstRetired || s > lastRetired {
			return fmt.Errorf("cannot make a card: %02x is no retired slot", s)
		}
	}
	if len(o.ATR) < 2 || len(o.ATR) > 33 {
		return fmt.Errorf("cannot make a card: an ATR has 2 to 33 bytes")
	}
	return nil
}
