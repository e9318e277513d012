package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// firstSerial is the serial number of the first card; the others follow.
const firstSerial = 90000001

// stand is the rig with its cards, the FIDO2 keys, and whoever sits before it.
type stand struct {
	rig   readers // nil without cards
	cards []*vpiv.Card
	keys  []*fidoKey

	folder string // of links to the keys

	mu     sync.Mutex
	out    io.Writer
	asking chan bool // non-nil while a touch waits for Enter
}

// serve runs until quit, the end of in, or the end of ctx.
func serve(ctx context.Context, o options, in io.Reader, out io.Writer) (err error) {
	if o.cards < 0 || o.cards > 4 || o.keys < 0 || o.keys > 4 || o.cards+o.keys == 0 {
		return fmt.Errorf("cannot make %d cards and %d keys: 0 to 4 of each are possible, and 1 in all", o.cards, o.keys)
	}
	s := &stand{out: out}
	defer func() { err = errors.Join(err, s.close()) }()
	for i := range o.cards {
		card, err := newCard(o, i)
		if err != nil {
			return err
		}
		s.cards = append(s.cards, card)
	}
	if err := s.makeKeys(o); err != nil {
		return err
	}
	if err := s.setTouch(o.touch); err != nil {
		return err
	}
	if err := s.plug(ctx, o); err != nil {
		return err
	}
	s.help()
	return s.loop(ctx, in)
}

// plug puts everything in and says where it is.
func (s *stand) plug(ctx context.Context, o options) error {
	if len(s.cards) > 0 {
		if err := s.plugCards(ctx, o.vpcd); err != nil {
			return err
		}
	}
	for i, k := range s.keys {
		if err := k.port.Insert(k.Key); err != nil {
			return err
		}
		s.say("key %d: %s", i, k.port.Path())
	}
	if len(s.keys) > 0 && !o.hid {
		var all []string
		for _, k := range s.keys {
			all = append(all, "--fido2-device "+k.port.Path())
		}
		s.say("tokend serve --user %s", strings.Join(all, " "))
	}
	return nil
}

// plugCards puts the cards into the readers of the pcscd at vpcd, or of one of
// our own.
func (s *stand) plugCards(ctx context.Context, vpcd string) error {
	if vpcd != "" {
		there, err := openReaders(vpcd)
		if err != nil {
			return err
		}
		s.rig = there
	} else {
		private, err := rig.New(ctx, rig.Options{Readers: len(s.cards)})
		if err != nil {
			return err
		}
		s.rig = private
		s.say("export %s", strings.Join(private.Env(), " "))
		for i := range s.cards {
			s.say("reader %d: %s", i, private.Readers()[i])
		}
	}
	for i, card := range s.cards {
		if err := s.rig.Insert(card, i); err != nil {
			return err
		}
	}
	s.say("PIN %s, PUK %s, management key %x", vpiv.FactoryPIN, vpiv.FactoryPUK, vpiv.FactoryManagementKey())
	return nil
}

func (s *stand) close() error {
	err := s.closeKeys()
	if s.rig != nil {
		err = errors.Join(err, s.rig.Close())
	}
	return err
}

func newCard(o options, n int) (*vpiv.Card, error) {
	if o.plain {
		return vpiv.New(vpiv.PlainPIV())
	}
	var v vpiv.Version
	if c, err := fmt.Sscanf(o.firmware, "%d.%d.%d", &v[0], &v[1], &v[2]); c != 3 || err != nil {
		return nil, fmt.Errorf("cannot understand the firmware version %q", o.firmware)
	}
	options := vpiv.YubiKey(v[0], v[1], v[2])
	options.Serial = firstSerial + uint32(n)
	return vpiv.New(options)
}

func (s *stand) help() {
	s.say("commands: insert [card|key] [N], remove [card|key] [N], touch yes|no|never|ask|MILLISECONDS, pin, status, restart, quit")
}

// loop does what the lines of in say.
func (s *stand) loop(ctx context.Context, in io.Reader) error {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for r := bufio.NewScanner(in); r.Scan(); {
			select {
			case lines <- r.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, ok := <-lines:
			if !ok {
				return nil
			}
			if s.touched(line) {
				continue
			}
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			if words[0] == "quit" {
				return nil
			}
			if err := s.do(words); err != nil {
				s.say("%v", err)
			}
		}
	}
}

func (s *stand) do(words []string) error {
	switch words[0] {
	case "insert", "remove":
		return s.move(words[0], words[1:])
	case "touch":
		if len(words) != 2 {
			return errors.New("touch what: yes, no, never, ask, or a number of milliseconds")
		}
		return s.setTouch(words[1])
	case "pin":
		for i, c := range s.cards {
			s.say("card %d: PIN tries %d, PUK tries %d", i, c.PINTries(), c.PUKTries())
		}
		for i, k := range s.keys {
			s.say("key %d: PIN tries %d", i, k.PINTries())
		}
	case "status":
		s.status()
	case "restart":
		if s.rig == nil {
			return errors.New("there is no pcscd")
		}
		return s.rig.RestartPCSCD()
	case "help":
		s.help()
	default:
		return fmt.Errorf("unknown command %q", words[0])
	}
	return nil
}

// move puts something in or pulls it out. Without a word for what it is, it is
// a card, or a key where there are no cards.
func (s *stand) move(verb string, args []string) error {
	what, all := "card", len(s.cards)
	if len(s.cards) == 0 {
		what = "key"
	}
	if len(args) > 0 && (args[0] == "card" || args[0] == "key") {
		what, args = args[0], args[1:]
	}
	if what == "key" {
		all = len(s.keys)
	}
	n := 0
	if len(args) > 0 {
		var err error
		if n, err = strconv.Atoi(args[0]); err != nil {
			n = -1
		}
	}
	if len(args) > 1 || n < 0 || n >= all {
		return fmt.Errorf("there is no %s %q", what, strings.Join(args, " "))
	}
	var err error
	switch {
	case what == "key" && verb == "remove":
		err = s.keys[n].port.Remove()
	case what == "key":
		err = s.keys[n].port.Insert(s.keys[n].Key)
	case verb == "remove":
		err = s.rig.Remove(n)
	default:
		err = s.rig.Insert(s.cards[n], n)
	}
	switch {
	case err != nil:
		return err
	case what == "key" && verb == "insert":
		s.say("key %d: inserted at %s", n, s.keys[n].port.Path())
	default:
		s.say("%s %d: %sed", what, n, strings.TrimSuffix(verb, "e"))
	}
	return nil
}

func (s *stand) status() {
	for i, c := range s.cards {
		where := "removed"
		if s.rig.Card(i) != nil {
			where = "inserted"
		}
		n := c.Counts()
		s.say("card %d: %s, firmware %s, serial number %d, keys in %x, PIN verified %v", i, where,
			c.Options().Version, c.Options().Serial, c.Slots(), c.PINVerified())
		s.say("card %d: %d commands, %d with a PIN, %d key agreements, %d other uses of keys, %d of %d touches given",
			i, n.Commands, n.PINsSeen, n.ECDHs, n.PrivateUses, n.TouchesGiven, n.TouchesAsked)
	}
	s.keyStatus()
}

// setTouch sets how all cards and keys answer to touches; each is announced.
func (s *stand) setTouch(how string) error {
	var touch vpiv.TouchFunc
	switch how {
	case "yes":
		touch = vpiv.TouchYes
	case "no":
		touch = vpiv.TouchNo
	case "never":
		touch = vpiv.TouchNever
	case "ask":
		touch = s.ask
	default:
		ms, err := strconv.Atoi(how)
		if err != nil || ms < 0 {
			return fmt.Errorf("cannot understand the touch %q", how)
		}
		touch = vpiv.TouchAfter(time.Duration(ms) * time.Millisecond)
	}
	s.setKeyTouch(how, func(ctx context.Context) bool { return touch(ctx, 0) })
	for i, c := range s.cards {
		c.SetTouch(func(ctx context.Context, slot byte) bool {
			s.say("card %d wants a touch for slot %02x (%s)", i, slot, how)
			ok := touch(ctx, slot)
			s.say("card %d: touched %v", i, ok)
			return ok
		})
	}
	return nil
}

// ask waits for Enter, which is a touch, or another line, which is a refusal.
func (s *stand) ask(ctx context.Context, _ byte) bool {
	answer := make(chan bool, 1)
	s.mu.Lock()
	s.asking = answer
	s.mu.Unlock()
	s.say("touch? (Enter for a touch, n for none)")
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.asking == answer {
			s.asking = nil
		}
	}()
	select {
	case ok := <-answer:
		return ok
	case <-ctx.Done():
		return false
	}
}

// touched takes a line as the answer to a waiting touch, if it can be one.
func (s *stand) touched(line string) bool {
	line = strings.TrimSpace(line)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asking == nil || line != "" && line != "n" && line != "y" {
		return false
	}
	s.asking <- line != "n"
	s.asking = nil
	return true
}

// say prints a line; nobody is left to be told when that fails.
func (s *stand) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintf(s.out, format+"\n", args...)
}
