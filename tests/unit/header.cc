// SPDX-License-Identifier: MIT
/* The public header is valid C++ and its functions have C linkage. */
#include <drover/drover.h>

int main()
{
	/* links only if the name isn't mangled; there may be any number of them */
	int count = drover_device_count();

	return count == INT32_MIN;
}
