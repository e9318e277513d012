package duo_test

import (
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/daemon/authority/remote/duo"
	"github.com/tokenbridge/tokend/tokens/tokentest/duorig"
)

func config(s *duorig.Server) duo.Config {
	return duo.Config{IntegrationKey: duorig.IntegrationKey, SecretKey: duorig.SecretKey, Host: s.Host(), Roots: s.Roots(), Timeout: time.Minute}
}

func verifier(t testing.TB, c duo.Config) *duo.Verifier {
	t.Helper()
	v, err := duo.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSignIsDuos holds the server's signature against the example of Duo's
// documentation, as it was with SHA-1 and as it is with SHA-512.
func TestSignIsDuos(t *testing.T) {
	params := map[string]string{"realname": "First Last", "username": "root"}
	for _, c := range []struct {
		hash func() hash.Hash
		want string
	}{
		{sha1.New, "RElXSjhYNkFFWU9SNU9NQzZUUTE6MmQ5N2Q2MTY2MzE5NzgxYjVhM2EwN2FmMzlkMzY2ZjQ5MTIzNGVkYw=="},
		{sha512.New, "RElXSjhYNkFFWU9SNU9NQzZUUTE6MWJmZmI4OTI0MzQ4ZjdkYjdkYTllN2Q3ZDc0OWRlZDkzYWFmZDAyZDhlOTA0OTYwZGE3Yjk2YzU3NTEwMjIwMTg1YTY0YTI4MjdlZThmMjRhYzVkMzA4MDJhOWVlOTdlNTlkZTQ0YjMwNGIxODI0MmYwZDU5NmQxNWE4MTIyYWY="},
	} {
		got := duorig.Sign(c.hash, "Tue, 21 Aug 2012 17:29:18 -0000", "post", "api-XXXXXXXX.duosecurity.com", "/accounts/v1/account/list", params)
		if got := base64.StdEncoding.EncodeToString([]byte(duorig.IntegrationKey + ":" + got)); got != c.want {
			t.Errorf("signed %s, not %s", got, c.want)
		}
	}
}

func question(user, factor, passcode string) remote.Question {
	q := remote.Question{User: user, Factor: factor, Device: "anna's laptop", Account: "vpn", Reference: "R-17"}
	if passcode != "" {
		q.Passcode = []byte(passcode)
	}
	return q
}
