package message

import (
	"crypto/subtle"
	"fmt"
	"io"
)

// The numbers that are compared on two devices have two digits.
const (
	leastNumber = 10
	mostNumber  = 99
)

// NewNumber makes a number for a user to read on one device and type on another:
// one in 90 is guessed, so one wrong answer must end the question.
func NewNumber(random io.Reader) (int, error) {
	const count = mostNumber - leastNumber + 1
	for {
		var b [1]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return 0, fmt.Errorf("cannot choose a number: %w", err)
		}
		// 180 is the largest multiple of 90 that a byte holds.
		if b[0] < 2*count {
			return leastNumber + int(b[0])%count, nil
		}
	}
}

// SameNumber compares the number that was chosen with the one that was typed.
func SameNumber(chosen, typed int) bool {
	valid := chosen >= leastNumber && chosen <= mostNumber
	return subtle.ConstantTimeEq(int32(chosen), int32(typed)) == 1 && valid
}
