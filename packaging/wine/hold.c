/* Holds a connection to the named pipe that its argument names, until it is killed.
 * wine gives the first client the instance of a pipe that go-winio keeps for itself
 * and never answers on; this program is that client. */
#include <windows.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	for (int i = 0; i < 1200; i++) {
		HANDLE pipe = CreateFileA(argv[1], GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
			SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
		if (pipe != INVALID_HANDLE_VALUE) {
			puts("held");
			fflush(stdout);
			Sleep(INFINITE);
		}
		Sleep(100);
	}
	return 1;
}
