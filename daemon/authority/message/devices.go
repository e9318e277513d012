package message

// DeviceList is the user's devices. So that it fits a message whatever they are
// called, each account is named once.
type DeviceList struct {
	Devices  []OwnDevice `cbor:"1,keyasint,omitempty"`
	Accounts []string    `cbor:"2,keyasint,omitempty"` // as people call them
}

// OwnDevice is one of them.
type OwnDevice struct {
	ID    ID     `cbor:"1,keyasint"`
	Name  string `cbor:"2,keyasint"` // its own word
	State string `cbor:"3,keyasint"` // active or revoked
	// This is set of the device that asks.
	This  bool  `cbor:"4,keyasint,omitempty"`
	First int64 `cbor:"5,keyasint"` // seconds since 1970
	Last  int64 `cbor:"6,keyasint"` // to within an hour
	// Has are the places, in the list of accounts, of those that it has.
	Has []int `cbor:"7,keyasint,omitempty"`
}

// AccountsOf are the names of the accounts that a device of the list has.
func (l *DeviceList) AccountsOf(d OwnDevice) []string {
	out := make([]string, 0, len(d.Has))
	for _, n := range d.Has {
		out = append(out, l.Accounts[n])
	}
	return out
}

func (l *DeviceList) check() error {
	for _, a := range l.Accounts {
		if err := text("account", a, 1, 2*maxName); err != nil {
			return err
		}
	}
	for _, d := range l.Devices {
		if err := d.check(len(l.Accounts)); err != nil {
			return err
		}
	}
	return few(len(l.Accounts), len(l.Devices))
}

func (d *OwnDevice) check(accounts int) error {
	if d.ID == (ID{}) || d.State != "active" && d.State != "revoked" {
		return because(ErrMalformed, "device")
	}
	for n, a := range d.Has {
		if a < 0 || a >= accounts || n > 0 && a <= d.Has[n-1] {
			return because(ErrMalformed, "accounts of a device")
		}
	}
	return first(text("device name", d.Name, 1, maxName), moment(d.First), moment(d.Last))
}
