//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"context"
	"os"
	"strings"
	"time"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/piv/pcsc"
)

// Driver is the tokens.Driver of PIV cards.
type Driver struct {
	o Options
}

var (
	_ tokens.Driver     = (*Driver)(nil)
	_ tokens.Inspector  = (*Driver)(nil)
	_ tokens.PINChanger = (*Driver)(nil)
	_ tokens.Wiper      = (*Driver)(nil)
	_ tokens.Watcher    = (*Driver)(nil)
	_ tokens.Diagnoser  = (*Driver)(nil)
)

// New returns a Driver.
func New(o Options) *Driver {
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	if o.TouchTimeout <= 0 {
		o.TouchTimeout = DefaultTouchTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Root == nil {
		o.Root = os.DirFS("/")
	}
	return &Driver{o: o}
}

// Missing says why this build cannot drive PIV cards; it is empty where it can.
func Missing() string { return "" }

// patiently repeats f while another program holds the card.
func (d *Driver) patiently(ctx context.Context, f func() error) error {
	end := d.o.Now().Add(d.o.Patience)
	told := false
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := f()
		if err == nil {
			return nil
		}
		if code, ok := pcscError(err); !ok || code != pcsc.ErrSharing || !d.o.Now().Before(end) {
			return err
		}
		// A program that is about to let go is not worth telling of.
		if !told && d.o.OnBusy != nil && pause >= 100*time.Millisecond {
			told = true
			d.o.OnBusy()
		}
		select {
		case <-ctx.Done():
			return alive(ctx)
		case <-time.After(pause):
		}
	}
}

// open opens the card through piv-go: exclusively, and within a transaction.
func (d *Driver) open(ctx context.Context, reader string) (*gopiv.YubiKey, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	if reader == "" || strings.ContainsRune(reader, 0) {
		return nil, tokens.Errorf(tokens.CodeNotPresent, "there is no such reader")
	}
	var yk *gopiv.YubiKey
	err := d.patiently(ctx, func() error {
		return calmly(func() (err error) {
			yk, err = gopiv.Open(reader)
			return err
		})
	})
	if err != nil {
		if cancelled := alive(ctx); cancelled != nil {
			return nil, cancelled
		}
		return nil, d.explainOpenIn(reader, err)
	}
	return yk, nil
}

// reset makes the card forget who was authenticated. A card that is gone has
// forgotten already.
func (d *Driver) reset(ctx context.Context, reader string) error {
	x, err := pcsc.Open()
	if err != nil {
		return explainOpen(err)
	}
	defer x.Close()
	// Not called off by ctx: a card must not be left authenticated.
	err = d.patiently(context.WithoutCancel(ctx), func() error {
		card, err := x.Connect(reader, false)
		if err != nil {
			return err
		}
		return card.Disconnect(true)
	})
	if err == nil || !d.present(reader) {
		return nil
	}
	return fail(tokens.CodeBusy, "another program took the card before it could be reset", err)
}

// session is a card opened through package pcsc, exclusively.
type session struct {
	d      *Driver
	x      *pcsc.Context
	card   *pcsc.Card
	reader string
	// version is the firmware's.
	version [3]byte
	// dirty says that the card may be authenticated.
	dirty bool
}

// AIDs (SP 800-73-4 part 1, 2.2, and Yubico's).
const (
	aidPIV = "\xa0\x00\x00\x03\x08"
	aidOTP = "\xa0\x00\x00\x05\x27\x20\x01\x01"
)

// Instructions (SP 800-73-4 part 2, table 3, and Yubico's).
const (
	insVerify       = 0x20
	insAuthenticate = 0x87
	insSelect       = 0xA4
	insGetData      = 0xCB
	insPutData      = 0xDB
	insMoveKey      = 0xF6
	insMetadata     = 0xF7
	insSerial       = 0xF8
	insAttest       = 0xF9
	insVersion      = 0xFD
)

// read opens a card for all that needs no private key. An error that a card in
// the reader caused comes with CodeUnsupported or CodeBusy.
func (d *Driver) read(ctx context.Context, reader string) (*session, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	if reader == "" || strings.ContainsRune(reader, 0) {
		return nil, tokens.Errorf(tokens.CodeNotPresent, "there is no such reader")
	}
	x, err := pcsc.Open()
	if err != nil {
		return nil, explainOpen(err)
	}
	s := &session{d: d, x: x, reader: reader}
	err = d.patiently(ctx, func() (err error) {
		s.card, err = x.Connect(reader, true)
		return err
	})
	if err != nil {
		x.Close()
		if cancelled := alive(ctx); cancelled != nil {
			return nil, cancelled
		}
		return nil, d.explainOpenIn(reader, err)
	}
	if err := s.begin(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// begin selects the PIV application and asks for the firmware's version.
func (s *session) begin() error {
	if _, err := s.card.Send(insSelect, 4, 0, []byte(aidPIV)); err != nil {
		if _, refused := status(err); refused {
			return fail(tokens.CodeUnsupported, "not a PIV card", err)
		}
		return s.d.explain(s.reader, err)
	}
	v, err := s.card.Send(insVersion, 0, 0, nil)
	if err != nil {
		if _, refused := status(err); refused {
			return fail(tokens.CodeUnsupported, noExtensions, err)
		}
		return s.d.explain(s.reader, err)
	}
	if len(v) != 3 {
		return tokens.Errorf(tokens.CodeUnsupported, noExtensions)
	}
	s.version = [3]byte(v)
	return nil
}

// close gives the card free; one that may be authenticated is reset.
func (s *session) close() error {
	defer s.x.Close()
	if err := s.card.Disconnect(s.dirty); err != nil && s.dirty && s.d.present(s.reader) {
		return fail(tokens.CodeProtocol, "cannot reset the card", err)
	}
	return nil
}

func (s *session) atLeast(major, minor byte) bool {
	return s.version[0] > major || s.version[0] == major && s.version[1] >= minor
}
