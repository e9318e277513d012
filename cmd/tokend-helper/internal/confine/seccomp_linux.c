//go:build cgo

// The system calls that the process may make.

#define _GNU_SOURCE
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#ifndef ARCH

int confine_seccomp(int kind, const struct sealed_addresses *s) {
	(void)kind, (void)s;
	return 0;
}

#else

#define REFUSE (SECCOMP_RET_ERRNO | EPERM)
#define UNKNOWN (SECCOMP_RET_ERRNO | ENOSYS)

// LAST_OLD is the newest system call that is refused with EPERM. To what a later
// C library tries beyond it, the kernel seems not to have it.
#define LAST_OLD 448

// Written out, because headers are older than kernels.
#define NR_CLOSE_RANGE 436
#define NR_FACCESSAT2 439
#define NR_EPOLL_PWAIT2 441
#define SET_VMA 0x53564d41 // PR_SET_VMA: names for mappings

// A program is a filter that is being written. Where it gets too long it is
// not loaded.
#define MAX_CODE 512U

struct program {
	struct sock_filter code[MAX_CODE];
	unsigned n;
};

static void emit(struct program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf) {
	if (p->n < MAX_CODE) {
		p->code[p->n] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
	}
	p->n++;
}

static void load(struct program *p, size_t offset) { emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0); }

static void answer(struct program *p, uint32_t what) { emit(p, BPF_RET | BPF_K, what, 0, 0); }

// The halves of an argument; both machines are little-endian.
#define LOW(arg) (offsetof(struct seccomp_data, args) + 8 * (size_t)(arg))
#define HIGH(arg) (LOW(arg) + 4)

// allow lets a system call through.
static void allow(struct program *p, int nr) {
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1);
	answer(p, SECCOMP_RET_ALLOW);
}

// A rule for the arguments of one system call begins with begin, which returns
// where, and ends with end: what comes between answers where it is sure, and
// what is left gets end's answer.
static unsigned begin(struct program *p, int nr) {
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 0);
	return p->n - 1;
}

static void end(struct program *p, unsigned at, uint32_t what) {
	answer(p, what);
	unsigned skip = p->n - at - 1;
	if (p->n > MAX_CODE || skip > 255) {
		p->n = MAX_CODE + 1;
		return;
	}
	p->code[at].jf = (uint8_t)skip;
}

// when_equal answers when the word at offset has the value.
static void when_equal(struct program *p, size_t offset, uint32_t value, uint32_t what) {
	load(p, offset);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	answer(p, what);
}

// unless_equal answers when the word at offset has another value.
static void unless_equal(struct program *p, size_t offset, uint32_t value, uint32_t what) {
	load(p, offset);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
	answer(p, what);
}

// when_any answers when the word at offset has one of the bits.
static void when_any(struct program *p, size_t offset, uint32_t bits, uint32_t what) {
	load(p, offset);
	emit(p, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
	answer(p, what);
}

static const int everybody[] = {
	// Descriptors that are open.
	SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_close, SYS_lseek, SYS_fstat,
	SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_eventfd2, SYS_pipe2,
	SYS_dup, SYS_dup3, NR_CLOSE_RANGE, NR_EPOLL_PWAIT2,
	// Memory of its own; what else there is of that has rules.
	SYS_madvise, SYS_brk, SYS_mincore, SYS_membarrier,
	// Threads, signals to itself, time.
	SYS_futex, SYS_set_robust_list, SYS_set_tid_address, SYS_exit, SYS_exit_group, SYS_sched_yield,
	SYS_sched_getaffinity, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigtimedwait,
	SYS_sigaltstack, SYS_restart_syscall, SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime,
	SYS_clock_getres, SYS_gettimeofday, SYS_timer_create, SYS_timer_settime, SYS_timer_delete, SYS_setitimer,
	SYS_timerfd_create, SYS_timerfd_settime,
	// What it is.
	SYS_getpid, SYS_gettid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_uname,
	SYS_sysinfo, SYS_getrusage, SYS_getrlimit, SYS_getrandom,
#ifdef SYS_rseq
	SYS_rseq,
#endif
#ifdef __x86_64__
	SYS_poll, SYS_select, SYS_epoll_create, SYS_epoll_wait, SYS_eventfd, SYS_pipe, SYS_dup2, SYS_time, SYS_arch_prctl,
#endif
};

// with_names is for kinds whose libraries look whether files are there.
static const int with_names[] = {
	SYS_newfstatat, SYS_faccessat, NR_FACCESSAT2, SYS_readlinkat, SYS_getcwd, SYS_statfs, SYS_fstatfs,
#ifdef SYS_statx
	SYS_statx,
#endif
#ifdef __x86_64__
	SYS_stat, SYS_lstat, SYS_access, SYS_readlink,
#endif
};

// with_files is for the kind that opens files; which, Landlock says.
static const int with_files[] = {
	SYS_getdents64, SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch, SYS_flock,
	SYS_name_to_handle_at, SYS_recvmsg, // from the broker
};

static void allow_all(struct program *p, const int *nr, size_t n) {
	for (size_t i = 0; i < n; i++) {
		allow(p, nr[i]);
	}
}

#define ALLOW_ALL(p, list) allow_all(p, list, sizeof(list) / sizeof(list)[0])

// off_the_page refuses a range that may touch the page of addresses. With less
// than 4 GiB, only one that begins in its zone or the one before can.
static void off_the_page(struct program *p, int address, int length) {
	when_equal(p, HIGH(address), ADDRESS_ZONE, REFUSE);
	when_equal(p, HIGH(address), ADDRESS_ZONE - 1, REFUSE);
	if (length >= 0) {
		// A longer one must begin behind.
		load(p, HIGH(length));
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0);
		load(p, HIGH(address));
		emit(p, BPF_JMP | BPF_JGT | BPF_K, ADDRESS_ZONE, 1, 0);
		answer(p, REFUSE);
	}
}

// memory keeps the page of addresses as it is where the kernel does not do so,
// and, for who loads no libraries any more, code as it is.
static void memory(struct program *p, int kind, const struct sealed_addresses *s) {
	int guard = s->page != NULL && !s->mseal;
	unsigned at = begin(p, SYS_mmap);
	if (kind != KIND_FIDO2) {
		when_any(p, LOW(2), PROT_EXEC, REFUSE);
	}
	if (guard) {
		load(p, LOW(3));
		emit(p, BPF_JMP | BPF_JSET | BPF_K, MAP_FIXED, 1, 0);
		answer(p, SECCOMP_RET_ALLOW);
		off_the_page(p, 0, 1);
	}
	end(p, at, SECCOMP_RET_ALLOW);
	at = begin(p, SYS_mprotect);
	if (kind != KIND_FIDO2) {
		when_any(p, LOW(2), PROT_EXEC, REFUSE);
	}
	if (guard) {
		off_the_page(p, 0, 1);
	}
	end(p, at, SECCOMP_RET_ALLOW);
	at = begin(p, SYS_munmap);
	if (guard) {
		off_the_page(p, 0, 1);
	}
	end(p, at, SECCOMP_RET_ALLOW);
	at = begin(p, SYS_mremap);
	if (guard) {
		off_the_page(p, 0, 1);
		unless_equal(p, HIGH(2), 0, REFUSE);
		off_the_page(p, 4, -1);
	}
	end(p, at, SECCOMP_RET_ALLOW);
}

// files permits opening what is there. That no file is written, made or emptied is
// Landlock's to hold; where there is none, this keeps what it can.
static void files(struct program *p) {
	const uint32_t changes = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND;
	unsigned at = begin(p, SYS_openat);
	when_any(p, LOW(2), changes, REFUSE);
	end(p, at, SECCOMP_RET_ALLOW);
#ifdef __x86_64__
	at = begin(p, SYS_open);
	when_any(p, LOW(1), changes, REFUSE);
	end(p, at, SECCOMP_RET_ALLOW);
#endif
	at = begin(p, 437 /* openat2 */); // its flags lie in memory
	end(p, at, UNKNOWN);
}

// threads permits threads, and signals to itself.
static void threads(struct program *p) {
	const uint32_t self = (uint32_t)getpid();
	unsigned at = begin(p, SYS_clone);
	when_any(p, LOW(0), CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET, REFUSE);
	when_any(p, LOW(0), CLONE_THREAD, SECCOMP_RET_ALLOW);
	end(p, at, REFUSE);
	// Its flags lie in memory, where no filter sees them; the C library then
	// takes clone.
	at = begin(p, 435 /* clone3 */);
	end(p, at, UNKNOWN);
	const int own[] = {SYS_tgkill, SYS_kill};
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
		at = begin(p, own[i]);
		when_equal(p, LOW(0), self, SECCOMP_RET_ALLOW);
		end(p, at, REFUSE);
	}
	at = begin(p, SYS_prlimit64);
	when_equal(p, LOW(0), 0, SECCOMP_RET_ALLOW);
	when_equal(p, LOW(0), self, SECCOMP_RET_ALLOW);
	end(p, at, REFUSE);
	at = begin(p, SYS_prctl);
	when_equal(p, LOW(0), PR_SET_NAME, SECCOMP_RET_ALLOW);
	when_equal(p, LOW(0), PR_GET_NAME, SECCOMP_RET_ALLOW);
	when_equal(p, LOW(0), PR_GET_DUMPABLE, SECCOMP_RET_ALLOW);
	when_equal(p, LOW(0), SET_VMA, SECCOMP_RET_ALLOW);
	end(p, at, REFUSE);
}

// control refuses what would send signals to others or type into terminals.
static void control(struct program *p, int kind) {
	const uint32_t signals[] = {F_SETOWN, F_SETSIG, 15 /* F_SETOWN_EX */, F_NOTIFY, F_SETLEASE};
	unsigned at = begin(p, SYS_fcntl);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		when_equal(p, LOW(1), signals[i], REFUSE);
	}
	end(p, at, SECCOMP_RET_ALLOW);
	const uint32_t bad[] = {TIOCSTI, TIOCLINUX, TIOCSCTTY, FIOSETOWN, SIOCSPGRP};
	at = begin(p, SYS_ioctl);
	if (kind != KIND_FIDO2) {
		when_equal(p, LOW(1), TCGETS, SECCOMP_RET_ALLOW); // isatty
		end(p, at, REFUSE);
		return;
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		when_equal(p, LOW(1), bad[i], REFUSE);
	}
	end(p, at, SECCOMP_RET_ALLOW);
}

// sockets permits a connection to the PC/SC service and to nobody else. The
// service's addresses are pointers: see connect_linux.c. Where that page cannot
// be had, any unix socket can be connected to.
static void sockets(struct program *p, const struct sealed_addresses *s) {
	unsigned at = begin(p, SYS_socket);
	unless_equal(p, LOW(0), AF_UNIX, REFUSE);
	load(p, LOW(1));
	emit(p, BPF_ALU | BPF_AND | BPF_K, ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK), 0, 0);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 0, 1);
	answer(p, SECCOMP_RET_ALLOW);
	end(p, at, REFUSE);
	at = begin(p, SYS_connect);
	if (s->page != NULL) {
		unless_equal(p, LOW(2), sizeof(struct sockaddr_un), REFUSE);
		unless_equal(p, HIGH(1), ADDRESS_ZONE, REFUSE);
		for (int i = 0; i < s->count; i++) {
			when_equal(p, LOW(1), (uint32_t)(uintptr_t)s->address[i], SECCOMP_RET_ALLOW);
		}
	}
	end(p, at, s->page != NULL ? REFUSE : SECCOMP_RET_ALLOW);
	at = begin(p, SYS_sendto);
	unless_equal(p, LOW(4), 0, REFUSE);
	unless_equal(p, HIGH(4), 0, REFUSE);
	end(p, at, SECCOMP_RET_ALLOW);
	const int plain[] = {SYS_recvfrom, SYS_shutdown, SYS_getsockopt, SYS_getsockname, SYS_getpeername};
	ALLOW_ALL(p, plain);
}

static void head(struct program *p) {
	load(p, offsetof(struct seccomp_data, arch));
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	answer(p, REFUSE);
	load(p, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	// x32, whose calls share the machine's name.
	emit(p, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
	answer(p, REFUSE);
#endif
}

int confine_seccomp(int kind, const struct sealed_addresses *s) {
	static struct program p;
	head(&p);
	ALLOW_ALL(&p, everybody);
	if (kind != KIND_SOFT) {
		ALLOW_ALL(&p, with_names);
	}
	if (kind == KIND_FIDO2 || kind == KIND_BROKER) {
		ALLOW_ALL(&p, with_files);
		files(&p);
	}
	if (kind == KIND_BROKER) {
		allow(&p, SYS_sendmsg);
	}
	memory(&p, kind, s);
	threads(&p);
	control(&p, kind);
	if (kind == KIND_PIV) {
		sockets(&p, s);
	}
	emit(&p, BPF_JMP | BPF_JGT | BPF_K, LAST_OLD, 0, 1);
	answer(&p, UNKNOWN);
	answer(&p, REFUSE);
	if (p.n > MAX_CODE) {
		return 0;
	}
	struct sock_fprog prog = {.len = (unsigned short)p.n, .filter = p.code};
	// This is the only thread yet.
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) == 0;
}

#endif
