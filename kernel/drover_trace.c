// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Where the tracepoints live.
 */

#include <drm/drm_device.h>
#include <drm/drm_file.h>

#define CREATE_TRACE_POINTS
#include "drover_trace.h"
