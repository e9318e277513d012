package httpapi_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/httpapi"
	"github.com/tokenbridge/tokend/ipc/local"
)

// answer is what came back for a raw request.
type answer struct {
	status int
	header http.Header
	body   []byte
	kind   ipc.Kind
	err    *ipc.Error
}

// ask writes raw bytes and reads one answer, checking what every answer of the
// API has.
func ask(t *testing.T, socket, raw string) answer {
	t.Helper()
	c := dial(t, socket)
	go func() { _, _ = io.WriteString(c, raw) }() // the daemon may refuse before it has read all
	return readAnswer(t, bufio.NewReader(c))
}

func readAnswer(t *testing.T, r *bufio.Reader) answer {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	a := answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	var e struct {
		Version int
		Error   *ipc.Error
	}
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Fatalf("the answer is no JSON: %q", a.body)
	}
	if a.status != 200 {
		if e.Error == nil || e.Version != 1 || e.Error.Message == "" {
			t.Fatalf("status %d without an error of the API: %s", a.status, a.body)
		}
		a.kind, a.err = e.Error.Kind, e.Error
	}
	return a
}

func get(path string, header ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: tokend\r\n" + strings.Join(append(header, ""), "\r\n") + "\r\n"
}

func post(path, body string, header ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: tokend\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s",
		path, len(body), strings.Join(append(header, ""), "\r\n"), body)
}

func TestHostileRequests(t *testing.T) {
	b := newBackend()
	socket := start(t, httpapi.Config{Backend: b}, local.Options{})
	many := make([]string, 70)
	for i := range many {
		many[i] = fmt.Sprintf("X-%d: y", i)
	}
	ok := "HTTP/1.1\r\nHost: tokend\r\n"
	for name, c := range map[string]struct {
		raw    string
		status int
		kind   ipc.Kind
	}{
		"origin":                {get("/v1/status", "Origin: http://evil.example"), 403, ipc.NotAuthorized},
		"empty origin":          {get("/v1/status", "Origin:"), 403, ipc.NotAuthorized},
		"null origin":           {get("/v1/status", "Origin: null"), 403, ipc.NotAuthorized},
		"host":                  {"GET /v1/status HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, ipc.NotAuthorized},
		"host with port":        {"GET /v1/status HTTP/1.1\r\nHost: localhost:80\r\n\r\n", 403, ipc.NotAuthorized},
		"no host":               {"GET /v1/status HTTP/1.1\r\n\r\n", 400, ipc.InvalidArgument},
		"two hosts":             {"GET /v1/status HTTP/1.1\r\nHost: tokend\r\nHost: tokend\r\n\r\n", 400, ipc.InvalidArgument},
		"absolute form":         {"GET http://evil.example/v1/status HTTP/1.1\r\nHost: tokend\r\n\r\n", 403, ipc.NotAuthorized},
		"http 1.0":              {"GET /v1/status HTTP/1.0\r\nHost: tokend\r\n\r\n", 505, ipc.Unsupported},
		"http 2":                {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, ipc.Unsupported},
		"no http":               {"\x16\x03\x01\x02\x00\r\n\r\n", 400, ipc.InvalidArgument},
		"huge header":           {get("/v1/status", "X: "+strings.Repeat("x", 64<<10)), 431, ipc.InvalidArgument},
		"huge path":             {get("/v1/accounts/" + strings.Repeat("x", 64<<10)), 431, ipc.InvalidArgument},
		"many headers":          {get("/v1/status", many...), 431, ipc.InvalidArgument},
		"odd request name":      {get("/v1/status", ipc.RequestHeader+": a b"), 400, ipc.InvalidArgument},
		"long request name":     {get("/v1/status", ipc.RequestHeader+": "+strings.Repeat("x", 65)), 400, ipc.InvalidArgument},
		"two request names":     {get("/v1/status", ipc.RequestHeader+": a", ipc.RequestHeader+": a"), 400, ipc.InvalidArgument},
		"long id":               {get("/v1/accounts/" + strings.Repeat("x", 1025)), 400, ipc.InvalidArgument},
		"id no utf-8":           {get("/v1/accounts/%ff"), 400, ipc.InvalidArgument},
		"unknown path":          {get("/v1/nothing"), 404, ipc.NotFound},
		"no version":            {get("/status"), 404, ipc.NotFound},
		"root":                  {get("/"), 404, ipc.NotFound},
		"trailing slash":        {get("/v1/status/"), 404, ipc.NotFound},
		"empty id":              {get("/v1/accounts/"), 404, ipc.NotFound},
		"dots":                  {get("/v1/accounts/../status"), 404, ipc.NotFound},
		"escaped route":         {get("/v1/%73tatus"), 404, ipc.NotFound},
		"deep path":             {get("/v1/accounts/a/move/b"), 404, ipc.NotFound},
		"method":                {get("/v1/vault/unlock"), 405, ipc.Unsupported},
		"delete":                {"DELETE /v1/status " + ok + "\r\n", 405, ipc.Unsupported},
		"options":               {"OPTIONS * " + ok + "\r\n", 404, ipc.NotFound},
		"connect":               {"CONNECT tokend:80 " + ok + "\r\n", 403, ipc.NotAuthorized},
		"strange method":        {"FROB /v1/status " + ok + "\r\n", 405, ipc.Unsupported},
		"query":                 {get("/v1/status?x=1"), 400, ipc.InvalidArgument},
		"no query":              {post("/v1/codes", "{}"), 400, ipc.InvalidArgument},
		"empty query":           {post("/v1/codes?account=", "{}"), 400, ipc.InvalidArgument},
		"two in the query":      {post("/v1/codes?account=a&account=b", "{}"), 400, ipc.InvalidArgument},
		"more in the query":     {post("/v1/codes?account=a&b=c", "{}"), 400, ipc.InvalidArgument},
		"broken query":          {post("/v1/codes?account=%zz", "{}"), 400, ipc.InvalidArgument},
		"get with a body":       {"GET /v1/status " + ok + "Content-Length: 2\r\n\r\n{}", 400, ipc.InvalidArgument},
		"form":                  {"POST /v1/vault/unlock " + ok + "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415, ipc.InvalidArgument},
		"no type":               {"POST /v1/vault/unlock " + ok + "Content-Length: 2\r\n\r\n{}", 415, ipc.InvalidArgument},
		"encoded":               {post("/v1/vault/unlock", "{}", "Content-Encoding: gzip"), 415, ipc.InvalidArgument},
		"body where none":       {post("/v1/vault/lock", `{"a":1}`), 413, ipc.InvalidArgument},
		"announced too large":   {"POST /v1/vault/unlock " + ok + "Content-Type: application/json\r\nContent-Length: 9000000000\r\n\r\n", 413, ipc.InvalidArgument},
		"too large":             {post("/v1/vault/unlock", strings.Repeat(" ", 1<<20)+"{}"), 413, ipc.InvalidArgument},
		"chunked too large":     {"POST /v1/vault/unlock " + ok + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n" + strings.Repeat(" ", 0x100001), 413, ipc.InvalidArgument},
		"smuggled":              {"POST /v1/vault/unlock " + ok + "Content-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", 400, ipc.InvalidArgument},
		"transfer encoding":     {"POST /v1/vault/unlock " + ok + "Transfer-Encoding: gzip\r\n\r\n", 501, ipc.InvalidArgument},
		"negative length":       {"POST /v1/vault/unlock " + ok + "Content-Length: -1\r\n\r\n", 400, ipc.InvalidArgument},
		"header without colon":  {get("/v1/status", "bad"), 400, ipc.InvalidArgument},
		"control in header":     {get("/v1/status", "X: a\x00b"), 400, ipc.InvalidArgument},
		"broken json":           {post("/v1/vault/unlock", `{"auth":`), 400, ipc.InvalidArgument},
		"deep json":             {post("/v1/vault/unlock", strings.Repeat(`{"auth":`, 100000)+strings.Repeat("}", 100000)), 400, ipc.InvalidArgument},
		"deep array":            {post("/v1/accounts", `{"accounts":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+"}"), 400, ipc.InvalidArgument},
		"trailing json":         {post("/v1/vault/unlock", `{}{}`), 400, ipc.InvalidArgument},
		"array for object":      {post("/v1/vault/unlock", `[]`), 400, ipc.InvalidArgument},
		"null":                  {post("/v1/vault/unlock", `null`), 400, ipc.InvalidArgument},
		"backend's own":         {get("/v1/accounts/none"), 404, ipc.NotFound},
		"backend's plain error": {get("/v1/accounts/plain"), 500, ipc.Internal},
		"backend's panic":       {get("/v1/accounts/panic"), 500, ipc.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := b.seen()
			a := ask(t, socket, c.raw)
			if a.status != c.status || a.kind != c.kind {
				t.Errorf("%d %s, want %d %s (%s)", a.status, a.kind, c.status, c.kind, a.body)
			}
			if after, _ := b.seen(); len(after) != len(before) && !strings.HasPrefix(name, "backend's") {
				t.Errorf("the backend was asked: %q", after[len(before):])
			}
			if bytes.Contains(a.body, []byte("goroutine")) || bytes.Contains(a.body, []byte("secret")) {
				t.Errorf("the answer tells too much: %s", a.body)
			}
		})
	}
	if a := ask(t, socket, get("/v1/vault/unlock")); a.header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", a.header.Get("Allow"))
	}
	if a := ask(t, socket, get("/v1/accounts/import")); a.status != 200 {
		t.Errorf("an account that is called like a path: %d %s", a.status, a.kind)
	}
	if a := ask(t, socket, "PATCH /v1/accounts/import "+ok+"\r\n"); a.header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", a.header.Get("Allow"))
	}
	if a := ask(t, socket, "PATCH /v1/accounts/x "+ok+"\r\n"); a.header.Get("Allow") != "DELETE, GET, PUT" {
		t.Errorf("Allow: %q", a.header.Get("Allow"))
	}
	if a := ask(t, socket, post("/v1/codes?account=busy", "")); a.header.Get("Retry-After") != "3" || a.err.RetryAfter != 3 {
		t.Errorf("Retry-After: %q, %+v", a.header.Get("Retry-After"), a.err)
	}
	for _, host := range []string{"tokend", "localhost", ""} {
		if a := ask(t, socket, "GET /v1/health HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); a.status != 200 {
			t.Errorf("host %q: %d", host, a.status)
		}
	}
}

func TestBodiesAreReadStrictly(t *testing.T) {
	b := newBackend()
	socket := start(t, httpapi.Config{Backend: b}, local.Options{})
	for _, c := range []struct{ path, body, message string }{
		{"/v1/vault/unlock", `{"pin":"1"}`, `the body has a field that is not known: "pin"`},
		{"/v1/vault/unlock", `{"auth":{"PIN":"1"}}`, `the field auth has a field that is not known: "PIN"`},
		{"/v1/vault/unlock", `{"auth":{"p\u0069n":"1"}}`, `the field auth has a field that is not known: "p\\u0069n"`},
		{"/v1/vault/unlock", `{"auth":{"pin":"1","pin":"2"}}`, "the field pin is there twice"},
		{"/v1/vault/unlock", `{"auth":{},"auth":{}}`, "the field auth is there twice"},
		{"/v1/vault/unlock", `{"auth":{"pin":123456}}`, "the field pin must be a string"},
		{"/v1/vault/unlock", `{"auth":{"pin":["1"]}}`, "the field pin must be a string"},
		{"/v1/vault/unlock", `{"auth":"123456"}`, "the field auth must be an object"},
		{"/v1/vault/unlock", `{"auth":{"pin":"\ud800"}}`, "a string holds half of a surrogate pair"},
		{"/v1/vault/unlock", `{"auth":{"pin":"\udc00\ud800"}}`, "a string holds half of a surrogate pair"},
		{"/v1/vault/unlock", "{\"auth\":{\"pin\":\"\xff\"}}", "the body is not valid JSON"},
		{"/v1/accounts/x/move", `{}`, "the field position is missing"},
		{"/v1/accounts/x/move", ``, "the field position is missing"},
		{"/v1/accounts/x/move", `{"position":null}`, "the field position is missing"},
		{"/v1/accounts/x/move", `{"position":1.5}`, "the field position must be a whole number in its range"},
		{"/v1/accounts/x/move", `{"position":1e400}`, "the field position must be a whole number in its range"},
		{"/v1/accounts", `{"accounts":[null]}`, "each of the field accounts must be an object"},
		{"/v1/accounts", `{"accounts":[{"digits":"6"}]}`, "the field digits must be a whole number"},
		{"/v1/backups/inspect", `{"data":"%%%"}`, "a value in the body cannot be read"},
	} {
		a := ask(t, socket, post(c.path, c.body))
		if a.status != 400 || a.kind != ipc.InvalidArgument || a.err.Message != c.message {
			t.Errorf("%s %s: %d %s, want %q", c.path, c.body, a.status, a.body, c.message)
		}
	}
	if calls, _ := b.seen(); len(calls) != 0 {
		t.Errorf("the backend was asked: %q", calls)
	}
	for _, body := range []string{
		`{"auth":{"pin":"123456"}}`, ` { "auth" : { "pin" : "\u0031\u0032\u0033456" , "token" : null } } `,
	} {
		if a := ask(t, socket, post("/v1/vault/unlock", body)); a.status != 200 {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if a := ask(t, socket, post("/v1/vault/lock", "{}")); a.status != 200 || string(a.body) != "{\"version\":1}\n" {
		t.Errorf("lock with {}: %d %s", a.status, a.body)
	}
	if a := ask(t, socket, post("/v1/accounts/a%2Fb%20c/move", `{"position":0}`)); a.status != 200 {
		t.Errorf("a name with a slash: %d %s", a.status, a.body)
	}
	if calls, _ := b.seen(); calls[len(calls)-1] != "MoveAccount a/b c" {
		t.Errorf("a name with a slash came in as %q", calls[len(calls)-1])
	}
}

func TestListsAreNeverNull(t *testing.T) {
	socket := start(t, httpapi.Config{Backend: newBackend()}, local.Options{})
	for path, want := range map[string]string{
		"/v1/status": `"warnings":[]`, "/v1/doctor": `"findings":[]`, "/v1/audit": `"entries":[]`, "/v1/tokens": `"classes":[]`,
	} {
		if a := ask(t, socket, get(path)); !bytes.Contains(a.body, []byte(want)) || bytes.Contains(a.body, []byte("null")) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}

// syncBuffer is a log that requests write and the test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestLogHoldsNothingOfTheCallers(t *testing.T) {
	var log syncBuffer
	socket := start(t, httpapi.Config{
		Backend: newBackend(), Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, local.Options{})
	for _, raw := range []string{
		post("/v1/vault/unlock", `{"auth":{"pin":"hunter2-pin"}}`),
		post("/v1/codes?account=hunter2-name", "{}"),
		get("/v1/accounts/hunter2-id"),
		get("/hunter2-path?hunter2-query"),
		"HUNTER2 /v1/status HTTP/1.1\r\nHost: tokend\r\n\r\n",
		get("/v1/status", "hunter2-header"),
		get("/v1/accounts/panic"),
	} {
		ask(t, socket, raw)
	}
	want := "method=POST route=/v1/vault/unlock status=403 uid="
	for range 100 { // the line is written after the answer
		if strings.Contains(log.String(), "route=/v1/accounts/{id} status=500") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	got := log.String()
	if !strings.Contains(got, want) || !strings.Contains(got, "panic in a request") {
		t.Errorf("the log lacks requests:\n%s", got)
	}
	if strings.Contains(strings.ToLower(got), "hunter2") || strings.Contains(got, "a secret value") {
		t.Errorf("the log holds what callers said:\n%s", got)
	}
}

func TestSlowCallersAreCutOff(t *testing.T) {
	l := httpapi.Limits{HeaderTime: 200 * time.Millisecond, BodyTime: 200 * time.Millisecond, IdleTime: 200 * time.Millisecond}
	socket := start(t, httpapi.Config{Backend: newBackend(), Limits: l}, local.Options{})
	t.Run("silent", func(t *testing.T) { closedSoon(t, dial(t, socket)) })
	t.Run("slow header", func(t *testing.T) {
		c := dial(t, socket)
		go drip(c, get("/v1/status", "X: "+strings.Repeat("x", 4000)))
		closedSoon(t, c)
	})
	t.Run("slow body", func(t *testing.T) {
		c := dial(t, socket)
		go drip(c, post("/v1/vault/unlock", `{"auth":{"pin":"`+strings.Repeat("1", 4000)+`"}}`))
		closedSoon(t, c)
	})
	t.Run("body that never comes", func(t *testing.T) {
		raw := post("/v1/vault/unlock", `{"auth":{}}`)
		if a := ask(t, socket, raw[:len(raw)-3]); a.status != 408 || a.kind != ipc.InvalidArgument {
			t.Errorf("%d %s", a.status, a.kind)
		}
	})
	t.Run("idle", func(t *testing.T) {
		c := dial(t, socket)
		_, _ = io.WriteString(c, get("/v1/health"))
		r := bufio.NewReader(c)
		readAnswer(t, r)
		if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("an idle connection: %v, want EOF", err)
		}
	})
}

// drip sends the head of a request at once but for its last part.
func drip(c net.Conn, raw string) {
	for i := range len(raw) {
		if _, err := io.WriteString(c, raw[i:i+1]); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func closedSoon(t *testing.T, c net.Conn) {
	t.Helper()
	start := time.Now()
	_, err := io.Copy(io.Discard, c)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("closed after %v (%v)", took, err)
	}
}

func TestLargeBodiesAreLimited(t *testing.T) {
	b := newBackend()
	l := httpapi.Limits{LargeBodiesUser: 1, BodyTime: 10 * time.Second}
	socket := start(t, httpapi.Config{Backend: b, Limits: l}, local.Options{})
	body := `{"data":"` + strings.Repeat("AAAA", 1<<20) + `"}`
	raw := post("/v1/backups/inspect", body)
	c := dial(t, socket)
	if _, err := io.WriteString(c, raw[:2<<20]); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, socket, raw); a.status != 503 || a.kind != ipc.Busy {
		t.Errorf("a second at one time: %d %s", a.status, a.kind)
	}
	if _, err := io.WriteString(c, raw[2<<20:]); err != nil {
		t.Fatal(err)
	}
	if a := readAnswer(t, bufio.NewReader(c)); a.status != 200 {
		t.Errorf("the first: %d %s", a.status, a.body)
	}
	if b.body != 3<<20 {
		t.Errorf("%v bytes came in, want %d", b.body, 3<<20)
	}
	if a := ask(t, socket, raw); a.status != 200 {
		t.Errorf("one after the other: %d %s", a.status, a.body)
	}
}
