package seeds

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // a cipher of RFC 6030
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // a hash of RFC 6030
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"slices"
	"strconv"
	"strings"
)

// algorithm is a cipher of RFC 6030, section 6.1, and of XML Encryption.
type algorithm struct {
	keySize int // bytes
	// two says that two keys of DES, 16 bytes, do as well: the first is the third then.
	two bool
	// bare says that it does not tell a changed value from a good one by itself, so
	// that a MAC is needed.
	bare bool
	// open decrypts; certain says that the result has the marks of having been
	// encrypted with this very key. iv is set where it does not stand in front of
	// the value, as some drafts have it.
	open func(key, iv, value []byte) (plain []byte, certain bool, err error)
}

// cipherOf knows an algorithm by its URI; drafts and makers differ in what stands
// before the last part. Its key is 0 bytes where it is not known.
func cipherOf(uri string) algorithm {
	name := strings.ToLower(lastPart(uri))
	size := 0
	for _, bits := range []int{128, 192, 256} {
		if strings.Contains(name, "aes"+strconv.Itoa(bits)) || strings.Contains(name, "aes-"+strconv.Itoa(bits)) {
			size = bits / 8
		}
	}
	switch des3 := strings.Contains(name, "tripledes") || strings.Contains(name, "3des"); {
	case strings.HasPrefix(name, "kw-") && des3:
		return algorithm{keySize: 24, two: true, open: unwrap3DES}
	case strings.HasPrefix(name, "kw-") && size > 0 && strings.HasSuffix(name, "-pad"):
		return algorithm{keySize: size, open: unwrapAESPadded}
	case strings.HasPrefix(name, "kw-") && size > 0:
		return algorithm{keySize: size, open: unwrapAES}
	case name == "tripledes-cbc" || name == "3des-cbc":
		return algorithm{keySize: 24, two: true, bare: true, open: openCBC(des.NewTripleDESCipher)}
	case size > 0 && strings.HasSuffix(name, "-cbc"):
		return algorithm{keySize: size, bare: true, open: openCBC(aes.NewCipher)}
	case size > 0 && strings.HasSuffix(name, "-gcm"):
		return algorithm{keySize: size, open: openGCM}
	}
	return algorithm{}
}

// lastPart is what follows the last #, / or : of a URI.
func lastPart(uri string) string {
	uri = strings.TrimSpace(uri)
	return uri[strings.LastIndexAny(uri, "#/:")+1:]
}

// macOf knows a MAC by its URI, and a pseudo-random function of PBKDF2 by its own;
// nil where it is not known.
func macOf(uri string) func() hash.Hash {
	switch name := strings.ReplaceAll(strings.ToLower(lastPart(uri)), "_", "-"); name {
	case "hmac-sha1", "hmacwithsha1", "hmacsha1":
		return sha1.New
	case "hmac-sha224", "hmacwithsha224", "hmacsha224":
		return sha256.New224
	case "hmac-sha256", "hmacwithsha256", "hmacsha256":
		return sha256.New
	case "hmac-sha384", "hmacwithsha384", "hmacsha384":
		return sha512.New384
	case "hmac-sha512", "hmacwithsha512", "hmacsha512":
		return sha512.New
	}
	return nil
}

func mac(h func() hash.Hash, key, message []byte) []byte {
	m := hmac.New(h, key)
	m.Write(message)
	return m.Sum(nil)
}

// openCBC decrypts as XML Encryption 1.1, section 5.2, has it: the IV stands in
// front, the last byte counts the padding, and what else is in the padding may be
// anything.
func openCBC(newCipher func([]byte) (cipher.Block, error)) func(key, iv, value []byte) ([]byte, bool, error) {
	return func(key, iv, value []byte) ([]byte, bool, error) {
		block, err := newCipher(key)
		if err != nil {
			return nil, false, err
		}
		n := block.BlockSize()
		if iv == nil && len(value) >= n {
			iv, value = value[:n], value[n:]
		}
		if len(iv) != n || len(value) == 0 || len(value)%n != 0 {
			return nil, false, errors.New("its length is none that the cipher makes")
		}
		plain := make([]byte, len(value))
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, value)
		pad := int(plain[len(plain)-1])
		if pad < 1 || pad > n {
			clear(plain)
			return nil, false, errors.New("its padding is wrong")
		}
		// Four equal bytes of padding are no accident.
		const enough = 4
		padding := plain[len(plain)-pad:]
		certain := pad >= enough && !slices.ContainsFunc(padding, func(b byte) bool { return int(b) != pad })
		return plain[:len(plain)-pad], certain, nil
	}
}

// openGCM decrypts as XML Encryption 1.1, section 5.2.4, has it.
func openGCM(key, iv, value []byte) ([]byte, bool, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, false, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, false, err
	}
	if iv == nil && len(value) >= aead.NonceSize() {
		iv, value = value[:aead.NonceSize()], value[aead.NonceSize():]
	}
	if len(iv) != aead.NonceSize() {
		return nil, false, errors.New("its length is none that the cipher makes")
	}
	plain, err := aead.Open(nil, iv, value, nil)
	return plain, err == nil, err
}
