package transfer

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/pbkdf2"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // libsodium's secretstream authenticates otherwise than the AEAD of RFC 8439
	"golang.org/x/crypto/scrypt"
)

// Bounds on what a file may ask for. A file says how much work its password
// costs; without bounds a hostile one would stop the machine.
const (
	usualMemory = 1 << 30
	// maxRounds bounds PBKDF2; Bitwarden allows its users two million.
	maxRounds = 5_000_000
	// maxWork bounds memory times passes of Argon2id and scrypt, in bytes: some
	// 20 seconds. Ente asks for 4 GiB, Bitwarden's largest is 10.
	maxWork = 12 << 30
	// slowMemory and slowRounds are from where on a derivation is announced.
	slowMemory = 32 << 20
	slowRounds = 200_000
	keySize    = 32
)

// ask asks for the password. The caller wipes it.
func (o Options) ask(ctx context.Context, format, what string) ([]byte, error) {
	return o.question(ctx, Question{Format: format, What: what})
}

func (o Options) question(ctx context.Context, q Question) ([]byte, error) {
	if o.Password == nil && q.Unsure {
		return nil, problem(UnknownEncrypted, "", "the file is encrypted or compressed, and does not tell by which product; %s is one", q.Format)
	}
	if o.Password == nil {
		return nil, problem(PasswordNeeded, q.Format, "the file is encrypted, and its password was not given")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return o.Password(ctx, q)
}

func (o Options) announce(format string, memory uint64) {
	if o.Progress != nil {
		o.Progress(Work{Format: format, Memory: memory})
	}
}

func (o Options) memory() uint64 {
	if o.MaxMemory == 0 {
		return usualMemory
	}
	return o.MaxMemory
}

// affordable checks what a derivation asks for.
func (o Options) affordable(format string, memory, passes uint64) error {
	if memory > o.memory() {
		return problem(TooCostly, format, "opening the file takes %d MiB of memory; %d are allowed", memory>>20, o.memory()>>20)
	}
	if passes > 0 && memory > maxWork/passes {
		return problem(TooCostly, format, "opening the file takes %d passes over %d MiB, which is more than is allowed", passes, memory>>20)
	}
	return nil
}

// derive runs a key derivation, which cannot be interrupted, so that the caller
// is free when the context ends. password is copied.
func derive(ctx context.Context, password []byte, f func(password []byte) []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	own := bytes.Clone(password)
	done := make(chan []byte)
	go func() {
		key := f(own)
		clear(own)
		select {
		case done <- key:
		case <-ctx.Done():
			clear(key)
		}
	}()
	select {
	case key := <-done:
		return key, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pbkdf2Key is PBKDF2 (RFC 8018, section 5.2).
func (o Options) pbkdf2Key(ctx context.Context, format string, password, salt []byte, rounds uint64, size int, h func() hash.Hash) ([]byte, error) {
	if rounds == 0 {
		return nil, damaged(format, "it says that its key takes no rounds to derive")
	}
	limit := o.maxRounds
	if limit == 0 {
		limit = maxRounds
	}
	if rounds > limit {
		return nil, problem(TooCostly, format, "opening the file takes %d rounds of PBKDF2; %d are allowed", rounds, limit)
	}
	if rounds >= slowRounds {
		o.announce(format, 0)
	}
	return derive(ctx, password, func(p []byte) []byte { return pbkdf2.Key(p, salt, int(rounds), size, h) })
}

// argon2Key is Argon2id (RFC 9106); memory is in KiB.
func (o Options) argon2Key(ctx context.Context, format string, password, salt []byte, passes, memory, threads uint64) ([]byte, error) {
	if passes == 0 || memory == 0 || threads == 0 || threads > 64 || len(salt) == 0 {
		return nil, damaged(format, "the parameters of its key cannot be")
	}
	if memory > 1<<40 {
		memory = 1 << 40 // keeps the product below from overflowing
	}
	if err := o.affordable(format, memory<<10, passes); err != nil {
		return nil, err
	}
	if memory<<10 >= slowMemory {
		o.announce(format, memory<<10)
	}
	return derive(ctx, password, func(p []byte) []byte {
		return argon2.IDKey(p, salt, uint32(passes), uint32(memory), uint8(threads), keySize)
	})
}

// scryptKey is scrypt (RFC 7914).
func (o Options) scryptKey(ctx context.Context, format string, password, salt []byte, n, r, p uint64) ([]byte, error) {
	if n < 2 || n&(n-1) != 0 || r == 0 || p == 0 {
		return nil, damaged(format, "the parameters of its key cannot be")
	}
	const big = 1 << 20
	if n > 1<<32 || r > big || p > big {
		return nil, problem(TooCostly, format, "opening the file takes more memory or time than is allowed")
	}
	memory := 128 * n * r
	if err := o.affordable(format, memory, p); err != nil {
		return nil, err
	}
	// The blocks of all threads are held at once.
	if err := o.affordable(format, 128*r*p, 1); err != nil {
		return nil, err
	}
	if memory >= slowMemory {
		o.announce(format, memory)
	}
	key, err := derive(ctx, password, func(pw []byte) []byte {
		k, err := scrypt.Key(pw, salt, int(n), int(r), int(p), keySize)
		if err != nil {
			return nil
		}
		return k
	})
	if err == nil && key == nil {
		err = damaged(format, "the parameters of its key cannot be")
	}
	return key, err
}

// openGCM decrypts AES-GCM (NIST SP 800-38D); box has the tag at its end. It says
// whether key and data fit.
func openGCM(key, nonce, box, extra []byte) ([]byte, bool) {
	block, err := aes.NewCipher(key)
	if err != nil || len(nonce) == 0 || len(nonce) > 64 {
		return nil, false
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, len(nonce))
	if err != nil {
		return nil, false
	}
	plain, err := gcm.Open(nil, nonce, box, extra)
	return plain, err == nil
}

// openCBC decrypts AES-CBC with PKCS #7 padding, and says whether the padding is
// one. It proves nothing of the key.
func openCBC(key, iv, box []byte) ([]byte, bool) {
	block, err := aes.NewCipher(key)
	if err != nil || len(iv) != aes.BlockSize || len(box) == 0 || len(box)%aes.BlockSize != 0 {
		return nil, false
	}
	plain := make([]byte, len(box))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, box)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > aes.BlockSize {
		clear(plain)
		return nil, false
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			clear(plain)
			return nil, false
		}
	}
	return plain[:len(plain)-pad], true
}

// streamOverhead is what libsodium's secretstream adds to a message: the byte
// that tags it, and the authenticator.
const streamOverhead = 1 + poly1305.TagSize

// openStream decrypts the first, and only, message of a libsodium secretstream
// (crypto_secretstream_xchacha20poly1305): the key and nonce come from HChaCha20,
// block 0 of the ChaCha20 stream is Poly1305's key, block 1 holds the tag byte,
// and the message follows.
func openStream(key, header, box []byte) ([]byte, bool) {
	if len(key) != keySize || len(header) != 24 || len(box) < streamOverhead {
		return nil, false
	}
	sub, err := chacha20.HChaCha20(key, header[:16])
	if err != nil {
		return nil, false
	}
	nonce := append([]byte{1, 0, 0, 0}, header[16:]...)
	s, err := chacha20.NewUnauthenticatedCipher(sub, nonce)
	if err != nil {
		return nil, false
	}
	var macKey [32]byte
	s.XORKeyStream(macKey[:], macKey[:])
	s.SetCounter(1)
	var block [64]byte
	block[0] = box[0]
	s.XORKeyStream(block[:], block[:])
	tag := block[0]
	block[0] = box[0] // the authenticator sees the encrypted byte
	message := box[1 : len(box)-poly1305.TagSize]
	mac := poly1305.New(&macKey)
	_, _ = mac.Write(block[:])
	_, _ = mac.Write(message)
	// libsodium pads by the low bits of 16 - 64 + length, whatever was meant.
	_, _ = mac.Write(make([]byte, (16-64+len(message))&15))
	var sizes [16]byte
	binary.LittleEndian.PutUint64(sizes[8:], uint64(64+len(message)))
	_, _ = mac.Write(sizes[:])
	if subtle.ConstantTimeCompare(mac.Sum(nil), box[len(box)-poly1305.TagSize:]) != 1 {
		return nil, false
	}
	const final = 3
	if tag != final && tag != 0 {
		return nil, false
	}
	plain := make([]byte, len(message))
	s.XORKeyStream(plain, message)
	return plain, true
}

func fromBase64(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		b, err = base64.RawStdEncoding.DecodeString(s)
	}
	if err != nil {
		return nil
	}
	return b
}
