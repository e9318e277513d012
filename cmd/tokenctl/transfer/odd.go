package transfer

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tokenbridge/tokend/daemon/archive"
)

// odd tells the files apart that look like a lost export: a caller has a remedy
// for each.
func odd(f *File) error {
	trimmed := bytes.TrimSpace(f.Data)
	switch {
	case len(f.Data) == 0:
		return problem(Empty, "", "the file is empty")
	case len(bytes.Trim(f.Data, "\x00")) == 0:
		return problem(Placeholder, "", "the file holds zeros alone: its content has not arrived on this machine")
	case len(bytes.TrimPrefix(trimmed, []byte("\xef\xbb\xbf"))) == 0:
		return problem(Empty, "", "there is nothing but white space in the file")
	case placeholder(f):
		return problem(Placeholder, "", "the file stands for one that is not on this machine")
	}
	if isPage(f) && (page{}).Detect(f) == No {
		return problem(WebPage, "", "the file is a web page")
	}
	if _, err := archive.Parse(f.Data); err == nil || !errors.Is(err, archive.ErrNotArchive) {
		return problem(OwnBackup, "", "the file is a vault or backup of tokend")
	}
	if listOnly(f) {
		return problem(ListOnly, "", "the file is a list of accounts without their secrets")
	}
	return sealedElsewhere(f)
}

// sealedElsewhere knows the signs of programs whose files have to be opened by
// them first.
func sealedElsewhere(f *File) error {
	begins := func(magic string) bool { return bytes.HasPrefix(f.Data, []byte(magic)) }
	switch {
	case begins("\x03\xd9\xa2\x9a"):
		return problem(Unsupported, "KeePass", "a KeePass database is not read; its CSV export is")
	case begins("-----BEGIN PGP MESSAGE") || begins("\x85\x01\x0c\x03") || begins("\x85\x02\x0c\x03"):
		return problem(Unsupported, "OpenPGP", "the file is encrypted with OpenPGP, and has to be decrypted first")
	case begins("age-encryption.org/") || begins("-----BEGIN AGE ENCRYPTED FILE"):
		return problem(Unsupported, "age", "the file is encrypted with age, and has to be decrypted first")
	case begins("Salted__") || begins("U2FsdGVkX1"):
		return problem(Unsupported, "OpenSSL", "the file is encrypted with OpenSSL, and has to be decrypted first")
	case begins("\x1f\x8b") || begins("7z\xbc\xaf\x27\x1c") || begins("Rar!") || begins("BZh") || begins("\xfd7zXZ"):
		return problem(Unsupported, "archive", "the file is a packed archive, and has to be unpacked first")
	case begins("ANDROID BACKUP"):
		return problem(Unsupported, "Android", "the file is a backup of a whole app; the app's own export is read")
	case begins("%PDF"):
		return problem(Unsupported, "PDF", "the file is a PDF; a picture of the codes in it is read")
	}
	if kind := otherPicture(f.Data); kind != "" {
		return problem(Unsupported, "picture", "the file is a picture of the kind %s; PNG, JPEG and GIF are read", kind)
	}
	return nil
}

// otherPicture names the kind of a picture that is not looked through.
func otherPicture(b []byte) string {
	const header = 12
	if len(b) < header {
		return ""
	}
	switch {
	case string(b[:4]) == "II*\x00", string(b[:4]) == "MM\x00*":
		return "TIFF"
	case string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return "WebP"
	case string(b[:2]) == "BM" && binary.LittleEndian.Uint32(b[2:]) == uint32(len(b)):
		return "BMP"
	case string(b[4:8]) == "ftyp" && slices.Contains([]string{"heic", "heix", "hevc", "mif1", "msf1", "avif"}, string(b[8:12])):
		return "HEIF"
	}
	return ""
}

// placeholder knows what stands for a file: iCloud's property list, the links of
// Google Drive and of Git LFS.
func placeholder(f *File) bool {
	if len(f.Data) > 4<<10 {
		return false
	}
	switch {
	case bytes.HasPrefix(f.Data, []byte("bplist00")) && bytes.Contains(f.Data, []byte("NSURL")):
		return true
	case bytes.HasPrefix(f.Data, []byte("version https://git-lfs")):
		return true
	case f.has("doc_id") && (f.has("email") || f.has("url")):
		return true
	}
	return false
}

// listOnly knows tokend's own listing, which has everything but the secrets.
func listOnly(f *File) bool {
	if !f.has("version", "accounts") {
		return false
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(f.json().object["accounts"], &list) != nil {
		return false
	}
	for _, a := range list {
		_, id := a["id"]
		_, class := a["class"]
		_, kind := a["kind"]
		_, secret := a["secret"]
		if !id || !class || !kind || secret {
			return false
		}
	}
	return len(list) > 0
}

// unknown says what can be said of a file that no format takes.
func unknown(f *File) error {
	text := f.text()
	if name := seedList(f); name != "" {
		return problem(Unsupported, "", "the file is a list of hardware token seeds (%s), which is for an authority; it holds no accounts of yours", name)
	}
	switch {
	case f.json().broken:
		return problem(Damaged, "", "the file is JSON that is cut short or damaged")
	case f.zip().broken:
		return problem(Damaged, "", "the file is a ZIP archive that is cut short or damaged")
	case text != "" && len(f.lines()) == 0:
		return problem(NoAccounts, "", "there are comments alone in the file")
	case strings.HasPrefix(text, "WinAuth") || strings.Contains(text[:min(len(text), 2048)], "<WinAuth"):
		return problem(Unsupported, "WinAuth", "WinAuth's own settings file can only be read on its machine; its export is read")
	case text == "" && scrambled(f.Data):
		return problem(UnknownEncrypted, "", "the file is encrypted or compressed by a product that is not known here")
	}
	return problem(Unknown, "", "the file is none of the known exports")
}

// scrambled says whether bytes look like the output of a cipher: every value
// about as often as the others. The bound is five standard deviations of the
// chi-square test above its mean.
func scrambled(b []byte) bool {
	if len(b) < 64 || utf8.Valid(b) {
		return false
	}
	if len(b) > 1<<16 {
		b = b[:1<<16]
	}
	var counts [256]float64
	for _, c := range b {
		counts[c]++
	}
	expected, chi := float64(len(b))/256, 0.0
	for _, n := range counts {
		chi += (n - expected) * (n - expected) / expected
	}
	return chi < 255+5*22.6
}
