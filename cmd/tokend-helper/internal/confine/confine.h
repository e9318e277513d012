// What the C files of this package say to each other. See confine.go.

#ifndef CONFINE_H
#define CONFINE_H

#include <stddef.h>
#include <sys/socket.h>

// The kinds of token that a process can be for.
// KIND_BROKER is for a process that
// opens devices and does nothing else with them.
enum { KIND_NONE, KIND_SOFT, KIND_PIV, KIND_FIDO2, KIND_BROKER };

// MAX_ADDRESSES is how many sockets the PC/SC service may be looked for at.
#define MAX_ADDRESSES 2

// A sealed_addresses is a page that nobody can write to any more.
struct sealed_addresses {
	void *page;                            // NULL when it cannot be had
	int mseal;                             // the kernel keeps the page as it is
	int count;                             // of addresses
	const void *address[MAX_ADDRESSES];    // in the page, a struct sockaddr_un each
};

// ADDRESS_ZONE is the upper half of the page's address. Nothing else lies in
// that 4 GiB nor in those before, so that a filter, which can compare but
// hardly add, can tell what touches the page.
#define ADDRESS_ZONE 0x10UL

// seal makes the page.
void confine_seal(struct sealed_addresses *s);

// landlock returns the version of Landlock that holds now, 0 for none.
int confine_landlock(int kind, int ndevices, char **devices);

// seccomp returns 1 when the filter holds now, 0 when it cannot be had.
int confine_seccomp(int kind, const struct sealed_addresses *s);

// broker starts the process that opens devices for a watch, and remembers it.
// It returns 0 when it cannot be had.
int confine_broker(int ndevices, char **devices);

// is_key says whether path is a hidraw node, by its usual name, of a FIDO2 key.
int confine_is_key(const char *path);

// held is what holds, words with spaces between.
const char *confine_held(void);

#endif
