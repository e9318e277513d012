package transfer

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the hash of encrypted ZIP archives
	"encoding/binary"
	"hash/crc32"
	"io"
	"path"
	"slices"
)

// archived is a ZIP archive with exports in it: 1Password's .1pux, Raivo's and
// WinAuth's, which may be encrypted with AES (WinZip's AE-1 and AE-2) or in the old
// way of PKWARE.
type archived struct{}

// Name implements Format.
func (archived) Name() string { return "ZIP archive" }

// Detect implements Format.
func (archived) Detect(f *File) Confidence {
	if f.zip().is && !f.zip().broken {
		return Sure
	}
	return No
}

const (
	maxArchived = 200 // files that are looked at
	maxDepth    = 2   // archives in archives
)

// onlyFiles are files that make the rest of their archive pictures and copies.
func onlyFiles() []string { return []string{"export.data", "raivo-otp-export.json", "data.json"} }

// Read implements Format.
func (a archived) Read(ctx context.Context, f *File, o Options) (Result, error) {
	if f.depth >= maxDepth {
		return Result{}, problem(Unsupported, a.Name(), "there are archives in archives in it")
	}
	files := f.zip().files
	for _, name := range onlyFiles() {
		if one := f.zip().find(name); one != nil {
			files = []*zip.File{one}
			break
		}
	}
	if len(files) == 0 {
		return Result{}, problem(NoAccounts, a.Name(), "the archive is empty")
	}
	if len(files) > maxArchived {
		return Result{}, problem(TooLarge, a.Name(), "there are %d files in the archive; %d are looked at", len(files), maxArchived)
	}
	r := &zipReader{format: a.Name(), o: o, left: MaxFile}
	if path.Base(files[0].Name) == "raivo-otp-export.json" {
		r.format = raivo{}.Name()
	}
	defer func() { clear(r.password) }()
	c := collect(r.format)
	known, others := 0, 0
	for _, file := range files {
		data, err := r.open(ctx, file)
		if err != nil {
			return Result{}, err
		}
		res, err := read(ctx, &File{Data: data, Name: path.Base(file.Name), depth: f.depth + 1}, o)
		clear(data)
		switch kind := KindOf(err); kind {
		case Unknown, UnknownEncrypted, WebPage, Empty:
			others++ // a page for reading, a licence
			continue
		default:
			if len(files) == 1 || kind == "" && err != nil || kind == WrongPassword || kind == PasswordNeeded {
				return res, err
			}
		}
		known++
		c.merge(res, err, file.Name)
	}
	if known == 0 {
		return Result{}, problem(Unknown, a.Name(), "none of the files in the archive is a known export")
	}
	switch {
	case others == 1:
		c.note("1 file in the archive is no export")
	case others > 1:
		c.note("%d files in the archive are no exports", others)
	}
	return c.Result, nil
}

// merge adds what a file of several in an archive holds, or why it cannot be read.
func (c *collector) merge(res Result, err error, file string) {
	name, _ := cleanName(path.Base(file))
	if err != nil {
		c.skip(name, "", "", err.Error())
		return
	}
	c.Format = res.Format
	c.join(res, name+", ")
}

// zipReader unpacks files, within a bound on all of them together.
type zipReader struct {
	format   string
	o        Options
	password []byte
	left     int64
}

const (
	zipEncrypted  = 0x1
	zipStreamed   = 0x8
	zipStore      = 0
	zipDeflate    = 8
	zipAES        = 99
	zipAESExtra   = 0x9901
	zipAESRounds  = 1000
	zipAESMAC     = 10
	zipOldHeader  = 12
	zipStrongFlag = 0x40
)

func (r *zipReader) open(ctx context.Context, f *zip.File) ([]byte, error) {
	if f.UncompressedSize64 > uint64(r.left) || f.CompressedSize64 > MaxFile {
		return nil, problem(TooLarge, r.format, "the archive unpacks to more than %d MiB", MaxFile>>20)
	}
	raw, err := f.OpenRaw()
	if err != nil {
		return nil, damaged(r.format, "a file of the archive cannot be found in it")
	}
	data, err := io.ReadAll(io.LimitReader(raw, MaxFile))
	if err != nil || uint64(len(data)) != f.CompressedSize64 {
		return nil, damaged(r.format, "a file of the archive is cut short")
	}
	method, checked := f.Method, true
	if f.Flags&zipEncrypted != 0 {
		if f.Flags&zipStrongFlag != 0 {
			return nil, problem(Unsupported, r.format, "the archive is encrypted in a way that only PKWARE's programs know")
		}
		if err := r.ask(ctx); err != nil {
			return nil, err
		}
		if method == zipAES {
			data, method, checked, err = r.openAES(ctx, f, data)
		} else {
			data, err = r.openOld(f, data)
		}
		if err != nil {
			return nil, err
		}
	}
	return r.unpack(f, data, method, checked)
}

func (r *zipReader) ask(ctx context.Context) error {
	if r.password != nil {
		return nil
	}
	password, err := r.o.ask(ctx, r.format, "password")
	if err != nil {
		return err
	}
	r.password = append([]byte{}, password...)
	clear(password)
	return nil
}

// unpack inflates, and compares the checksum where the archive has one.
func (r *zipReader) unpack(f *zip.File, data []byte, method uint16, checked bool) ([]byte, error) {
	var out []byte
	var err error
	switch method {
	case zipStore:
		out = data
	case zipDeflate:
		out, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data)), r.left+1))
	default:
		return nil, problem(Unsupported, r.format, "a file of the archive is packed by method %d, which is not known", method)
	}
	wrong := err != nil || checked && crc32.ChecksumIEEE(out) != f.CRC32
	switch {
	case int64(len(out)) > r.left:
		return nil, problem(TooLarge, r.format, "the archive unpacks to more than %d MiB", MaxFile>>20)
	case wrong && f.Flags&zipEncrypted != 0 && f.Method != zipAES:
		// One password of 256 passes the test of the old encryption.
		return nil, problem(WrongPassword, r.format, "the password does not open the archive, or the archive is damaged")
	case wrong:
		return nil, damaged(r.format, "the checksum of a file in the archive is wrong")
	}
	r.left -= int64(len(out))
	return out, nil
}

// openAES decrypts as WinZip's "AES Encryption Information" has it: PBKDF2, AES in
// counter mode that counts from 1 in little endian, HMAC-SHA-1 cut to 10 bytes. AE-2 has no
// checksum.
func (r *zipReader) openAES(ctx context.Context, f *zip.File, data []byte) (plain []byte, method uint16, checked bool, err error) {
	cut := damaged(r.format, "an encrypted file of the archive is cut short")
	extra := zipExtra(f.Extra, zipAESExtra)
	if len(extra) < 7 || extra[4] < 1 || extra[4] > 3 {
		return nil, 0, false, cut
	}
	size := 8 + 8*int(extra[4]) // of the AES key: 16, 24 or 32
	salt := size / 2
	if len(data) < salt+2+zipAESMAC {
		return nil, 0, false, cut
	}
	keys, err := r.o.pbkdf2Key(ctx, r.format, r.password, data[:salt], zipAESRounds, 2*size+2, sha1.New)
	if err != nil {
		return nil, 0, false, err
	}
	defer clear(keys)
	if !bytes.Equal(keys[2*size:], data[salt:salt+2]) {
		return nil, 0, false, wrongPassword(r.format)
	}
	box, tag := data[salt+2:len(data)-zipAESMAC], data[len(data)-zipAESMAC:]
	mac := hmac.New(sha1.New, keys[size:2*size])
	_, _ = mac.Write(box)
	if !hmac.Equal(mac.Sum(nil)[:zipAESMAC], tag) {
		return nil, 0, false, problem(WrongPassword, r.format, "the password does not open the archive, or the archive is damaged")
	}
	block, err := aes.NewCipher(keys[:size])
	if err != nil {
		return nil, 0, false, cut
	}
	plain = make([]byte, len(box))
	var counter, stream [aes.BlockSize]byte
	for i := range box {
		if i%aes.BlockSize == 0 {
			binary.LittleEndian.PutUint64(counter[:], uint64(i/aes.BlockSize+1))
			block.Encrypt(stream[:], counter[:])
		}
		plain[i] = box[i] ^ stream[i%aes.BlockSize]
	}
	const ae1 = 1
	return plain, binary.LittleEndian.Uint16(extra[5:]), binary.LittleEndian.Uint16(extra) == ae1, nil
}

// zipExtra finds a field among the extra ones.
func zipExtra(b []byte, id uint16) []byte {
	for len(b) >= 4 {
		size := int(binary.LittleEndian.Uint16(b[2:]))
		if len(b) < 4+size {
			return nil
		}
		if binary.LittleEndian.Uint16(b) == id {
			return b[4 : 4+size]
		}
		b = b[4+size:]
	}
	return nil
}

// openOld decrypts in the traditional way (PKWARE's APPNOTE, section 6.1).
func (r *zipReader) openOld(f *zip.File, data []byte) ([]byte, error) {
	if len(data) < zipOldHeader {
		return nil, damaged(r.format, "an encrypted file of the archive is cut short")
	}
	keys := oldZipKeys(r.password)
	plain := slices.Clone(data)
	for i, b := range plain {
		plain[i] = b ^ keys.next()
		keys.update(plain[i])
	}
	check := byte(f.CRC32 >> 24)
	if f.Flags&zipStreamed != 0 {
		check = byte(f.ModifiedTime >> 8) // the field as it stands in the file
	}
	if plain[zipOldHeader-1] != check {
		return nil, wrongPassword(r.format)
	}
	return plain[zipOldHeader:], nil
}

// oldZip is the state of the traditional encryption.
type oldZip struct{ a, b, c uint32 }

func oldZipKeys(password []byte) *oldZip {
	k := &oldZip{0x12345678, 0x23456789, 0x34567890}
	for _, p := range password {
		k.update(p)
	}
	return k
}

func (k *oldZip) update(plain byte) {
	k.a = oldZipCRC(k.a, plain)
	k.b = (k.b+k.a&0xff)*134775813 + 1
	k.c = oldZipCRC(k.c, byte(k.b>>24))
}

func (k *oldZip) next() byte {
	t := uint16(k.c | 2)
	return byte(uint32(t) * uint32(t^1) >> 8)
}

func oldZipCRC(crc uint32, b byte) uint32 { return crc32.IEEETable[byte(crc)^b] ^ crc>>8 }
