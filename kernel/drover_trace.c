// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Where the tracepoints live.
 */

#define CREATE_TRACE_POINTS
#include "drover_trace.h"
