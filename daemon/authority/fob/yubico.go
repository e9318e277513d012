package fob

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
)

// Bounds of a Yubico OTP's counters.
const (
	maxSession = 0x7fff // the highest bit tells of caps lock
	maxYubico  = maxSession<<8 | 0xff
)

// yubiOTP is one Yubico OTP, still encrypted.
type yubiOTP struct {
	public [IDSize]byte
	sealed [aes.BlockSize]byte
}

// plain is what a Yubico OTP says once decrypted. Time stamp and random part are
// not looked at.
type plain struct {
	private [IDSize]byte
	session uint16 // how often the fob was plugged in
	use     uint8  // passcodes since
}

func (p plain) factor() uint64 { return uint64(p.session)<<8 | uint64(p.use) }

// open decrypts o and checks its sum (CRC-16, ISO 13239). False is a wrong key,
// or a mangled passcode.
func (o *yubiOTP) open(key []byte) (plain, bool) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return plain{}, false
	}
	var b [aes.BlockSize]byte
	defer clear(b[:])
	block.Decrypt(b[:], o.sealed[:])
	if crc16(b[:]) != crcGood {
		return plain{}, false
	}
	p := plain{session: binary.LittleEndian.Uint16(b[6:]) & maxSession, use: b[11]}
	copy(p.private[:], b[:])
	return p, true
}

// crcGood is what the sum comes to over a block with its own, complemented, sum
// at the end.
const crcGood = 0xf0b8

func crc16(b []byte) uint16 {
	sum := uint16(0xffff)
	for _, c := range b {
		sum ^= uint16(c)
		for range 8 {
			low := sum & 1
			sum >>= 1
			if low != 0 {
				sum ^= 0x8408
			}
		}
	}
	return sum
}

// layouts are the letters for 0 to 15 as they come out of a keyboard: modhex as
// most layouts have it, and as a Dvorak layout has it, for fobs type keys and not
// letters.
func layouts() []string { return []string{"cbdefghijklnrtuv", "jxe.uidchtnbpygk"} }

// decodeLetters reads the letters of one OTP.
func decodeLetters(text []rune, layout string) (yubiOTP, bool) {
	var raw [IDSize + aes.BlockSize]byte
	defer clear(raw[:])
	for i, r := range text {
		v, ok := nibble(r, layout)
		if !ok {
			return yubiOTP{}, false
		}
		raw[i/2] = raw[i/2]<<4 | v
	}
	var o yubiOTP
	copy(o.public[:], raw[:])
	copy(o.sealed[:], raw[IDSize:])
	return o, true
}

// nibble: capitals are caps lock, or Shift held, which makes > of Dvorak's full
// stop; Turkish keyboards have two letters i.
func nibble(r rune, layout string) (byte, bool) {
	switch {
	case r >= 'A' && r <= 'Z':
		r += 'a' - 'A'
	case r == '>':
		r = '.'
	case r == 'ı' || r == 'İ':
		r = 'i'
	}
	for i, l := range layout {
		if l == r {
			return byte(i), true
		}
	}
	return 0, false
}

// checkYubico: every OTP of a row must be the fob's, and newer than the one
// before. All of them are looked at, whatever the first one says.
func (f *Fob) checkYubico(p Passcode) (Result, Moving) {
	best := Wrong
	for _, row := range p.readings {
		next, result := f.Counter, Accepted
		for i := range row {
			factor, ok := f.factorOf(&row[i])
			switch {
			case !ok:
				result = Wrong
			case result == Wrong:
			case factor < next:
				result = Reused
			default:
				next = factor + 1
			}
		}
		if result == Accepted {
			m := f.Moving
			m.Counter = next
			return Accepted, m
		}
		if result == Reused {
			best = Reused
		}
	}
	return best, f.Moving
}

// factorOf is the moving factor of an OTP that f has made.
func (f *Fob) factorOf(o *yubiOTP) (uint64, bool) {
	said, ok := o.open(f.Secret)
	defer clear(said.private[:])
	ids := subtle.ConstantTimeCompare(o.public[:], f.PublicID) & subtle.ConstantTimeCompare(said.private[:], f.PrivateID)
	return said.factor(), ok && ids == 1
}

// Modhex writes bytes as a fob types them.
func Modhex(b []byte) string {
	letters := layouts()[0]
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, letters[c>>4], letters[c&15])
	}
	return string(out)
}
