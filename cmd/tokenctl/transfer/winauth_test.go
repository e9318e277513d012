package transfer

import (
	"encoding/hex"
	"strings"
	"testing"
)

// WinAuth exports otpauth addresses, with parameters of its own for what it knows
// better (Battle.net's serial, Steam's device), as text or in a ZIP archive, which
// may be encrypted. addresses and archived read it.
var _ = addFixtures(func(tb testing.TB) []fixture {
	lines := strings.Join([]string{
		"otpauth://totp/Example:anna%40example.org?secret=" + b32(seed20) + "&digits=6&issuer=Example&icon=WinAuth",
		"otpauth://totp/BattleNet:EU?secret=" + b32(seed20) + "&serial=EU123412341234&digits=8&issuer=BattleNet",
		"otpauth://totp/Steam:carla?secret=" + b32(seed20) + "&digits=5&issuer=Steam&deviceid=android%3a0&data=%7b%7d",
		"otpauth://hotp/Wiki:bo?secret=" + b32(seed20) + "&digits=6&counter=5&issuer=Wiki",
	}, "\r\n") + "\r\n"
	want := []string{wantAnna(), "BattleNet|EU|totp SHA1 8 30 0|" + hex.EncodeToString([]byte(seed20)), wantSteam(), wantWikiSHA1()}
	return []fixture{
		{name: "WinAuth", data: []byte(lines), format: "otpauth addresses", want: want},
		{name: "WinAuth in an archive", data: zipOf(tb, "winauth.txt", lines), format: "otpauth addresses", want: want, framed: true},
		{name: "WinAuth in an encrypted archive", data: zipAESOf(tb, "winauth.txt", []byte(lines), 3), format: "otpauth addresses", want: want, password: testPassword, framed: true},
	}
})
