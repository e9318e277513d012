//go:build cgo

// The files that the process may use.

#define _GNU_SOURCE
#include "confine.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Written out here, because headers are older than kernels. The numbers of the
// system calls are the same on every machine.
#define NR_LANDLOCK_CREATE_RULESET 444
#define NR_LANDLOCK_ADD_RULE 445
#define NR_LANDLOCK_RESTRICT_SELF 446
#define RULE_PATH_BENEATH 1
#define CREATE_RULESET_VERSION 1U

#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_IOCTL_DEV (1ULL << 15)
#define FS_VERSION_1 ((1ULL << 13) - 1) // execute to make_sym
#define FS_REFER (1ULL << 13)           // from version 2
#define FS_TRUNCATE (1ULL << 14)        // from version 3; ioctl_dev from 5

struct ruleset {
	uint64_t fs;
	uint64_t net;    // from version 4: bind and connect of TCP
	uint64_t scoped; // from version 6: abstract sockets and signals
};

struct beneath {
	uint64_t access;
	int32_t fd;
} __attribute__((packed));

// new_ruleset refuses all that version abi can refuse.
static int new_ruleset(int abi, struct ruleset *r) {
	size_t size = sizeof r->fs;
	r->fs = FS_VERSION_1;
	if (abi >= 2) {
		r->fs |= FS_REFER;
	}
	if (abi >= 3) {
		r->fs |= FS_TRUNCATE;
	}
	if (abi >= 4) {
		r->net = 3;
		size = 2 * sizeof r->fs;
	}
	if (abi >= 5) {
		r->fs |= FS_IOCTL_DEV;
	}
	if (abi >= 6) {
		r->scoped = 3;
		size = 3 * sizeof r->fs;
	}
	return (int)syscall(NR_LANDLOCK_CREATE_RULESET, r, size, 0U);
}

// permit adds a rule; what is not there needs none.
static void permit(int set, const struct ruleset *r, const char *path, uint64_t access) {
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0) {
		return;
	}
	struct stat st;
	if (fstat(fd, &st) == 0) {
		if (!S_ISDIR(st.st_mode)) {
			access &= ~FS_READ_DIR; // else the kernel refuses the rule
		}
		struct beneath rule = {.access = access & r->fs, .fd = fd};
		(void)syscall(NR_LANDLOCK_ADD_RULE, set, RULE_PATH_BENEATH, &rule, 0U);
	}
	close(fd);
}

static void permit_device(int set, const struct ruleset *r, const char *path) {
	struct stat st;
	// A path that leads elsewhere than to a device opens nothing.
	if (stat(path, &st) == 0 && S_ISCHR(st.st_mode)) {
		permit(set, r, path, FS_READ_FILE | FS_WRITE_FILE | FS_IOCTL_DEV);
	}
}

// permit_fido2 lets libudev list HID devices, the libraries find their parts,
// and the devices that are there be used.
static void permit_fido2(int set, const struct ruleset *r, int ndevices, char **devices) {
	static const char *const readable[] = {
		"/sys", "/run/udev", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib",
		"/etc/ld.so.cache", "/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/etc/udev/udev.conf",
		"/etc/passwd", "/etc/group", "/etc/nsswitch.conf", // whose a key is that may not be opened
	};
	for (size_t i = 0; i < sizeof readable / sizeof readable[0]; i++) {
		permit(set, r, readable[i], FS_READ_FILE | FS_READ_DIR);
	}
	permit(set, r, "/dev", FS_READ_DIR);
	DIR *dev = opendir("/dev");
	for (struct dirent *e; dev != NULL && (e = readdir(dev)) != NULL;) {
		char path[300];
		snprintf(path, sizeof path, "/dev/%s", e->d_name);
		if (confine_is_key(path)) {
			permit_device(set, r, path);
		}
	}
	if (dev != NULL) {
		closedir(dev);
	}
	for (int i = 0; i < ndevices; i++) {
		permit_device(set, r, devices[i]);
	}
}

int confine_landlock(int kind, int ndevices, char **devices) {
	int abi = (int)syscall(NR_LANDLOCK_CREATE_RULESET, NULL, 0UL, CREATE_RULESET_VERSION);
	if (abi < 1) {
		return 0;
	}
	struct ruleset r = {0};
	int set = new_ruleset(abi, &r);
	if (set < 0) {
		return 0;
	}
	// A software token is all in the request, and PIV's files are loaded.
	if (kind == KIND_FIDO2) {
		permit_fido2(set, &r, ndevices, devices);
	}
	if (kind == KIND_BROKER) {
		permit(set, &r, "/dev", FS_READ_FILE | FS_WRITE_FILE | FS_IOCTL_DEV);
		permit(set, &r, "/sys", FS_READ_FILE);
	}
	int ok = syscall(NR_LANDLOCK_RESTRICT_SELF, set, 0U) == 0;
	close(set);
	return ok ? abi : 0;
}
