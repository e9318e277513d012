package secret

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// werFlags are WER_FAULT_REPORTING_FLAG_NOHEAP and …_NO_UI of werapi.h: reports
// hold no heap, and nobody is asked.
const werFlags = 0x01 | 0x20

// HardenProcess keeps the process's heap out of Windows Error Reporting and
// crash dialogs away. A dump that an administrator asks for is still made, and
// processes of the same user can still read its memory. Call it first thing,
// before any secret is read.
func HardenProcess() error {
	const quiet = windows.SEM_FAILCRITICALERRORS | windows.SEM_NOGPFAULTERRORBOX
	windows.SetErrorMode(windows.SetErrorMode(quiet) | quiet)
	set := windows.NewLazySystemDLL("kernel32.dll").NewProc("WerSetFlags")
	if err := set.Find(); err != nil {
		return fmt.Errorf("cannot restrict error reports: %w", err)
	}
	if hr, _, _ := set.Call(werFlags); hr != 0 {
		return fmt.Errorf("cannot restrict error reports: HRESULT 0x%08x", uint32(hr))
	}
	return nil
}
