package vfido

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

const (
	// keepaliveEvery is how often a client hears of a command that is being
	// done: at least every 100 ms (section 11.2.9.1.7).
	keepaliveEvery = 80 * time.Millisecond
	// packetWithin is how long the next packet of a message may take.
	packetWithin = 500 * time.Millisecond
)

// errVanished is the end of Serve by FaultVanish.
var errVanished = errors.New("the key was pulled out")

// engine is the key's end of CTAPHID. One goroutine runs all of it but the
// commands.
type engine struct {
	key      *Key
	power    context.Context
	out      io.Writer
	channels map[uint32]bool
	last     uint32
	gather   *gathering
	running  *transaction
}

// gathering is a message of which packets are missing.
type gathering struct {
	packet
	payload []byte
	seq     byte
	until   time.Time
}

// transaction is a command being done.
type transaction struct {
	channel uint32
	cmd     Command
	abort   context.CancelFunc // power is as good as cut
	cancel  context.CancelFunc // the client does not want it any more
	state   atomic.Uint32      // what keepalives say
	changed chan struct{}      // state did; nobody waits for whoever reads it
	done    chan result
}

// say sets what keepalives say from now on.
func (t *transaction) say(state byte) {
	t.state.Store(uint32(state))
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *transaction) is(state byte) bool { return t.state.Load() == uint32(state) }

type result struct {
	out   []byte
	fault *Fault
}

// Serve speaks CTAPHID over rw until ctx ends, reading fails, or a fault has
// the key vanish: it reads output reports of 65 bytes, a report number first,
// and writes input reports of 64 bytes, as a hidraw device does. A goroutine
// that reads stays until rw is closed.
func (k *Key) Serve(ctx context.Context, rw io.ReadWriter) error {
	power, cut := context.WithCancel(ctx)
	defer cut()
	reports, failed := make(chan [packetSize]byte, 16), make(chan error, 1)
	go func() {
		var b [reportSize]byte
		for {
			if _, err := io.ReadFull(rw, b[:]); err != nil {
				failed <- err
				return
			}
			select {
			case reports <- [packetSize]byte(b[1:]):
			case <-power.Done():
				return
			}
		}
	}()
	e := &engine{key: k, power: power, out: rw, channels: map[uint32]bool{}}
	tick := time.NewTicker(keepaliveEvery)
	defer tick.Stop()
	for {
		var err error
		t := e.running
		if t == nil {
			t = &transaction{} // its channels are nil and never ready
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err = <-failed:
		case r := <-reports:
			err = e.report(parsePacket(r))
		case <-t.changed:
			if t.is(keepaliveTouch) {
				err = e.keepalive() // clients tell their user at once
			}
		case <-tick.C:
			err = errors.Join(e.expire(), e.keepalive())
		case r := <-t.done:
			err = e.finish(r)
		}
		if err != nil {
			return err
		}
	}
}

// report takes one packet in.
func (e *engine) report(p packet) error {
	switch {
	case p.init && p.cmd == CommandInit:
		return e.init(p)
	case p.channel == 0 || p.channel == broadcast || !e.channels[p.channel]:
		if !p.init {
			return nil // spurious
		}
		return e.fail(p.channel, StatusInvalidChannel)
	case p.init && p.cmd == CommandCancel:
		return e.cancel(p.channel)
	case e.running != nil || e.gather != nil && e.gather.channel != p.channel:
		if !p.init {
			return nil
		}
		return e.fail(p.channel, StatusChannelBusy)
	case !p.init:
		return e.more(p)
	case e.gather != nil:
		e.gather = nil
		return e.fail(p.channel, StatusInvalidSequence)
	case p.count > maxPayload:
		return e.fail(p.channel, StatusInvalidLength)
	}
	e.gather = &gathering{packet: p, until: time.Now().Add(packetWithin)}
	return e.gathered(p.data)
}

// more takes a continuation packet in.
func (e *engine) more(p packet) error {
	g := e.gather
	switch {
	case g == nil:
		return nil // spurious ones are ignored (section 11.2.5.4)
	case p.seq != g.seq:
		e.gather = nil
		return e.fail(p.channel, StatusInvalidSequence)
	}
	g.seq++
	g.until = time.Now().Add(packetWithin)
	return e.gathered(p.data)
}

// gathered adds to the message and does what it asks when it is whole.
func (e *engine) gathered(data []byte) error {
	g := e.gather
	g.payload = append(g.payload, data[:min(len(data), g.count-len(g.payload))]...)
	if len(g.payload) < g.count {
		return nil
	}
	e.gather = nil
	return e.whole(g.channel, g.cmd, g.payload)
}

func (e *engine) whole(channel uint32, cmd Command, payload []byte) error {
	switch {
	case cmd == CommandCBOR && e.key.opts.Version != U2FOnly:
		if len(payload) == 0 {
			return e.fail(channel, StatusInvalidLength)
		}
		e.start(channel, cmd, payload)
		return nil
	case cmd == CommandMessage && (e.key.hasU2F() || e.key.opts.Version == U2FOnly):
		e.start(channel, cmd, payload)
		return nil
	case cmd == CommandPing:
		return e.reply(channel, cmd, payload)
	case cmd == CommandWink && len(payload) == 0:
		return e.reply(channel, cmd, nil)
	case cmd == CommandWink:
		return e.fail(channel, StatusInvalidLength)
	}
	return e.fail(channel, StatusInvalidCommand)
}

// init is CTAPHID_INIT (section 11.2.9.1.3): a new channel, or an old one to
// begin afresh.
func (e *engine) init(p packet) error {
	const nonce = 8
	mine := e.running != nil && (e.running.channel == p.channel || e.key.opts.InitAborts)
	others := e.running != nil && !mine || e.gather != nil && e.gather.channel != p.channel
	switch {
	case p.channel == 0 || p.channel != broadcast && !e.channels[p.channel]:
		return e.fail(p.channel, StatusInvalidChannel)
	case p.count != nonce:
		return e.fail(p.channel, StatusInvalidLength)
	case others && !e.hopeless():
		return e.fail(p.channel, StatusChannelBusy)
	}
	if e.running != nil {
		e.running.abort()
		e.running = nil
	}
	e.gather = nil
	id := p.channel
	if id == broadcast {
		e.last++
		id = e.last<<8 | uint32(random(1)[0])
		e.channels[id] = true
	}
	out := binary.BigEndian.AppendUint32(append([]byte(nil), p.data[:nonce]...), id)
	fw := e.key.opts.Firmware
	return e.reply(p.channel, CommandInit, append(out, 2, fw[0], fw[1], fw[2], e.capabilities()))
}

// hopeless says whether what runs is a fault that nothing else would end.
func (e *engine) hopeless() bool {
	return e.running != nil && e.running.is(keepaliveForEver)
}

// capabilities are WINK, CBOR and NMSG (section 11.2.9.1.3).
func (e *engine) capabilities() byte {
	const wink, hasCBOR, noMSG = 0x01, 0x04, 0x08
	c := byte(wink)
	if e.key.opts.Version != U2FOnly {
		c |= hasCBOR
	}
	if !e.key.hasU2F() {
		c |= noMSG
	}
	return c
}

// cancel is CTAPHID_CANCEL, which has no answer (section 11.2.9.1.5).
func (e *engine) cancel(channel uint32) error {
	if t := e.running; t != nil && t.channel == channel && t.cmd == CommandCBOR && !t.is(keepaliveForEver) {
		t.cancel()
		e.key.mu.Lock()
		e.key.counts.Cancels++
		e.key.mu.Unlock()
	}
	return nil
}

// keepaliveForEver is the state of FaultKeepalive.
const keepaliveForEver byte = 0xFF

// start has a command done.
func (e *engine) start(channel uint32, cmd Command, payload []byte) {
	power, abort := context.WithCancel(e.power)
	ctx, cancel := context.WithCancel(power)
	t := &transaction{
		channel: channel, cmd: cmd, abort: abort, cancel: cancel,
		changed: make(chan struct{}, 1), done: make(chan result, 1),
	}
	e.running = t
	go func() {
		defer abort()
		var r result
		if cmd == CommandMessage {
			r.out, r.fault = e.key.message(ctx, payload)
		} else {
			r.out, r.fault = e.key.execute(ctx, payload, t.say)
		}
		t.done <- r
	}()
}

// finish answers a command.
func (e *engine) finish(r result) error {
	t := e.running
	switch {
	case r.fault.is(FaultVanish):
		return errVanished
	case r.fault.is(FaultKeepalive):
		t.done = nil
		t.say(keepaliveForEver)
		return nil
	}
	e.running = nil
	if len(r.out) == 0 {
		return nil // mute
	}
	return e.send(t.channel, t.cmd, r.out, r.fault)
}

// keepalive says that a command is being done.
func (e *engine) keepalive() error {
	t := e.running
	if t == nil || t.is(keepaliveNone) || t.cmd != CommandCBOR {
		return nil
	}
	state := byte(t.state.Load())
	if state == keepaliveForEver {
		state = keepaliveProcessing
	}
	return e.send(t.channel, CommandKeepalive, []byte{state}, nil)
}

// expire gives up a message whose packets do not come (section 11.2.5.2).
func (e *engine) expire() error {
	g := e.gather
	if g == nil || time.Now().Before(g.until) {
		return nil
	}
	e.gather = nil
	return e.fail(g.channel, StatusMessageTimeout)
}

func (e *engine) fail(channel uint32, s Status) error {
	return e.send(channel, CommandError, []byte{byte(s)}, nil)
}

// reply answers a command of CTAPHID itself, unless a fault is for it.
func (e *engine) reply(channel uint32, cmd Command, payload []byte) error {
	k := e.key
	k.mu.Lock()
	k.counts.Commands[cmd.String()]++
	f := k.takeFault(cmd, 0)
	k.mu.Unlock()
	switch {
	case f.is(FaultVanish):
		return errVanished
	case f.is(FaultMute):
		return nil
	case f.is(FaultSlow):
		sleep(e.power, f.Delay)
	case f.is(FaultKeepalive):
		e.running = &transaction{channel: channel, cmd: CommandCBOR, abort: func() {}}
		e.running.say(keepaliveForEver)
		return nil
	case f != nil && len(payload) > 0:
		payload = f.apply(payload)
	}
	return e.send(channel, cmd, payload, f)
}

func (e *engine) send(channel uint32, cmd Command, payload []byte, f *Fault) error {
	for _, p := range packets(channel, cmd, payload, f) {
		if _, err := e.out.Write(p[:]); err != nil {
			return fmt.Errorf("cannot write a packet: %w", err)
		}
	}
	return nil
}
