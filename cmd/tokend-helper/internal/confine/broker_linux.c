//go:build cgo

// The process that opens FIDO2 keys for a watch.
//
// Landlock's rules are for what is there when they are made, or for all of a
// folder: a key that is plugged in later could be permitted only along with all
// terminals and shared memory in /dev. So a watch has a second process beside
// it, which opens what is asked for when it is a FIDO2 key, and hears nothing of
// what the key says.

#define _GNU_SOURCE
#include "confine.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int broker = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

int confine_is_key(const char *path) {
	const char *name = path + strlen("/dev/");
	if (strncmp(path, "/dev/hidraw", 11) != 0 || strlen(path) > 16 || path[11] == 0 ||
	    strspn(path + 11, "0123456789") != strlen(path + 11)) {
		return 0;
	}
	char descriptor[80];
	snprintf(descriptor, sizeof descriptor, "/sys/class/hidraw/%s/device/report_descriptor", name);
	int fd = open(descriptor, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return 0;
	}
	unsigned char d[4096];
	ssize_t n = read(fd, d, sizeof d);
	close(fd);
	// The item "usage page: FIDO alliance" (USB HID 1.11, 6.2.2.7; CTAP 11.2.8.1).
	for (ssize_t i = 0; i + 3 <= n; i++) {
		if ((d[i] == 0x06 || d[i] == 0x07) && d[i + 1] == 0xd0 && d[i + 2] == 0xf1) {
			return 1;
		}
	}
	return 0;
}

static int open_device(const char *path, int flags, int ndevices, char **devices) {
	int known = confine_is_key(path);
	for (int i = 0; i < ndevices && !known; i++) {
		known = strcmp(path, devices[i]) == 0;
	}
	if (!known) {
		errno = EACCES;
		return -1;
	}
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | flags);
	struct stat st;
	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISCHR(st.st_mode))) {
		close(fd);
		errno = EACCES;
		return -1;
	}
	return fd;
}

// reply sends errno and, when that is 0, the descriptor.
static int reply(int to, int32_t error, int fd) {
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {{0}};
	struct iovec v = {.iov_base = &error, .iov_len = sizeof error};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	if (fd >= 0) {
		m.msg_control = u.space;
		m.msg_controllen = sizeof u.space;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	return sendmsg(to, &m, MSG_NOSIGNAL) >= 0;
}

// A request is a byte, NONBLOCK or another, and the path.
#define NONBLOCK 'n'
#define MAX_REQUEST 256

// serve ends when the watch does.
static void serve(int s, int ndevices, char **devices) {
	struct sealed_addresses none = {0};
	char request[MAX_REQUEST + 1];
	confine_landlock(KIND_BROKER, 0, NULL);
	confine_seccomp(KIND_BROKER, &none);
	for (ssize_t n; (n = read(s, request, MAX_REQUEST)) > 1;) {
		request[n] = 0;
		int fd = open_device(request + 1, request[0] == NONBLOCK ? O_NONBLOCK : 0, ndevices, devices);
		if (!reply(s, fd < 0 ? errno : 0, fd)) {
			break;
		}
		if (fd >= 0) {
			close(fd);
		}
	}
	_exit(0);
}

int confine_broker(int ndevices, char **devices) {
	int s[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) != 0) {
		return 0;
	}
	pid_t child = fork();
	if (child == 0) {
		// The pipes to tokend are the watch's.
		if (dup2(s[1], 0) != 0 || dup2(s[1], 1) != 1 || dup2(s[1], 2) != 2 || close(s[0]) != 0 || close(s[1]) != 0) {
			_exit(1);
		}
		serve(0, ndevices, devices);
	}
	close(s[1]);
	if (child < 0) {
		close(s[0]);
		return 0;
	}
	broker = s[0];
	return 1;
}

// ask has the broker open path.
static int ask(const char *path, int flags) {
	int32_t error = EIO;
	int fd = -1;
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {{0}};
	struct iovec v = {.iov_base = &error, .iov_len = sizeof error};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = u.space, .msg_controllen = sizeof u.space};
	char request[MAX_REQUEST];
	size_t n = strlen(path) + 1;
	if (n > sizeof request) {
		errno = ENAMETOOLONG;
		return -1;
	}
	request[0] = (flags & O_NONBLOCK) != 0 ? NONBLOCK : ' ';
	memcpy(request + 1, path, n - 1);
	pthread_mutex_lock(&turn);
	if (write(broker, request, n) == (ssize_t)n && recvmsg(broker, &m, MSG_CMSG_CLOEXEC) == sizeof error && error == 0) {
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd)) {
			memcpy(&fd, CMSG_DATA(c), sizeof fd);
		}
	}
	pthread_mutex_unlock(&turn);
	if (fd < 0) {
		errno = error != 0 ? error : EIO;
	}
	return fd;
}

static int open_any(const char *name, const char *path, int flags, mode_t mode) {
	int (*next)(const char *, int, ...);
	if (broker >= 0 && (flags & O_ACCMODE) == O_RDWR && strncmp(path, "/sys/", 5) != 0) {
		return ask(path, flags);
	}
	*(void **)&next = dlsym(RTLD_NEXT, name);
	return next(path, flags, mode);
}

static mode_t mode_of(int flags, va_list args) {
	return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

// open and open64 stand in for the C library's, so that libfido2 asks the broker.
int open(const char *path, int flags, ...) {
	va_list args;
	va_start(args, flags);
	mode_t mode = mode_of(flags, args);
	va_end(args);
	return open_any("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
	va_list args;
	va_start(args, flags);
	mode_t mode = mode_of(flags, args);
	va_end(args);
	return open_any("open64", path, flags, mode);
}
