//go:build linux

package helper_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// TestHostileAssertions: a helper that has been taken over signs by no other
// credential than was asked for, and hands out nothing that is too large.
func TestHostileAssertions(t *testing.T) {
	long := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	answer := func(id, data, sig string) string {
		return fmt.Sprintf(`{"credential":%q,"auth_data":%q,"signature":%q}`, id, data, sig)
	}
	r := tokens.AssertRequest{Locator: "x", Hash: make([]byte, 32), Credentials: [][]byte{{1}, {2}}}
	for name, c := range map[string]struct {
		result string
		good   bool
	}{
		"good":            {answer("Ag==", "AAAA", "AAAA"), true},
		"another's":       {answer("Aw==", "AAAA", "AAAA"), false},
		"nobody's":        {answer("", "AAAA", "AAAA"), false},
		"long data":       {answer("Ag==", long(4000), "AAAA"), false},
		"long signature":  {answer("Ag==", "AAAA", long(4000)), false},
		"long credential": {answer(long(4000), "AAAA", "AAAA"), false},
		"something else":  {`{"shared":"AAAA"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := client(script(t, "cat >/dev/null & echo '{\"result\":"+c.result+"}'"), tokens.KindFIDO2)
			_, err := d.Assert(context.Background(), r)
			if c.good && err == nil {
				return
			}
			wantCode(t, err, tokens.CodeProtocol)
			made := `{"token":{"kind":"fido2","locator":"x"},"auth_data":"AAAA","proof":` + c.result + `}`
			if strings.Contains(c.result, `"Aw=="`) { // there is no other to tell it from
				return
			}
			d = client(script(t, "cat >/dev/null & echo '{\"result\":"+made+"}'"), tokens.KindFIDO2)
			_, err = d.MakeCredential(context.Background(), tokens.CredentialRequest{Locator: "x", Hash: make([]byte, 32)})
			wantCode(t, err, tokens.CodeProtocol)
		})
	}
}

// TestPINApart: the PIN of these operations goes in the line of secrets, and is put
// back.
func TestPINApart(t *testing.T) {
	for _, r := range []wire.Request{
		{Kind: tokens.KindFIDO2, Op: wire.OpMake, Make: &tokens.CredentialRequest{Locator: "x", PIN: []byte("123456")}},
		{Kind: tokens.KindFIDO2, Op: wire.OpAssert, Assert: &tokens.AssertRequest{Locator: "x", PIN: []byte("123456")}},
	} {
		var b bytes.Buffer
		if err := wire.WriteRequest(&b, r); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(bytes.SplitN(b.Bytes(), []byte("\n"), 2)[0], []byte("MTIzNDU2")) {
			t.Errorf("%s: the PIN is in the first line", r.Op)
		}
		got, err := wire.ReadRequest(bufio.NewReader(bytes.NewReader(b.Bytes())))
		if err != nil {
			t.Fatal(err)
		}
		for _, pin := range pinsOf(got) {
			if string(pin) != "123456" {
				t.Errorf("%s: PIN %q", r.Op, pin)
			}
		}
		got.Forget()
		for _, pin := range pinsOf(got) {
			if bytes.ContainsAny(pin, "123456") {
				t.Errorf("%s: the PIN is not forgotten", r.Op)
			}
		}
		if list := got.Locators(); list[len(list)-1] != "x" {
			t.Errorf("%s: %q", r.Op, list)
		}
	}
}

func pinsOf(r *wire.Request) [][]byte {
	if r.Make != nil {
		return [][]byte{r.Make.PIN}
	}
	return [][]byte{r.Assert.PIN}
}
