package transfer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// samplesVariable names a folder of other products' own test files, with a
// MANIFEST.tsv whose rows have a file and, in the sixth column, its password. They
// are no part of this project; its own fixtures are enough for the tests.
const samplesVariable = "TOKEND_SAMPLES"

// sample is what a file must give: so many rows, or an error.
type sample struct {
	rows int
	err  Kind
	// loosely: the file does not keep hash, digits, period, counter or type.
	loosely bool
}

// samples are the files that are known. Those of the folder "aegis" hold the
// accounts of its plain.txt, or some of them.
func samples() map[string]sample {
	return map[string]sample{
		"aegis/2fas_authenticator.json":                    {rows: 6, loosely: true},
		"aegis/2fas_authenticator_encrypted.2fas":          {rows: 4, loosely: true},
		"aegis/2fas_authenticator_encrypted_v3.2fas":       {rows: 6},
		"aegis/2fas_authenticator_encrypted_v4.2fas":       {rows: 5},
		"aegis/2fas_authenticator_plain.2fas":              {rows: 4, loosely: true},
		"aegis/2fas_authenticator_plain_v3.2fas":           {rows: 6},
		"aegis/2fas_authenticator_plain_v4.2fas":           {rows: 5},
		"aegis/aegis_encrypted.json":                       {rows: 7},
		"aegis/aegis_plain.json":                           {rows: 7},
		"aegis/aegis_plain_grouped_v2.json":                {rows: 7},
		"aegis/andotp_encrypted.bin":                       {rows: 7},
		"aegis/andotp_encrypted_old.bin":                   {rows: 6},
		"aegis/andotp_plain.json":                          {rows: 7},
		"aegis/authy_encrypted.xml":                        {rows: 3, loosely: true},
		"aegis/authy_plain.xml":                            {rows: 3, loosely: true},
		"aegis/battle_net_authenticator.xml":               {rows: 1, loosely: true},
		"aegis/bitwarden.csv":                              {rows: 4, loosely: true},
		"aegis/bitwarden.json":                             {rows: 4, loosely: true},
		"aegis/duo.json":                                   {rows: 2, loosely: true},
		"aegis/ente_auth.txt":                              {rows: 7},
		"aegis/freeotp.xml":                                {rows: 4, loosely: true}, // counters are one less
		"aegis/freeotp_plus.json":                          {rows: 6, loosely: true},
		"aegis/freeotp_plus_internal.xml":                  {rows: 6, loosely: true},
		"aegis/freeotp_v2_api23.xml":                       {rows: 6},
		"aegis/freeotp_v2_api25.xml":                       {rows: 6},
		"aegis/freeotp_v2_api27.xml":                       {rows: 6},
		"aegis/freeotp_v2_api34.xml":                       {rows: 6},
		"aegis/freeotp_v2_null_algo.xml":                   {rows: 1},
		"aegis/google_authenticator.sqlite":                {rows: 6, loosely: true},
		"aegis/microsoft_authenticator.sqlite":             {rows: 7, loosely: true},
		"aegis/stratum_internal.db":                        {rows: 7},
		"aegis/plain.txt":                                  {rows: 7},
		"aegis/proton_authenticator.json":                  {rows: 3},
		"aegis/qr.y.gz":                                    {err: Unsupported},
		"aegis/steam.json":                                 {rows: 1, loosely: true},
		"aegis/steam_old.json":                             {rows: 1, loosely: true},
		"aegis/stratum_encrypted.bin":                      {rows: 7},
		"aegis/stratum_encrypted_legacy.bin":               {rows: 7},
		"aegis/stratum_plain.json":                         {rows: 7},
		"aegis/totp_authenticator.bin":                     {rows: 3, loosely: true},
		"aegis/totp_authenticator_internal.xml":            {rows: 3, loosely: true},
		"google-migration/example_export.png":              {rows: 3},
		"google-migration/example_export.txt":              {rows: 6},
		"google-migration/example_output.csv":              {rows: 6},
		"google-migration/example_output.json":             {rows: 6},
		"google-migration/example_keepass_output.hotp.csv": {rows: 1},
		"google-migration/example_keepass_output.totp.csv": {rows: 5},
	}
}

// TestSamples reads every file there: the known ones must give what is said above,
// the others must be refused, since none of them holds accounts.
func TestSamples(t *testing.T) {
	folder := os.Getenv(samplesVariable)
	if folder == "" {
		t.Logf("%s is not set: there are no foreign files to try", samplesVariable)
		return
	}
	load := func(file string) []byte {
		data, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	all, err := Read(t.Context(), load("aegis/plain.txt"), "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	whole, secret := map[string]bool{}, map[string]bool{"Battle.net": true}
	for _, r := range all.Rows {
		whole[show(r)] = true
		secret[fmt.Sprintf("%x", []byte(r.Secret))] = true
	}
	n := 0
	for l := range strings.SplitSeq(strings.TrimSpace(string(load("MANIFEST.tsv"))), "\n") {
		columns := strings.Split(l, "\t")
		if len(columns) < 6 || columns[0] == "file" {
			continue
		}
		n++
		want, known := samples()[columns[0]]
		res, err := Read(t.Context(), load(columns[0]), filepath.Base(columns[0]), with(columns[5]))
		switch {
		case !known:
			// What is left are seed files of hardware tokens, and two files of nothing.
			seeds := KindOf(err) == Unsupported && strings.Contains(err.Error(), "a list of hardware token seeds")
			nothing := strings.Contains(columns[0], "pskc-invalid") && KindOf(err) == Unknown
			if !seeds && !nothing {
				t.Errorf("%s: %d rows, %v", columns[0], len(res.Rows), err)
			}
		case KindOf(err) != want.err || len(res.Rows) != want.rows || len(res.Skipped) != 0:
			t.Errorf("%s: %d rows, %v, skipped %+v; want %+v", columns[0], len(res.Rows), err, res.Skipped, want)
		}
		for _, r := range res.Rows {
			checkRow(t, r)
			switch {
			case !strings.HasPrefix(columns[0], "aegis/"), r.Issuer == "Battle.net":
			case !secret[fmt.Sprintf("%x", []byte(r.Secret))]:
				t.Errorf("%s: %s has another secret", columns[0], r.Where)
			case !want.loosely && !whole[show(r)]:
				t.Errorf("%s: %s differs", columns[0], r.Where)
			}
		}
	}
	t.Logf("%d files", n)
}
