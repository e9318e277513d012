package seeds

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxRounds bounds PBKDF2: some seconds of work.
const maxRounds = 10_000_000

// size is what a cipher wants of its key; see algorithm.
type size struct {
	bytes int
	two   bool
}

// lock is how a PSKC file is encrypted (RFC 6030, section 6).
type lock struct {
	format  string
	options Options

	keyName    string
	passphrase *element // KeyDerivationMethod
	public     bool     // encrypted to a certificate
	cipher     string   // of early drafts, for the whole file
	iv         []byte   // the same

	macName   string
	macKey    *element
	macPlain  []byte // the key of the MAC
	macNamed  bool   // by a reference alone
	macClosed *fault // why there is no key of the MAC
	macDone   bool

	input   []byte // what was typed
	asked   bool
	keys    map[size][]byte
	opened  int  // values that were opened
	certain bool // the key is right
}

func (l *lock) wipe() {
	clear(l.input)
	clear(l.macPlain)
	for _, k := range l.keys {
		clear(k)
	}
}

func (l *lock) what() string {
	if l.passphrase != nil {
		return "passphrase"
	}
	return "key"
}

// setKey reads EncryptionKey, or EncryptionMethod of early drafts.
func (l *lock) setKey(e *element) {
	l.passphrase = e.child("DerivedKey", "KeyDerivationMethod")
	l.public = e.child("X509Data") != nil
	l.keyName = e.words("KeyName")
	for _, n := range []string{"MasterKeyName", "CarriedKeyName"} {
		if l.keyName == "" {
			l.keyName = e.words("DerivedKey", n)
		}
	}
	if e.name == "EncryptionMethod" {
		if l.cipher = e.attr("Algorithm"); strings.EqualFold(l.cipher, "none") {
			l.cipher = ""
		}
		if iv := e.words("IV"); iv != "" {
			l.iv, _ = decodeBase64(iv) // one of a wrong length opens nothing
		}
	}
}

// setMAC reads MACMethod, or what early drafts have in its place.
func (l *lock) setMAC(e *element) {
	if l.macName = e.attr("Algorithm"); e.name == "MACAlgorithm" {
		l.macName = strings.TrimSpace(e.text)
	}
	l.macKey = e.child("MACKey")
	l.macNamed = l.macKey == nil && e.child("MACKeyReference") != nil
}

// plainText is what stands there unencrypted, if it does.
func (l *lock) plainText(d *element) (string, bool) {
	if v := d.child("PlainValue"); v != nil {
		return strings.TrimSpace(v.text), true
	}
	if v := d.child("Value"); v != nil && !l.sealsValue(d) {
		return strings.TrimSpace(v.text), true
	}
	return "", false
}

// sealsValue says whether Value of an early draft is encrypted: it has a digest then.
func (l *lock) sealsValue(d *element) bool {
	return l.cipher != "" && d.child("ValueDigest") != nil
}

// value is what a datum holds, decrypted where needed. Errors end the reading of the
// file, faults skip the key.
func (l *lock) value(ctx context.Context, d *element, e *entry) ([]byte, *fault, error) {
	if text, plain := l.plainText(d); plain {
		out, err := decodeBase64(text)
		if err != nil {
			return nil, faulty(d.name, "its value is not base64"), nil
		}
		return out, nil, nil
	}
	name, text := l.cipher, d.words("Value")
	if sealed := d.child("EncryptedValue"); sealed != nil {
		name, text = methodOf(sealed), sealed.words("CipherData", "CipherValue")
	} else if text == "" {
		return nil, faulty(d.name, "it has no value"), nil
	}
	algorithm, wrong := l.algorithm(name, d.name)
	if wrong != nil {
		return nil, wrong, nil
	}
	value, err := decodeBase64(text)
	if err != nil || len(value) == 0 {
		return nil, faulty(d.name, "its encrypted value is not base64"), nil
	}
	want, wrong := l.macOf(d, algorithm)
	if wrong != nil {
		return nil, wrong, nil
	}
	key, wrong, err := l.key(ctx, size{algorithm.keySize, algorithm.two})
	if err != nil || wrong != nil {
		return nil, wrong, err
	}
	return l.open(ctx, e, d.name, algorithm, key, value, want)
}

// methodOf is the cipher of an encrypted value; PBES2 of drafts wraps it.
func methodOf(sealed *element) string {
	method := sealed.child("EncryptionMethod")
	if scheme := method.child("EncryptionScheme"); scheme != nil {
		return scheme.attr("Algorithm")
	}
	return method.attr("Algorithm")
}

func (l *lock) algorithm(name, field string) (algorithm, *fault) {
	a := cipherOf(name)
	switch {
	case name == "":
		return a, faulty(field, "its value is encrypted, and the cipher is not named")
	case l.public, strings.Contains(strings.ToLower(name), "rsa"):
		return a, faulty(field, "its value is encrypted to a certificate, which is not supported")
	case a.keySize == 0:
		return a, faulty(field, "its value is encrypted with %s, which is not supported", clean(lastPart(name)))
	}
	return a, nil
}

// macOf is the MAC of an encrypted value. A cipher that does not notice changes needs
// one (RFC 6030, section 6.1.1).
func (l *lock) macOf(d *element, a algorithm) ([]byte, *fault) {
	m := d.either("ValueMAC", "ValueDigest")
	switch {
	case m == nil && a.bare:
		return nil, faulty(d.name, "its encrypted value has no MAC, so it could have been changed")
	case m == nil, l.macName == "" && !a.bare:
		return nil, nil
	case l.macName == "":
		return nil, faulty(d.name, "its MAC cannot be checked: the file names no method for it")
	case macOf(l.macName) == nil:
		return nil, faulty(d.name, "its MAC cannot be checked: %s is not supported", clean(lastPart(l.macName)))
	}
	want, err := decodeBase64(m.text)
	if err != nil || len(want) == 0 {
		return nil, faulty(d.name, "its MAC is not base64")
	}
	return want, nil
}

// key is the key of that size, asked for or derived when first needed.
func (l *lock) key(ctx context.Context, n size) ([]byte, *fault, error) {
	if k := l.keys[n]; k != nil {
		return k, nil, nil
	}
	if !l.asked {
		if l.options.Key == nil {
			return nil, nil, problem(KeyNeeded, l.format, "the file is encrypted, and its %s was not given", l.what())
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		input, err := l.options.Key(ctx, Question{Format: l.format, Passphrase: l.passphrase != nil, Name: clean(l.keyName)})
		if err != nil {
			return nil, nil, err
		}
		l.input, l.asked, l.keys = input, true, map[size][]byte{}
	}
	var k []byte
	if l.passphrase != nil {
		var wrong *fault
		var err error
		if k, wrong, err = l.derive(n.bytes); wrong != nil || err != nil {
			return nil, wrong, err
		}
	} else if k = fit(l.input, n.bytes); k == nil && n.two {
		const des = 8
		if k = fit(l.input, 2*des); k != nil {
			k = append(k, k[:des]...)
		}
	}
	if k == nil {
		return nil, nil, problem(WrongKey, l.format, "the key does not fit: %d bytes are needed, or as many in hexadecimal or base64", n.bytes)
	}
	l.keys[n] = k
	return k, nil, nil
}

// fit makes a key of n bytes of what was typed; nil where it cannot be one.
func fit(input []byte, n int) []byte {
	if len(input) == n {
		return slices.Clone(input)
	}
	text := strings.TrimSpace(string(input))
	if len(text) == n {
		return []byte(text)
	}
	stripped := strings.NewReplacer(" ", "", ":", "", "-", "").Replace(strings.TrimPrefix(strings.TrimPrefix(text, "hex:"), "0x"))
	if k, err := hex.DecodeString(stripped); err == nil {
		if len(k) == n {
			return k
		}
		clear(k)
		return nil // 32 hexadecimal digits are base64 of 24 bytes too, and are not meant so
	}
	if k, err := decodeBase64(text); err == nil && len(k) == n {
		return k
	}
	return nil
}

// derive makes the key of the passphrase, with PBKDF2. Its parameters stand in the
// namespaces of PKCS #5 or of XML Encryption 1.1.
func (l *lock) derive(n int) ([]byte, *fault, error) {
	if !strings.EqualFold(lastPart(l.passphrase.attr("Algorithm")), "pbkdf2") {
		return nil, faulty("KeyDerivationMethod", "its key is derived in a way that is not supported"), nil
	}
	params := l.passphrase.child("PBKDF2-params")
	salt, err := decodeBase64(params.words("Salt", "Specified"))
	rounds, bad := strconv.Atoi(params.words("IterationCount"))
	if err != nil || len(salt) == 0 || bad != nil || rounds < 1 {
		return nil, nil, problem(Damaged, l.format, "the parameters of the passphrase are damaged or missing")
	}
	most := l.options.maxRounds
	if most == 0 {
		most = maxRounds
	}
	if rounds > most {
		return nil, nil, problem(TooCostly, l.format, "the passphrase would take %d rounds of PBKDF2; %d are allowed", rounds, most)
	}
	if length := params.words("KeyLength"); length != "" && length != strconv.Itoa(n) {
		return nil, faulty("KeyDerivationMethod", "its cipher needs a key of %d bytes, and the file derives another", n), nil
	}
	h := macOf("hmac-sha1")
	if prf := params.child("PRF").attr("Algorithm"); prf != "" {
		if h = macOf(prf); h == nil {
			return nil, faulty("KeyDerivationMethod", "its key is derived with %s, which is not supported", clean(lastPart(prf))), nil
		}
	}
	phrase := string(l.input)
	if utf8.Valid(l.input) {
		phrase = strings.TrimRight(phrase, "\r\n")
	}
	k, err := pbkdf2.Key(h, phrase, salt, rounds, n)
	if err != nil {
		return nil, nil, problem(Unsupported, l.format, "cannot derive the key: %v", err)
	}
	return k, nil, nil
}

// open checks the MAC and decrypts.
func (l *lock) open(ctx context.Context, e *entry, field string, a algorithm, key, value, want []byte) ([]byte, *fault, error) {
	late := false // the MAC is of the plain text, as drafts have it
	if want != nil {
		macKey, wrong, err := l.keyOfMAC(ctx, key)
		if err != nil || wrong != nil {
			return nil, wrong, err
		}
		sealed := value
		if l.iv != nil && a.bare {
			sealed = append(slices.Clone(l.iv), value...)
		}
		late = !hmac.Equal(mac(macOf(l.macName), macKey, value), want) && !hmac.Equal(mac(macOf(l.macName), macKey, sealed), want)
	}
	var iv []byte
	if a.bare {
		iv = l.iv
	}
	plain, _, err := a.open(key, iv, value)
	if late {
		if err != nil || !hmac.Equal(mac(macOf(l.macName), l.macPlain, plain), want) {
			clear(plain)
			return nil, &fault{field: field, reason: "its MAC does not match", sealed: true}, nil
		}
		e.warn("its MAC is of the plain value, as drafts of the format have it")
	}
	if err != nil {
		return nil, &fault{field: field, reason: "cannot decrypt its value: " + err.Error(), sealed: true}, nil
	}
	l.opened++
	l.certain = true
	return plain, nil, nil
}

// keyOfMAC is the key of the MAC: the one in the file, encrypted as the values are;
// without one, the key of the values.
func (l *lock) keyOfMAC(ctx context.Context, key []byte) ([]byte, *fault, error) {
	if l.macDone {
		return l.macPlain, l.macClosed, nil
	}
	l.macDone = true
	switch {
	case l.macNamed:
		l.macClosed = faulty("MACKeyReference", "its MAC cannot be checked: the key of the MAC is not in the file")
		return nil, l.macClosed, nil
	case l.macKey == nil:
		l.macPlain = slices.Clone(key)
		return l.macPlain, nil, nil
	}
	a, wrong := l.algorithm(methodOf(l.macKey), "MACKey")
	value, err := decodeBase64(l.macKey.words("CipherData", "CipherValue"))
	if wrong == nil && (err != nil || len(value) == 0) {
		wrong = faulty("MACKey", "its MAC cannot be checked: the key of the MAC is damaged or missing")
	}
	if wrong != nil {
		l.macClosed = wrong
		return nil, wrong, nil
	}
	own, wrong, err := l.key(ctx, size{a.keySize, a.two})
	if err != nil || wrong != nil {
		l.macClosed = wrong
		return nil, wrong, err
	}
	plain, certain, err := a.open(own, nil, value)
	if err != nil {
		return nil, nil, problem(WrongKey, l.format, "the %s does not open the key of the file's MACs", l.what())
	}
	l.macPlain, l.certain = plain, certain
	return plain, nil, nil
}
