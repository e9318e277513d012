//go:build cgo

// The one address that the process may connect to.
//
// A filter of system calls sees the address of an address, not what is there.
// So the address of the PC/SC service lies in a page that can no longer be
// written, replaced or moved, the filter permits connect with a pointer into
// that page alone, and the connect of this file, which libpcsclite finds before
// the C library's, hands that pointer on.

#define _GNU_SOURCE
#include "confine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef SYS_mseal
#define SYS_mseal 462 // the same on every machine
#endif

static struct sealed_addresses sealed;

// put writes one address; false when it is none.
static int put(struct sealed_addresses *s, const char *path) {
	struct sockaddr_un *a = (struct sockaddr_un *)((char *)s->page + (size_t)s->count * 256);
	if (path[0] != '/' || strlen(path) >= sizeof a->sun_path) {
		return 0;
	}
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path, path, strlen(path) + 1);
	s->address[s->count++] = a;
	return 1;
}

void confine_seal(struct sealed_addresses *s) {
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *want = (void *)(ADDRESS_ZONE << 32 | 0x80000000UL);
	void *page = mmap(want, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (page == MAP_FAILED) {
		return;
	}
	s->page = page;
	const char *told = getenv("PCSCLITE_CSOCK_NAME");
	if (told != NULL && told[0] != 0) {
		put(s, told);
	} else {
		put(s, "/run/pcscd/pcscd.comm");
		put(s, "/var/run/pcscd/pcscd.comm");
	}
	// A kernel before 4.17 takes the address for a hint.
	if (page != want || mprotect(page, size, PROT_READ) != 0) {
		munmap(page, size);
		memset(s, 0, sizeof *s);
		return;
	}
	s->mseal = syscall(SYS_mseal, page, size, 0UL) == 0;
	sealed = *s;
}

// connect stands in for the C library's.
int connect(int fd, const struct sockaddr *a, socklen_t n) {
	if (sealed.page == NULL) {
		return (int)syscall(SYS_connect, fd, a, n);
	}
	const struct sockaddr_un *u = (const struct sockaddr_un *)a;
	if (a != NULL && n >= offsetof(struct sockaddr_un, sun_path) + 2 && n <= sizeof *u && a->sa_family == AF_UNIX) {
		size_t len = strnlen(u->sun_path, n - offsetof(struct sockaddr_un, sun_path));
		for (int i = 0; i < sealed.count; i++) {
			const struct sockaddr_un *k = sealed.address[i];
			if (strlen(k->sun_path) == len && memcmp(k->sun_path, u->sun_path, len) == 0) {
				return (int)syscall(SYS_connect, fd, k, sizeof *k);
			}
		}
	}
	errno = EACCES;
	return -1;
}
