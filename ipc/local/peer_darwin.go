package local

import "golang.org/x/sys/unix"

func peerOf(fd int) (credentials, error) {
	x, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return credentials{}, err
	}
	pid, err := unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	if err != nil {
		pid = 0 // for display only
	}
	return credentials{uid: x.Uid, pid: pid}, nil
}

// overflowUID is macOS's nobody (-2): there are no user namespaces, and nobody
// is nobody's account.
func overflowUID() uint32 { return 0xfffffffe }

func programName(pid int) string {
	if pid <= 0 {
		return ""
	}
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(k.Proc.P_comm[:])
}
