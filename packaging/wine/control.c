/* Sends the control code that the second argument is to the service that the first
 * one names, as "sc control" does: wine's sc has not that. */
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	SERVICE_STATUS status;
	if (argc != 3)
		return 2;
	SC_HANDLE manager = OpenSCManagerA(NULL, NULL, SC_MANAGER_CONNECT);
	SC_HANDLE service = OpenServiceA(manager, argv[1], SERVICE_ALL_ACCESS);
	if (!service || !ControlService(service, atoi(argv[2]), &status)) {
		fprintf(stderr, "error %lu\n", GetLastError());
		return 1;
	}
	return 0;
}
