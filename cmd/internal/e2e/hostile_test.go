//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

func unmarshal(s string, v any) error { return json.Unmarshal([]byte(s), v) }

// TestHostileRequests speaks badly over the real socket: every answer is a clear
// error or a closed connection, and the daemon serves on.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	d := NewDaemon(t, programs(t), nil)
	d.Start()
	d.OK("", "init", "--token", "soft", "--pin-file", File(t, "some long passphrase"), "--no-recovery-password")

	raw := func(req string) (*http.Response, string) {
		t.Helper()
		c, err := net.Dial("unix", d.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		go func() { _, _ = io.WriteString(c, req) }()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return nil, err.Error()
		}
		defer func() { _ = resp.Body.Close() }()
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		return resp, string(b)
	}
	post := func(path, body string, headers ...string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: tokend\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s",
			path, len(body), strings.Join(append(headers, ""), "\r\n"), body)
	}
	deep := strings.Repeat(`{"auth":`, 100000)
	for name, req := range map[string]string{
		"origin":           post("/v1/vault/lock", "{}", "Origin: https://evil.example"),
		"host":             "GET /v1/status HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		"unknown path":     "GET /v1/../../etc/passwd HTTP/1.1\r\nHost: tokend\r\n\r\n",
		"method":           "DELETE /v1/status HTTP/1.1\r\nHost: tokend\r\n\r\n",
		"unknown field":    post("/v1/vault/unlock", `{"auth":{},"admin":true}`),
		"twice":            post("/v1/vault/unlock", `{"auth":{"token":"a"},"auth":{"token":"b"}}`),
		"two documents":    post("/v1/vault/unlock", `{}{}`),
		"not JSON":         post("/v1/vault/unlock", `PIN=123456`),
		"deep":             post("/v1/vault/unlock", deep),
		"wrong type":       post("/v1/accounts", `{"accounts":"all"}`),
		"no accounts":      post("/v1/accounts", `{"accounts":[]}`),
		"null account":     post("/v1/accounts", `{"accounts":[null]}`),
		"bad uri":          post("/v1/accounts", `{"accounts":[{"uri":"javascript:alert(1)"}]}`),
		"control name":     post("/v1/accounts", `{"accounts":[{"name":"a\u001b[2Jb","secret":"JBSWY3DPEHPK3PXP"}]}`),
		"huge digits":      post("/v1/accounts", `{"accounts":[{"name":"a","secret":"JBSWY3DPEHPK3PXP","digits":99999999999999999999}]}`),
		"negative":         post("/v1/codes?account=x", `{"min_remaining":-5}`),
		"huge wait":        post("/v1/codes?account=x", `{"min_remaining":2000000000}`),
		"garbage restore":  post("/v1/backups/restore", `{"data":"AAAA"}`),
		"garbage inspect":  post("/v1/backups/inspect", `{"data":"AAAA","auth":{"recovery_password":"whatever long"}}`),
		"form":             "POST /v1/vault/lock HTTP/1.1\r\nHost: tokend\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b",
		"huge header":      "GET /v1/status HTTP/1.1\r\nHost: tokend\r\nX-A: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"huge body":        post("/v1/accounts", `{"accounts":[{"note":"`+strings.Repeat("a", 8<<20)+`"}]}`),
		"negative length":  "POST /v1/vault/lock HTTP/1.1\r\nHost: tokend\r\nContent-Length: -1\r\n\r\n",
		"smuggling":        "POST /v1/vault/lock HTTP/1.1\r\nHost: tokend\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
		"binary":           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"percent in path":  post("/v1/accounts/%2e%2e%2f/code", `{}`),
		"null byte in id":  post("/v1/accounts/%00/code", `{}`),
		"unknown class":    post("/v1/accounts", `{"accounts":[{"name":"a","secret":"JBSWY3DPEHPK3PXP","class":"root"}]}`),
		"wipe by accident": post("/v1/tokens/x/revoke", `{"confirm":""}`),
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := raw(req)
			if resp == nil {
				return // closed without an answer
			}
			if resp.StatusCode < 400 || resp.StatusCode >= 500 {
				t.Fatalf("status %d: %s", resp.StatusCode, body)
			}
			if strings.Contains(body, "goroutine") || strings.Contains(body, "123456") || strings.Contains(body, "JBSWY3DP") {
				t.Errorf("the answer says too much: %s", body)
			}
			if resp.Header.Get("Content-Type") == "application/json" {
				var e struct{ Error *ipc.Error }
				if err := unmarshal(body, &e); err != nil || e.Error == nil || e.Error.Kind == "" || e.Error.Message == "" || e.Error.Kind == ipc.Internal {
					t.Errorf("no clear error: %v: %s", err, body)
				}
			}
		})
	}

	// Half a request, and nothing more: the connection is closed in bounded time
	// while others are served.
	c, err := net.Dial("unix", d.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "POST /v1/vault/lock HTTP/1.1\r\nHost: tok")
	d.OK("", "status")
	_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
	if b, err := io.ReadAll(c); err != nil {
		t.Errorf("half a request was kept for ever: %v: %s", err, b)
	} else if bytes.Contains(b, []byte(" 200 ")) {
		t.Errorf("half a request succeeded: %s", b)
	}
	if !d.Alive() {
		t.Fatal("the daemon died")
	}
	d.OK("", "status")
}
