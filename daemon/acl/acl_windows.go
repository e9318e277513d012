package acl

import (
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"
)

// trustedInstaller owns what the system has installed: NT SERVICE\TrustedInstaller.
const trustedInstaller = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"

// What lets somebody change a file or folder, or who may: besides writing and
// deleting, to replace what is in a folder and to take the rest of the rights.
const changes = windows.FILE_WRITE_DATA | windows.FILE_APPEND_DATA | windows.FILE_WRITE_EA | windows.FILE_WRITE_ATTRIBUTES | fileDeleteChild |
	windows.DELETE | windows.WRITE_DAC | windows.WRITE_OWNER | windows.GENERIC_WRITE | windows.GENERIC_ALL

// What lets somebody read it.
const reads = windows.FILE_READ_DATA | windows.GENERIC_READ | windows.GENERIC_ALL

const fileDeleteChild = 0x40

// Kinds of entries in an access list, winnt.h. Conditional ones and those of
// directory services are counted as if their condition held.
const (
	aceAllowed         = 0x0
	aceAllowedObject   = 0x5
	aceAllowedCallback = 0x9
)

// Changers returns the SIDs of those who may change the file or folder at path and
// are neither this process's user nor the system, an administrator or the system's
// installer; a stranger who owns it is one of them.
func Changers(path string) ([]string, error) { return strangers(path, changes) }

// ChangersOf does the same for a file that is open, which so is the one that is looked
// at, whatever is at its path by now.
func ChangersOf(f *os.File) ([]string, error) {
	own, err := user()
	if err != nil {
		return nil, err
	}
	sd, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return nil, fmt.Errorf("cannot read the access list of %s: %w", f.Name(), err)
	}
	list, err := among(sd, own, changes)
	if err != nil {
		return nil, fmt.Errorf("cannot read the access list of %s: %w", f.Name(), err)
	}
	return list, nil
}

// Readers does the same for those who may read it.
func Readers(path string) ([]string, error) { return strangers(path, reads) }

func strangers(path string, mask windows.ACCESS_MASK) ([]string, error) {
	own, err := user()
	if err != nil {
		return nil, err
	}
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return nil, fmt.Errorf("cannot read the access list of %s: %w", path, err)
	}
	list, err := among(sd, own, mask)
	if err != nil {
		return nil, fmt.Errorf("cannot read the access list of %s: %w", path, err)
	}
	return list, nil
}

// among does the same for a descriptor, where own is the process's user.
func among(sd *windows.SECURITY_DESCRIPTOR, own *windows.SID, mask windows.ACCESS_MASK) ([]string, error) {
	owner, _, err := sd.Owner()
	if err != nil {
		return nil, err
	}
	var list []string
	add := func(sid *windows.SID) {
		if !trusted(sid, own) && !slices.Contains(list, sid.String()) {
			list = append(list, sid.String())
		}
	}
	add(owner) // who can always take every right
	dacl, _, err := sd.DACL()
	if err != nil || dacl == nil { // there is none: everybody may do everything
		return append(list, "S-1-1-0"), nil
	}
	for i := range uint32(dacl.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(dacl, i, &ace); err != nil {
			return nil, err
		}
		if ace.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0 || ace.Mask&mask == 0 {
			continue
		}
		switch ace.Header.AceType {
		case aceAllowed, aceAllowedCallback:
			add((*windows.SID)(unsafe.Pointer(&ace.SidStart)))
		case aceAllowedObject:
			add(everyone()) // not on files; whoever it is, he is not known
		}
	}
	return list, nil
}

func everyone() *windows.SID {
	sid, err := windows.CreateWellKnownSid(windows.WinWorldSid)
	if err != nil {
		return new(windows.SID)
	}
	return sid
}

// trusted says whether sid is whom every file is open to anyway. The owner's rights
// and the one who makes a file stand for others, who are looked at themselves.
func trusted(sid, own *windows.SID) bool {
	return sid.Equals(own) || sid.IsWellKnown(windows.WinLocalSystemSid) || sid.IsWellKnown(windows.WinBuiltinAdministratorsSid) ||
		sid.IsWellKnown(windows.WinCreatorOwnerRightsSid) || sid.IsWellKnown(windows.WinCreatorOwnerSid) || sid.String() == trustedInstaller
}

// Protect gives a folder an access list of its own, which what is made in it
// inherits: this process's user, the system and administrators may do everything,
// and nobody else anything.
func Protect(dir string) error {
	own, err := user()
	if err != nil {
		return err
	}
	sd, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;" + own.String() + ")")
	if err != nil {
		return fmt.Errorf("cannot protect %s: %w", dir, err)
	}
	dacl, _, err := sd.DACL()
	if err == nil {
		const what = windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION
		err = windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, what, nil, nil, dacl, nil)
	}
	if err != nil {
		return fmt.Errorf("cannot protect %s: %w", dir, err)
	}
	return nil
}

// Mending is the command that does the same by hand to all that is in a folder.
func Mending(dir string) string {
	own, err := user()
	if err != nil {
		return ""
	}
	return fmt.Sprintf(`icacls "%s" /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F *%s:(OI)(CI)F`, dir, own)
}

func user() (*windows.SID, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("cannot read the own token: %w", err)
	}
	return u.User.Sid.Copy()
}
