package seeds

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"  //nolint:gosec // a cipher of RFC 6030
	"crypto/sha1" //nolint:gosec // the checksum of RFC 3217
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"slices"
)

// half is the unit of key wrap, in bytes.
const half = 8

func notWrapped() error { return errors.New("it was not wrapped with this key, or was changed") }

// unwrapAES is the key unwrap of RFC 3394.
func unwrapAES(key, _, value []byte) ([]byte, bool, error) {
	check, plain, err := unwrapRounds(key, value)
	if err != nil {
		return nil, false, err
	}
	if subtle.ConstantTimeCompare(check, bytes.Repeat([]byte{0xa6}, half)) != 1 {
		clear(plain)
		return nil, false, notWrapped()
	}
	return plain, true, nil
}

// unwrapAESPadded is the key unwrap with padding of RFC 5649: the check value holds
// the length.
func unwrapAESPadded(key, _, value []byte) ([]byte, bool, error) {
	var check, plain []byte
	if len(value) == 2*half {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, false, err
		}
		out := make([]byte, len(value))
		block.Decrypt(out, value)
		check, plain = out[:half], out[half:]
	} else {
		var err error
		if check, plain, err = unwrapRounds(key, value); err != nil {
			return nil, false, err
		}
	}
	n := int64(binary.BigEndian.Uint32(check[4:]))
	good := bytes.Equal(check[:4], []byte{0xa6, 0x59, 0x59, 0xa6}) && n <= int64(len(plain)) && n > int64(len(plain)-half)
	if !good || len(bytes.Trim(plain[n:], "\x00")) > 0 {
		clear(plain)
		return nil, false, notWrapped()
	}
	return plain[:n], true, nil
}

// unwrapRounds is the unwrapping of RFC 3394, section 2.2.2, without its check.
func unwrapRounds(key, value []byte) (check, plain []byte, err error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	n := len(value)/half - 1
	if len(value)%half != 0 || n < 2 {
		return nil, nil, errors.New("its length is none that key wrap makes")
	}
	var buf [2 * half]byte
	defer clear(buf[:])
	check, plain = slices.Clone(value[:half]), slices.Clone(value[half:])
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			r := plain[(i-1)*half : i*half]
			binary.BigEndian.PutUint64(buf[:], binary.BigEndian.Uint64(check)^uint64(n*j+i))
			copy(buf[half:], r)
			block.Decrypt(buf[:], buf[:])
			copy(check, buf[:half])
			copy(r, buf[half:])
		}
	}
	return check, plain, nil
}

// unwrap3DES is the key unwrap of RFC 3217, section 3.2, of keys of any length, as
// XML Encryption has it.
func unwrap3DES(key, _, value []byte) ([]byte, bool, error) {
	block, err := des.NewTripleDESCipher(key) //nolint:gosec // a cipher of RFC 6030
	if err != nil {
		return nil, false, err
	}
	if len(value)%half != 0 || len(value) < 3*half {
		return nil, false, errors.New("its length is none that key wrap makes")
	}
	t := make([]byte, len(value))
	defer clear(t)
	cipher.NewCBCDecrypter(block, []byte{0x4a, 0xdd, 0xa2, 0x2c, 0x79, 0xe8, 0x21, 0x05}).CryptBlocks(t, value)
	slices.Reverse(t)
	plain := make([]byte, len(t)-half)
	cipher.NewCBCDecrypter(block, t[:half]).CryptBlocks(plain, t[half:])
	end := len(plain) - half
	sum := sha1.Sum(plain[:end]) //nolint:gosec // the checksum of RFC 3217
	if subtle.ConstantTimeCompare(sum[:half], plain[end:]) != 1 {
		clear(plain)
		return nil, false, notWrapped()
	}
	return plain[:end], true, nil
}
