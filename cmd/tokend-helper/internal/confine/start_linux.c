//go:build cgo

// The order of things before Go runs.

#define _GNU_SOURCE
#include "confine.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static char held[128];

static void holds(const char *word) {
	size_t n = strlen(held);
	snprintf(held + n, sizeof held - n, "%s%s", n > 0 ? " " : "", word);
}

const char *confine_held(void) { return held; }

static void close_inherited(void) {
#ifdef SYS_close_range
	if (syscall(SYS_close_range, 3, ~0U, 0) == 0) {
		return;
	}
#endif
	for (int fd = 3; fd < 65536; fd++) {
		close(fd);
	}
}

// kind_of reads the mode and the kind, which tokend puts on the command line
// because rules must be there before Go starts a second thread, and long before
// the request is read. "hello" is confined as a PIV operation is, to say what
// that would be worth.
static int kind_of(int argc, char **argv) {
	if (argc == 2 && strcmp(argv[1], "hello") == 0) {
		return KIND_PIV;
	}
	if (argc < 3 || (strcmp(argv[1], "op") != 0 && strcmp(argv[1], "watch") != 0)) {
		return KIND_NONE;
	}
	if (strcmp(argv[2], "soft") == 0) {
		return KIND_SOFT;
	}
	if (strcmp(argv[2], "piv") == 0) {
		return KIND_PIV;
	}
	return strcmp(argv[2], "fido2") == 0 ? KIND_FIDO2 : KIND_NONE;
}

static void confine(int kind, int argc, char **argv) {
	struct sealed_addresses s = {0};
	if (kind == KIND_PIV) {
		// From version 2, libpcsclite loads its other half at the first call.
		// No file can be opened then.
		(void)dlopen("libpcsclite_real.so.1", RTLD_NOW);
		confine_seal(&s);
	}
	if (kind == KIND_FIDO2 && strcmp(argv[1], "watch") == 0) {
		confine_broker(argc - 3, argv + 3);
	}
	int abi = confine_landlock(kind, argc - 3, argv + 3);
	if (abi > 0) {
		char word[32];
		snprintf(word, sizeof word, "landlock-%d", abi);
		holds(word);
	}
	if (confine_seccomp(kind, &s)) {
		holds("seccomp");
		if (s.page != NULL) {
			holds("pcscd-only");
		}
	}
}

// Runs before Go starts a second thread, because all of this belongs to a thread
// and only threads made later inherit it, and before Go opens anything, because
// every descriptor but the standard three was somebody else's. Only the first
// must succeed: the rest is as much as the kernel has.
__attribute__((constructor)) static void start_bare(int argc, char **argv) {
	struct rlimit none = {0, 0};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		_exit(1);
	}
	holds("no-new-privs");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0) {
		holds("no-core");
	}
	close_inherited();
#ifdef __GLIBC__ // others do not tell a constructor the command line
	int kind = kind_of(argc, argv);
	if (kind != KIND_NONE) {
		confine(kind, argc, argv);
	}
#else
	(void)argc, (void)argv, (void)kind_of, (void)confine;
#endif
}
