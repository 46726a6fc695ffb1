/* SPDX-License-Identifier: MIT */
/* What instance.c and device.c need of layer.c, and nobody else. */
#ifndef LAYER_DISPATCH_H
#define LAYER_DISPATCH_H

#include "layer.h"

/* From then on, until forgotten, the object is found from its handle. */
void layer_instance_remember(struct layer_instance *instance, struct table_spare *spare);
void layer_instance_forget(struct layer_instance *instance);
void layer_device_remember(struct layer_device *device, struct table_spare *spare);
void layer_device_forget(struct layer_device *device);

/* Asks the modules what they want, fills @below and @top. */
void layer_instance_build_dispatch(struct layer_instance *instance);
void layer_device_build_dispatch(struct layer_device *device);

#endif
