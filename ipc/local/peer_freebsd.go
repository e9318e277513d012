package local

import "golang.org/x/sys/unix"

// peerOf asks for the credentials that the kernel noted at connect and listen.
func peerOf(fd int) (credentials, error) {
	x, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return credentials{}, err
	}
	return credentials{uid: x.Uid}, nil
}

// overflowUID is FreeBSD's nobody, whom network file systems name: there are no
// user namespaces.
func overflowUID() uint32 { return 65534 }

func programName(int) string { return "" }
