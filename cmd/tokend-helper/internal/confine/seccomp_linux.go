//go:build linux && !cgo

package confine

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The offsets of struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
	dataArgs   = 16
)

const (
	refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	// absent is the answer to what has its arguments in memory, where no filter
	// sees them.
	absent = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// calls is what Go's runtime and a software token need: descriptors that are
// open, memory, threads, time.
func calls() []uint32 {
	return append(machineCalls(),
		unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64,
		unix.SYS_CLOSE, unix.SYS_LSEEK, unix.SYS_FSTAT, unix.SYS_PPOLL, unix.SYS_PSELECT6, unix.SYS_EPOLL_CREATE1,
		unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PIPE2, unix.SYS_DUP3,
		unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MADVISE, unix.SYS_BRK, unix.SYS_MINCORE,
		unix.SYS_MEMBARRIER, unix.SYS_FUTEX, unix.SYS_SET_ROBUST_LIST, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
		unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK,
		unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL, unix.SYS_NANOSLEEP,
		unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_TIMER_CREATE,
		unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE, unix.SYS_SETITIMER, unix.SYS_GETPID, unix.SYS_GETTID,
		unix.SYS_GETPPID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_UNAME,
		unix.SYS_SYSINFO, unix.SYS_GETRUSAGE, unix.SYS_GETRANDOM)
}

// filter is the program that judges every system call; nil on other machines
// than those it was thought out for.
func filter(pid int) []unix.SockFilter {
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if arch == 0 {
		return nil
	}
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	jump := func(test uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	answer := func(what uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: what}
	}
	p := []unix.SockFilter{
		load(dataArch), jump(unix.BPF_JEQ, arch, 1, 0), answer(refuse),
		load(dataNumber),
		jump(unix.BPF_JGE, 0x40000000, 0, 1), answer(refuse), // x32, which shares its machine's name
	}
	for _, nr := range calls() {
		p = append(p, jump(unix.BPF_JEQ, nr, 0, 1), answer(unix.SECCOMP_RET_ALLOW))
	}
	// argument permits nr where one of its first arguments is k, or has all bits of k.
	argument := func(nr uint32, arg uint32, test uint16, k uint32) {
		p = append(p, jump(unix.BPF_JEQ, nr, 0, 4), load(dataArgs+8*arg), jump(test, k, 0, 1),
			answer(unix.SECCOMP_RET_ALLOW), answer(refuse))
	}
	argument(unix.SYS_CLONE, 0, unix.BPF_JSET, unix.CLONE_THREAD)
	argument(unix.SYS_TGKILL, 0, unix.BPF_JEQ, uint32(pid))
	argument(unix.SYS_KILL, 0, unix.BPF_JEQ, uint32(pid))
	argument(unix.SYS_PRLIMIT64, 0, unix.BPF_JEQ, 0)
	argument(unix.SYS_PRCTL, 0, unix.BPF_JEQ, unix.PR_SET_VMA) // names for mappings
	for _, nr := range []uint32{unix.SYS_MMAP, unix.SYS_MPROTECT} {
		p = append(p, jump(unix.BPF_JEQ, nr, 0, 4), load(dataArgs+8*2), jump(unix.BPF_JSET, unix.PROT_EXEC, 1, 0),
			answer(unix.SECCOMP_RET_ALLOW), answer(refuse))
	}
	p = append(p, jump(unix.BPF_JEQ, unix.SYS_FCNTL, 0, 4), load(dataArgs+8), jump(unix.BPF_JGT, unix.F_SETFL, 1, 0),
		answer(unix.SECCOMP_RET_ALLOW), answer(refuse))
	return append(p, jump(unix.BPF_JEQ, unix.SYS_CLONE3, 0, 1), answer(absent), answer(refuse))
}

// seccomp loads the filter for all threads at once, and says whether it holds.
func seccomp() bool {
	p := filter(os.Getpid())
	if p == nil {
		return false
	}
	program := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	// A positive answer is the number of a thread that could not be had along.
	r, _, errno := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	return errno == 0 && r == 0
}
