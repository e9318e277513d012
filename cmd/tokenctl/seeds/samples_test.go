package seeds

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// samplesVariable names a folder of other products' own test files, with a
// MANIFEST.tsv whose rows have a file and, in the sixth column, its password or key.
// They are no part of this project; its own fixtures are enough for the tests.
const samplesVariable = "TOKEND_SAMPLES"

// sample is what a file must give.
type sample struct {
	serials string // of its rows, in order
	code    string // the first row's passcode at its counter, or at step 1
	skips   int
	reason  string // what the first skip or the error says
	kind    Kind
}

// samples are the files that are known. Most hold the seed of RFC 4226, whose first
// passcodes are public.
func samples() map[string]sample {
	const first6, first8 = "755224", "84755224"
	rfc := sample{serials: "987654321", code: first8}
	figure5 := sample{serials: "987654321", code: first8, skips: 1, reason: "it is the PIN of a fob"}
	figure4 := sample{skips: 1, reason: "its seed is not in the file"}
	figure8 := sample{skips: 1, reason: "encrypted to a certificate"}
	short := sample{skips: 1, reason: "its seed has only 4 bytes"}
	nothing := sample{kind: Unknown, reason: "none of the kinds"}
	all := sample{skips: 1, reason: "its policy bounds how often it may be used"}
	safeNet := sample{skips: 2, reason: "its seed has an odd number of hex digits"}
	invalid := sample{kind: Unknown, reason: "its outermost element is SomethingElse"}
	mini := sample{kind: NoFobs, reason: "no fobs"}
	const oathToolkit, freeIPA = "pskc/oath-toolkit/", "pskc/freeipa/"
	return map[string]sample{
		oathToolkit + "20120919-test001-4282.xml": {serials: "2600215704919 1000117803294"},
		oathToolkit + "pskc-all-human.txt":        nothing,
		oathToolkit + "pskc-all-signed.xml":       all,
		oathToolkit + "pskc-all.xml":              all,
		oathToolkit + "pskc-figure10.xml":         {serials: "654321 123456 9999999", code: first8, skips: 1, reason: "its serial number is that of line 63"},
		oathToolkit + "pskc-figure2.xml":          short,
		oathToolkit + "pskc-figure3.xml":          rfc,
		oathToolkit + "pskc-figure4.xml":          figure4,
		oathToolkit + "pskc-figure5.xml":          figure5,
		oathToolkit + "pskc-figure6-debug.txt":    nothing,
		oathToolkit + "pskc-figure6.xml":          rfc,
		oathToolkit + "pskc-figure7.xml":          rfc,
		oathToolkit + "pskc-figure8.xml":          figure8,
		oathToolkit + "pskc-figure9.xml":          {serials: "0755225266", code: first6},
		oathToolkit + "pskc-hotp-human.txt":       nothing,
		oathToolkit + "pskc-hotp-signed.xml":      rfc,
		oathToolkit + "pskc-hotp.xml":             rfc,
		oathToolkit + "pskc-invalid.xml":          invalid,
		oathToolkit + "pskc-mini.xml":             mini,
		oathToolkit + "pskc-ns.xml":               short,
		oathToolkit + "pskc-ocra.xml":             {skips: 1, reason: "challenge and response"},
		freeIPA + "full.xml":                      {skips: 1, reason: "check digit"},
		freeIPA + "pskc-entity.xml":               {kind: Unsafe, reason: "document type"},
		freeIPA + "pskc-figure3.xml":              rfc,
		freeIPA + "pskc-figure4.xml":              figure4,
		freeIPA + "pskc-figure5.xml":              figure5,
		freeIPA + "pskc-figure6.xml":              rfc,
		freeIPA + "pskc-figure7.xml":              rfc,
		freeIPA + "pskc-figure8.xml":              figure8,
		freeIPA + "pskc-invalid.xml":              invalid,
		freeIPA + "pskc-mini.xml":                 mini,
		freeIPA + "pskc-missingmac.xml":           {skips: 1, reason: "has no MAC"},
		"linotp/aladdin.xml":                      {serials: "oath137332 oath12482B", skips: 2, reason: "odd number"},
		"linotp/oath_tokens.csv":                  {skips: 4, reason: "only 2 bytes"},
		"linotp/oath_tokens_bad_seed.csv":         {skips: 4, reason: "only 2 bytes"},
		"linotp/oath_tokens_sha256.csv":           {serials: "htok_sha256_1 htok_sha256_2 htok_sha256_3 ttok_sha256_4 ttok_sha256_5 htok_sha1_6 htok_sha256_7 htok_sha256_8", code: "18920136"},
		"linotp/oath_tokens_sha512.csv":           {serials: "htok_sha512_1 htok_sha512_2 htok_sha512_3 ttok_sha512_4 ttok_sha512_5 htok_sha1_6 htok_sha512_7 ttok_sha512_8", skips: 1, reason: "one field alone"},
		"linotp/ocra_pskc_tokens.xml":             {skips: 3, reason: "challenge and response"},
		"linotp/pskc_tokens.xml":                  {serials: "1000133508267 1000133508255 2600124809778 2600124809787 2600135004012 2600135004013"},
		"linotp/safenet_tokens.dat":               safeNet,
		"linotp/safenet_tokens.xml":               safeNet,
		"linotp/safework_tokens.dat":              {serials: "RAINER01 RAINER02"},
		"linotp/wrong_token.xml":                  {kind: Damaged, reason: "line 3: element <WRONG_TAG_Case_Model> closed by </CaseModel>"},
		"linotp/yubi_chall_tokens.csv":            {skips: 3, reason: "challenge and response"},
		"linotp/yubi_hmac.csv":                    {skips: 2, reason: "neither a serial number nor an id"},
		"linotp/yubi_tokens.csv":                  {serials: "cccccccirblh ccccccbgbhkl", skips: 12, reason: "static password"},
	}
}

// TestSamples reads every seed file there; one that is not known is no error, but must
// give rows, skips, or an error of a kind.
func TestSamples(t *testing.T) {
	folder := os.Getenv(samplesVariable)
	if folder == "" {
		t.Logf("%s is not set: there are no foreign files to try", samplesVariable)
		return
	}
	manifest, err := os.ReadFile(filepath.Join(folder, "MANIFEST.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	left := samples()
	for l := range strings.SplitSeq(strings.TrimSpace(string(manifest)), "\n") {
		columns := strings.Split(l, "\t")
		if len(columns) < 6 || !strings.HasPrefix(columns[0], "pskc/") && !strings.HasPrefix(columns[0], "linotp/") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(folder, columns[0]))
		if err != nil {
			t.Fatal(err)
		}
		want, known := left[columns[0]]
		delete(left, columns[0])
		r, err := readAll(t.Context(), data, with(columns[5]))
		if !known {
			t.Logf("%s is not known: %d rows, %d skips, %v", columns[0], r.Fobs, r.Skips, err)
			continue
		}
		checkSample(t, columns[0], want, r, err)
	}
	for name := range left {
		t.Errorf("%s is not there", name)
	}
}

func checkSample(t *testing.T, name string, want sample, r result, err error) {
	t.Helper()
	var serials []string
	for _, f := range r.rows {
		serials = append(serials, f.Serial)
		checkRow(t, f)
	}
	said := ""
	switch {
	case err != nil:
		said = err.Error()
	case len(r.skips) > 0:
		said = showSkip(r.skips[0])
	}
	if got := strings.Join(serials, " "); got != want.serials || len(r.skips) != want.skips || KindOf(err) != want.kind || !strings.Contains(said, want.reason) {
		t.Errorf("%s: %s; %d skips; %v; %s\nwant %+v", name, got, len(r.skips), err, said, want)
	}
	if want.code != "" && len(r.rows) > 0 && codeOf(t, r.rows[0], r.rows[0].Counter) != want.code {
		t.Errorf("%s: its first passcode is another", name)
	}
	if slices.ContainsFunc(r.rows, func(f Fob) bool { return f.Type == "" }) {
		t.Errorf("%s: a row without a type", name)
	}
}
