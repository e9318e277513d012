//go:build cgo && linux && !nofido2

package fido2

import "time"

// pinAnswer is how long a key may take to refuse a PIN. libfido2 shows the PIN and
// waits for the touch in one call, so a touch that a PIN goes before is announced
// when the key has not refused in this time.
const pinAnswer = 250 * time.Millisecond

// announcement makes one touch known. A nil one makes none known.
type announcement struct {
	k       *key
	onTouch func()
	pin     bool // a PIN goes before the touch
	told    bool
}

// announce prepares to make known the touch of a step that who is proved in.
func (k *key) announce(onTouch func(), who proof) *announcement {
	return &announcement{k: k, onTouch: onTouch, pin: who.pin != ""}
}

// start is called right before the key is asked. It makes the touch known, or
// returns what says when to.
func (a *announcement) start() <-chan time.Time {
	switch {
	case a == nil:
		return nil
	case a.pin && !a.k.pinTaken:
		return time.After(pinAnswer)
	}
	a.now()
	return nil
}

// now makes the touch known, once.
func (a *announcement) now() {
	if a == nil || a.told {
		return
	}
	a.told = true
	if a.onTouch != nil {
		a.onTouch()
	}
}

// ended is called with how the step ended. A touch that was given, denied or
// missed before it was made known is so now: each is counted.
func (a *announcement) ended(err error) {
	if a == nil {
		return
	}
	code, ok := statusOf(err)
	if err == nil || ok && !aboutPIN(code) {
		a.k.pinTaken = a.k.pinTaken || a.pin
		a.now()
	}
}

// aboutPIN says whether a status is about the PIN, or its proof.
func aboutPIN(code int) bool { return code >= statusPINInvalid && code <= statusPINPolicy }
