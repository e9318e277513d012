//go:build windows || (cgo && (linux || darwin))

package pcsc

import (
	"errors"
	"fmt"
)

// maxAnswer is the largest short answer with its status word, in bytes, with
// room for services that count differently.
const maxAnswer = 1024

// maxChain bounds an answer that comes in parts, in bytes.
const maxChain = 64 << 10

// Status is a status word other than 9000 (ISO/IEC 7816-4, 5.6).
type Status uint16

func (s Status) Error() string { return fmt.Sprintf("the card answered %04x", uint16(s)) }

// Send sends a command, in parts where it is long, and collects the answer
// (ISO/IEC 7816-4, 5.3). It fails with a Status where the card refuses.
func (c *Card) Send(ins, p1, p2 byte, data []byte) ([]byte, error) {
	const maxPart, getResponse = 255, 0xC0
	for len(data) > maxPart {
		if _, err := c.one(append([]byte{0x10, ins, p1, p2, maxPart}, data[:maxPart]...), nil); err != nil {
			return nil, err
		}
		data = data[maxPart:]
	}
	command := []byte{0, ins, p1, p2}
	if len(data) > 0 {
		command = append(append(command, byte(len(data))), data...)
	}
	answer, err := c.one(append(command, 0), nil)
	for {
		var status Status
		if !errors.As(err, &status) || status>>8 != 0x61 {
			return answer, err
		}
		if len(answer) > maxChain {
			return nil, fmt.Errorf("the card's answer has no end")
		}
		answer, err = c.one([]byte{0, getResponse, 0, 0, 0}, answer)
	}
}

// one sends one command and appends what it answers to before.
func (c *Card) one(command, before []byte) ([]byte, error) {
	defer clear(command)
	answer, err := c.transmit(command)
	if err != nil {
		return nil, err
	}
	if len(answer) < 2 {
		return nil, fmt.Errorf("the card answered %d bytes", len(answer))
	}
	n := len(answer) - 2
	out := append(before, answer[:n]...)
	if status := Status(answer[n])<<8 | Status(answer[n+1]); status != 0x9000 {
		return out, status
	}
	return out, nil
}
