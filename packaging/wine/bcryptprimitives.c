/* The one function of Windows' bcryptprimitives.dll that Go's programs need, for a
 * wine that lacks it: random bytes, from the generator that wine has. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size)
{
	return RtlGenRandom(data, (ULONG)size);
}
