//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"context"
	"fmt"
	"runtime"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/piv/pcsc"
	"github.com/tokenbridge/tokend/tokens/remedy"
)

// Where Linux distributions put pcscd and the driver of USB readers. Paths are
// relative to Options.Root.
func pcscdPlaces() []string {
	return []string{"usr/sbin/pcscd", "usr/bin/pcscd", "usr/local/sbin/pcscd"}
}

func ccidPlaces() []string {
	return []string{
		"usr/lib/pcsc/drivers/ifd-ccid.bundle", "usr/lib64/pcsc/drivers/ifd-ccid.bundle",
		"usr/lib/x86_64-linux-gnu/pcsc/drivers/ifd-ccid.bundle", "usr/lib/aarch64-linux-gnu/pcsc/drivers/ifd-ccid.bundle",
		"usr/local/lib/pcsc/drivers/ifd-ccid.bundle", "usr/local/pcsc/drivers/ifd-ccid.bundle",
	}
}

// machine is whose commands mend what Diagnose finds.
func (d *Driver) machine() remedy.Machine {
	return remedy.Machine{System: runtime.GOOS, Root: d.o.Root}
}

// install is the command that installs pcscd and its driver of USB readers, if any
// is known to.
func (d *Driver) install() string {
	return d.machine().Install(remedy.Packages{
		Debian: "pcscd libccid", Fedora: "pcsc-lite pcsc-lite-ccid", SUSE: "pcsc-lite pcsc-ccid", Arch: "pcsclite ccid", Alpine: "pcsc-lite ccid",
	})
}

// Diagnose implements tokens.Diagnoser: it says why cards are not seen. A card
// that is seen and cannot be used says so itself, in List.
func (d *Driver) Diagnose(ctx context.Context) ([]tokens.Finding, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	usb := usbReaders(d.o.Root)
	x, err := pcsc.Open()
	if err != nil {
		return []tokens.Finding{d.noService(err, usb)}, nil
	}
	defer x.Close()
	names, err := x.Readers()
	if err != nil {
		return []tokens.Finding{d.noService(err, usb)}, nil
	}
	var list []tokens.Finding
	if len(names) < len(usb) {
		list = append(list, d.unseen(usb, len(names))...)
	}
	for _, name := range names {
		state := []pcsc.Reader{{Name: name}}
		if err := x.Wait(state, 0); err == nil && !state[0].New.Present() {
			list = append(list, tokens.Finding{
				Code: tokens.CodeNotPresent, Device: model(name, ""), Locator: name, Detail: "the reader has no card in it",
			})
		}
	}
	return list, nil
}

// noService says why the PC/SC service cannot be used.
func (d *Driver) noService(err error, usb []string) tokens.Finding {
	f := tokens.Finding{Code: tokens.CodeNoService, Detail: "the PC/SC service does not answer"}
	code, _ := pcscError(err)
	switch {
	case code == pcsc.ErrSecurity:
		f.Code = tokens.CodeNoAccess
		f.Detail = "pcscd does not let this program use smart cards: polkit allows it to who sits at the machine, and others need a rule for org.debian.pcsc-lite.access_pcsc and access_card"
	case runtime.GOOS != "linux":
	case !d.machine().Has(pcscdPlaces()...):
		f.Detail, f.Fix = "pcscd, the PC/SC service, is not installed", d.install()
	default:
		f.Detail, f.Fix = "pcscd, the PC/SC service, is not running", d.machine().StartCards()
	}
	if len(usb) > 0 && f.Code == tokens.CodeNoService {
		f.Detail += fmt.Sprintf(", and %q is plugged in", usb[0])
	}
	return f
}

// unseen tells of USB readers of which the service sees fewer than there are.
func (d *Driver) unseen(usb []string, readers int) []tokens.Finding {
	f := tokens.Finding{
		Code: tokens.CodeNotPresent, Fix: d.machine().RestartCards(),
		Detail: "pcscd does not see it: it was started without it, or another program (such as GnuPG's scdaemon) holds the USB device",
	}
	if !d.machine().Has(ccidPlaces()...) {
		f.Detail, f.Fix = "pcscd does not see it, for its driver of USB readers (libccid) is not installed", d.install()
	}
	if readers > 0 { // which of them it sees is not told
		f.Device = fmt.Sprintf("one of %d USB readers", len(usb))
		return []tokens.Finding{f}
	}
	var list []tokens.Finding
	for _, name := range usb[:min(len(usb), 8)] {
		f.Device = name
		list = append(list, f)
	}
	return list
}
