package httpapi

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// TestEncodeSecrets holds the answers with secrets against encoding/json's.
func TestEncodeSecrets(t *testing.T) {
	for _, text := range []string{"", "otpauth://totp/a:b?secret=JBSWY3DPEHPK3PXP&issuer=a", `"\` + "\x00\n\x1f<>&\u2028é😀", "\xff\xc3", "AGE-SECRET-KEY-1X"} {
		for _, out := range []any{
			&ipc.Reveal{Version: 1, URI: ipc.Secret(text), Account: ipc.Account{Name: `0" and "uri":"`}},
			&ipc.RecoveryKey{Version: 1, Key: ipc.Secret(text), VaultID: "v"},
			&ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{{URI: ipc.Secret(text), Name: "a"}, {Secret: ipc.Secret(text)}}},
			&ipc.Backup{Data: []byte(text)},
		} {
			for _, size := range []int{0, 5000} {
				b, err := encodeSecrets(out, size)
				if err != nil || len(b) < size || b[len(b)-1] != '\n' || bytes.Count(b, []byte("\n")) != 1 {
					t.Fatalf("%T, %q: %q %v", out, text, b, err)
				}
				var got, want any
				plain, _ := json.Marshal(out)
				if json.Unmarshal(b, &got) != nil || json.Unmarshal(plain, &want) != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%T: %s\nwant %s", out, b, plain)
				}
			}
		}
	}
}

// TestTrailForgets wipes a body from the buffer it came through, wherever it lay
// there, and not what follows it.
func TestTrailForgets(t *testing.T) {
	body := []byte(`{"pin":"` + strings.Repeat("1234567890", 500) + `"}`)
	short := []byte(`{"pin":"123456"}`)
	for _, c := range []struct{ last, body, want string }{
		{"POST / HTTP/1.1\r\n\r\n" + string(short), string(short), "POST / HTTP/1.1\r\n\r\n" + zeros(len(short))},
		{"HEAD" + string(short) + "NEXT" + string(short), string(short), "HEAD" + zeros(len(short)) + "NEXT" + string(short)},
		{"HEAD" + string(body[:3000]), string(body), "HEAD" + zeros(3000)},
		{string(body[4500:]) + "NEXT", string(body), zeros(len(body)-4500) + "NEXT"},
		{"HEAD", "", "HEAD"},
		{"HEAD", string(short), "HEAD"},
	} {
		last := []byte(c.last)
		tr := trail{last: last}
		tr.forget([]byte(c.body))
		if string(last) != c.want {
			t.Errorf("%.60q without %.60q became %.80q", c.last, c.body, last)
		}
		tr.forget([]byte(c.body)) // nothing is left to forget
	}
}

func zeros(n int) string { return strings.Repeat("\x00", n) }

// TestSecretFields sees that a request with a secret in it is known by its body.
func TestSecretFields(t *testing.T) {
	for _, r := range Routes() {
		if r.Request == nil {
			continue
		}
		v := reflect.New(r.Request)
		for _, list := range []string{"Accounts", "Fobs"} {
			if f := v.Elem().FieldByName(list); f.IsValid() {
				f.Set(reflect.MakeSlice(f.Type(), 1, 1))
			}
		}
		if r.Request == reflect.TypeFor[ipc.InitRequest]() {
			v.Elem().FieldByName("Enroll").Set(reflect.ValueOf(new(ipc.EnrollRequest)))
		}
		if r.Request == reflect.TypeFor[ipc.SetVerifierRequest]() {
			v.Elem().FieldByName("Radius").Set(reflect.ValueOf(&ipc.RadiusSettings{Servers: make([]ipc.RadiusServer, 1)}))
			v.Elem().FieldByName("Duo").Set(reflect.ValueOf(new(ipc.DuoSettings)))
		}
		fields := secretFields(r.Request, nil)
		secrets := secretsIn(v, nil)
		if len(secrets) == 0 != (len(fields) == 0) || (len(fields) > 0) != hasSecret(r.Request) {
			t.Errorf("%s %s: %d secrets, %d fields", r.Method, r.Path, len(secrets), len(fields))
		}
		for _, s := range secrets {
			*s = ipc.Secret("x")
			body, err := json.Marshal(v.Interface())
			if err != nil || !holdsSecret(body, fields) {
				t.Errorf("%s %s: no secret is seen in %s (%v)", r.Method, r.Path, body, err)
			}
			*s = nil
		}
	}
}
