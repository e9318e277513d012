package vfido

// userRequest is what makeCredential and getAssertion have in common about the
// user: what is asked, and then what is proved.
type userRequest struct {
	command    Command
	permission int
	rp         string
	hash       []byte // of the client's data
	param      []byte // pinUvAuthParam
	protocol   *int
	uv, up     bool // the options
	required   bool // a key that can verify must

	present, verified bool
}

func (u userRequest) flags() byte {
	var f byte
	if u.present {
		f |= flagUP
	}
	if u.verified {
		f |= flagUV
	}
	return f
}

// selection is the first step of both commands: an empty pinUvAuthParam lets
// the user choose among keys by a touch, and the protocol must be one of the
// key's (section 6.1.2 steps 1 and 2).
func (k *Key) selection(param []byte, protocol *int) Status {
	switch {
	case param == nil:
		return StatusOK
	case len(param) > 0:
		return k.checkProtocol(protocol)
	}
	if s := k.waitTouch(""); s != StatusOK {
		return s
	}
	if k.pin.hash == nil {
		return StatusPINNotSet
	}
	return StatusPINInvalid
}

// protected says whether the key can verify its user now.
func (k *Key) protected() bool { return k.pin.hash != nil || k.opts.UV }

// verifyUser proves the user as far as asked and needed (section 6.1.2 steps 5
// to 11, section 6.2.2 steps 4 to 6).
func (k *Key) verifyUser(u *userRequest) Status {
	if u.param != nil { // takes precedence over the option
		if s := k.checkToken(*u.protocol, u.param, u.hash, u.permission, u.rp); s != StatusOK {
			return s
		}
		u.verified, u.present = true, k.opts.Version == CTAP21 && k.token.present
		return StatusOK
	}
	if u.uv && !k.opts.UV {
		return StatusInvalidOption
	}
	always := k.opts.AlwaysUV && u.up
	if always && !k.protected() {
		return StatusPINRequired
	}
	if !u.uv && (always || u.required && k.protected()) {
		// alwaysUv looks at the finger unasked; all else must be asked for.
		if !always || !k.opts.UV {
			return StatusPINRequired
		}
	} else if !u.uv {
		return StatusOK
	}
	switch s := k.builtInUV(u.rp); s {
	case StatusOK:
		u.verified, u.present = true, true
		return StatusOK
	case StatusUVInvalid, StatusUVBlocked:
		if k.pin.hash != nil {
			return StatusPINRequired
		}
		return StatusOperationDenied
	default:
		return s
	}
}

// checkPresence wants a touch where there was none yet; the token is spent by
// it (section 6.1.2 step 14, section 6.2.2 step 9).
func (k *Key) checkPresence(u *userRequest) Status {
	if !u.up {
		return StatusOK
	}
	if !u.present {
		if s := k.waitTouch(u.rp); s != StatusOK {
			return s
		}
	}
	u.present = true
	k.spendToken()
	return StatusOK
}
