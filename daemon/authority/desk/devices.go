package desk

import (
	"context"
	"errors"

	"github.com/tokenbridge/tokend/ipc"
)

// UserDevices implements [ipc.UserDevices].
func (d *Desk) UserDevices(ctx context.Context, p ipc.Principal, r ipc.UserRef) (ipc.UserDeviceList, error) {
	c, err := d.require(ctx, p, actLook, ofUser(r.User), helpers()...)
	if err != nil {
		return ipc.UserDeviceList{}, err
	}
	list, err := c.devices(r.User)
	if err != nil {
		return ipc.UserDeviceList{}, d.failed(err)
	}
	return ipc.UserDeviceList{Version: ipc.Version, Devices: list}, nil
}

func (c *caller) devices(user string) ([]ipc.UserDevice, error) {
	u, err := c.authority.User(user)
	if err != nil {
		return nil, err
	}
	devices, err := c.issuer.Devices(u.ID)
	if err != nil {
		return nil, err
	}
	accounts, err := c.issuer.Accounts(user)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, a := range accounts {
		names[a.ID] = a.Label
	}
	out := make([]ipc.UserDevice, 0, len(devices))
	for _, x := range devices {
		w := ipc.UserDevice{ID: x.ID, UserID: x.User, User: u.Name, Name: x.Name, State: ipc.DeviceState(x.State),
			First: wireTime(x.First), Last: wireTime(x.Last), Accounts: []ipc.DeviceAccount{}}
		for _, id := range x.Accounts {
			w.Accounts = append(w.Accounts, ipc.DeviceAccount{ID: id, Name: names[id]})
		}
		out = append(out, w)
	}
	return out, nil
}

// UserDevice implements [ipc.UserDevices].
func (d *Desk) UserDevice(ctx context.Context, p ipc.Principal, id string) (ipc.UserDevice, error) {
	c, err := d.require(ctx, p, actLook, ofDevice(id), helpers()...)
	if err != nil {
		return ipc.UserDevice{}, err
	}
	x, err := c.device(id)
	if err != nil {
		return ipc.UserDevice{}, d.failed(err)
	}
	return x, nil
}

func (c *caller) device(id string) (ipc.UserDevice, error) {
	x, err := c.issuer.Device(id)
	if err != nil {
		return ipc.UserDevice{}, err
	}
	list, err := c.devices(x.User)
	if err != nil {
		return ipc.UserDevice{}, err
	}
	for _, w := range list {
		if w.ID == x.ID {
			return w, nil
		}
	}
	return ipc.UserDevice{}, errors.New("a device is not in its user's list")
}

// title is what a user's devices are told of the caller: what he is, and not who.
func (c *caller) title() string {
	if c.rank() == rankHelpdesk {
		return "the help desk"
	}
	return "an administrator"
}

// RevokeUserDevice implements [ipc.UserDevices]. The device is told that an
// administrator or the help desk did it, and not who.
func (d *Desk) RevokeUserDevice(ctx context.Context, p ipc.Principal, id string) (ipc.UserDevice, error) {
	c, err := d.require(ctx, p, actDeviceOff, ofDevice(id), helpers()...)
	if err != nil {
		return ipc.UserDevice{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	x, err := c.issuer.Device(id)
	if err == nil {
		_, err = c.changeable(actDeviceOff, x.User)
	}
	if err == nil {
		err = c.issuer.RevokeDevice(c.by, c.title(), id)
	}
	var out ipc.UserDevice
	if err == nil {
		out, err = c.device(id)
	}
	if err != nil {
		return ipc.UserDevice{}, d.failed(err)
	}
	return out, nil
}
