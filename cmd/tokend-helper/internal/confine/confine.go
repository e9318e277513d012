// Package confine takes from the token helper what its operation does not need,
// so that a hostile device which takes the helper over gets that operation's PIN
// and nothing else of the user's.
//
// On Linux that happens before Go's runtime starts: the package's C constructor
// reads the mode and the kind of token from the command line ("op piv", "watch
// fido2 DEVICE…"), because the kernel's rules belong to a thread and only threads
// made later inherit them. There are three layers, and each holds without the
// others, as far as the kernel has it:
//
//   - no new privileges, no core files or debuggers, no inherited descriptors;
//   - Landlock: no file may be written or made. FIDO2 reads what libudev and the
//     libraries need and uses the keys' device nodes; other kinds get no file.
//     No TCP, no abstract sockets, no signals to others;
//   - seccomp: a list of system calls that may be made, with their arguments where
//     these matter. No programs, processes, debugging or namespaces; no opening of
//     files but for FIDO2; no sockets but for PIV, which may connect to the PC/SC
//     service alone (see connect_linux.c). What is refused fails with EPERM, so that
//     a library which only tries goes on.
//
// Built without cgo, the program knows software tokens alone, and Start applies
// the same layers from Go.
package confine

// What Start says of the process. Elsewhere than on Linux it says nothing.
const (
	NoNewPrivs = "no-new-privs"
	NoCore     = "no-core"
	Landlock   = "landlock-" // a version follows
	Seccomp    = "seccomp"
	PCSCDOnly  = "pcscd-only" // connections to the PC/SC service alone
)
