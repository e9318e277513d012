package carry

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/ipc"
)

const (
	// timeout is how long a request takes at most, in all.
	timeout = 30 * time.Second
	// maxHead and maxAnswer bound what is read of an answer, in bytes.
	maxHead   = 8 << 10
	maxAnswer = 64 << 10
)

// octets is what messages travel as.
const octets = "application/octet-stream"

// overTLS asks once over a connection of its own. It speaks the little of HTTP/1.1
// that the listener does, for net/http would cost every run of this program its
// start.
func overTLS(ctx context.Context, e message.Endpoint, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", e.String())
	if err != nil {
		return nil, failed(ctx, e, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	c := tls.Client(nc, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, ServerName: "tokend.invalid",
		// The key is what is known of the listener: no name, and nobody who vouches.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || message.PinOf(s.PeerCertificates[0].RawSubjectPublicKeyInfo) != e.Pin {
				return ErrWrongKey
			}
			return nil
		},
	})
	defer func() { _ = c.Close() }()
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, failed(ctx, e, err)
	}
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: tokend\r\nConnection: close\r\n", method, path)
	if body != nil {
		head += fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n", octets, len(body))
	}
	if _, err := c.Write(append([]byte(head+"\r\n"), body...)); err != nil {
		return nil, failed(ctx, e, err)
	}
	a, err := readAnswer(c)
	if err != nil {
		return nil, failed(ctx, e, err)
	}
	if a.status != 200 {
		return nil, a.refusal(e)
	}
	if a.contentType != octets {
		return nil, failed(ctx, e, ErrNonsense)
	}
	return a.body, nil
}

// failed says what became of a try. A wrong key is told apart from silence: it is
// either a new listener, or somebody between.
func failed(ctx context.Context, e message.Endpoint, err error) *ipc.Error {
	var plain tls.RecordHeaderError
	switch {
	case errors.Is(err, ErrWrongKey):
		return &ipc.Error{Kind: ipc.VerifierDown, Message: fmt.Sprintf("what answers at %s has another key than the authority's", e), Err: ErrWrongKey}
	case errors.Is(err, ErrNonsense), errors.As(err, &plain):
		return &ipc.Error{Kind: ipc.VerifierDown, Message: fmt.Sprintf("what answers at %s is no authority", e), Err: ErrNonsense}
	case errors.Is(ctx.Err(), context.Canceled):
		return &ipc.Error{Kind: ipc.Cancelled, Message: "the call was cancelled", Err: ctx.Err()}
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	return unreachable(e, err)
}

// answer is an answer of the listener's.
type answer struct {
	status      int
	contentType string
	body        []byte
}

// readAnswer reads an answer whose body has a length.
func readAnswer(r io.Reader) (a answer, err error) {
	b := bufio.NewReaderSize(io.LimitReader(r, maxHead+maxAnswer), maxHead)
	line, err := readLine(b)
	if err != nil {
		return a, err
	}
	version, rest, _ := strings.Cut(line, " ")
	digits, _, _ := strings.Cut(rest, " ")
	if a.status, err = strconv.Atoi(digits); err != nil || version != "HTTP/1.1" || len(digits) != 3 {
		return a, ErrNonsense
	}
	length := -1
	for {
		if line, err = readLine(b); err != nil {
			return a, err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return a, ErrNonsense
		}
		switch value = strings.TrimSpace(value); strings.ToLower(name) {
		case "content-type":
			a.contentType = value
		case "transfer-encoding":
			return a, ErrNonsense
		case "content-length":
			n, err := strconv.Atoi(value)
			if err != nil || length >= 0 || n < 0 || n > maxAnswer {
				return a, ErrNonsense
			}
			length = n
		}
	}
	if length < 0 {
		return a, ErrNonsense
	}
	a.body = make([]byte, length)
	_, err = io.ReadFull(b, a.body)
	return a, err
}

func readLine(b *bufio.Reader) (string, error) {
	line, err := b.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", ErrNonsense
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// refusal is what the authority says instead of an answer.
func (a answer) refusal(e message.Endpoint) *ipc.Error {
	var told struct {
		Error *ipc.Error `json:"error"`
	}
	if err := json.Unmarshal(a.body, &told); err != nil || told.Error == nil || told.Error.Kind == "" {
		return &ipc.Error{Kind: ipc.VerifierDown, Message: fmt.Sprintf("what answers at %s is no authority", e), Err: ErrNonsense}
	}
	if told.Error.Kind == ipc.NotFound {
		return &ipc.Error{Kind: ipc.VerifierDown, Message: "there is no authority at " + e.String(), Err: ErrUnreachable}
	}
	return &ipc.Error{Kind: told.Error.Kind, Message: told.Error.Message, RetryAfter: told.Error.RetryAfter}
}
