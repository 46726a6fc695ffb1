// SPDX-License-Identifier: MIT
/* Owns the virtual GPUs of an instance, and the VM of a device. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xf86drm.h>

#include "layer.h"
#include "virtual_gpu.h"

/* Where drover's deviceIDs begin; with the vendor's, which is the driver's, they have to be distinct. */
#define FIRST_DEVICE_ID 0xd0

struct virtual_gpu_instance {
	uint32_t count;
	struct virtual_gpu gpus[];
};

/* ---- Finding out what there is ---- */

/* Why a virtual GPU can't be used. */
static const char *reason_text(int error)
{
	switch (-error) {
	case EACCES:
	case EPERM:
		return "the render node may not be opened: add the user to the group that owns /dev/dri/renderD*";
	case EOPNOTSUPP:
		return "the drover module is too old, it has no aperture: load the one that belongs to this layer";
	case ENODEV:
		return "there is no virtual GPU for it: load the drover module (modprobe drover), "
		       "with devices= for as many as needed";
	default:
		return strerror(-error);
	}
}

/* Whether the module has what virtual mode needs: an aperture comes with a status word. */
static int check_aperture(struct drover_device *drover)
{
	const volatile struct drm_drover_vm_status *status;
	struct drover_vm *vm;
	int ret = drover_vm_create(drover, &vm);

	if (ret)
		return ret;
	ret = drover_vm_map_status(vm, &status);
	if (!ret)
		drover_vm_unmap_status(status);
	drover_vm_destroy(vm);
	return ret;
}

/* Return: 0, or a negative errno: then there's nothing to close. */
static int open_usable(uint32_t position, struct drover_device **drover)
{
	int ret = drover_device_open(position, drover);

	if (ret)
		return ret;
	ret = check_aperture(*drover);
	if (ret)
		drover_device_close(*drover);
	return ret;
}

static void find_nodes(struct virtual_gpu *gpu)
{
	int fd = drover_device_fd(gpu->drover);
	char *primary = drmGetPrimaryDeviceNameFromFd(fd);
	struct stat stat_buffer;

	if (!fstat(fd, &stat_buffer))
		gpu->render = stat_buffer.st_rdev;
	if (primary && !stat(primary, &stat_buffer))
		gpu->primary = stat_buffer.st_rdev;
	free(primary);
}

/*
 * The number of the device among drover's is all that tells it from the others, and is the same
 * after every boot.
 */
static void identify(struct virtual_gpu *gpu)
{
	static const char prefix[12] = "drover-gpu";
	uint32_t index = gpu->info.device_index;

	memcpy(gpu->uuid, prefix, sizeof(prefix));
	for (int i = 0; i < 4; i++)
		gpu->uuid[sizeof(prefix) + i] = (uint8_t)(index >> (24 - 8 * i));
	gpu->device_id = FIRST_DEVICE_ID + index;
	snprintf(gpu->name, sizeof(gpu->name), "Drover virtual GPU %u", index);
}

static int open_gpu(struct virtual_gpu *gpu, uint32_t position)
{
	int ret = open_usable(position, &gpu->drover);

	if (ret)
		return ret;
	ret = drover_device_info(gpu->drover, &gpu->info);
	if (ret) {
		drover_device_close(gpu->drover);
		gpu->drover = NULL;
		return ret;
	}
	gpu->position = position;
	identify(gpu);
	find_nodes(gpu);
	return 0;
}

VkResult virtual_gpu_instance_create(struct layer_instance *instance)
{
	struct virtual_gpu_instance *gpus;
	uint32_t usable = 0;
	int count;

	if (instance->settings.mode == LAYER_MODE_NATIVE)
		return VK_SUCCESS;
	count = drover_device_count();
	if (count <= 0)
		return VK_SUCCESS;
	gpus = layer_alloc(instance->allocator,
			   sizeof(*gpus) + (size_t)count * sizeof(gpus->gpus[0]),
			   VK_SYSTEM_ALLOCATION_SCOPE_INSTANCE);
	if (!gpus)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	gpus->count = (uint32_t)count;
	for (uint32_t i = 0; i < gpus->count; i++)
		usable += !open_gpu(&gpus->gpus[i], i);
	if (usable)
		instance->virtual_gpus = gpus;
	else
		layer_free(instance->allocator, gpus);
	return VK_SUCCESS;
}

void virtual_gpu_instance_destroy(struct layer_instance *instance)
{
	struct virtual_gpu_instance *gpus = instance->virtual_gpus;

	for (uint32_t i = 0; gpus && i < gpus->count; i++)
		drover_device_close(gpus->gpus[i].drover);
	layer_free(instance->allocator, gpus);
	instance->virtual_gpus = NULL;
}

/* ---- Which physical device is which ---- */

/*
 * A driver whose device is the CPU itself can use any memory that the CPU can, as long as it takes
 * pointers to it. Of others that do it's the user who has to know (mode = virtual).
 */
static bool can_be_virtual(const struct layer_physical_device *physical_device)
{
	const struct layer_instance *instance = physical_device->instance;

	if (!extension_set_has(&physical_device->extensions,
			       VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME))
		return false;
	switch (instance->settings.mode) {
	case LAYER_MODE_NATIVE:
		return false;
	case LAYER_MODE_VIRTUAL:
		return true;
	case LAYER_MODE_AUTO:
		break;
	}
	return physical_device->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU &&
	       (physical_device->driver_id == VK_DRIVER_ID_MESA_LLVMPIPE ||
		physical_device->driver_id == VK_DRIVER_ID_GOOGLE_SWIFTSHADER);
}

void virtual_gpu_assign(struct layer_instance *instance, const VkPhysicalDevice *handles,
			uint32_t count)
{
	struct virtual_gpu_instance *gpus = instance->virtual_gpus;
	const uint8_t *driver = NULL;
	uint32_t position = 0;

	for (uint32_t i = 0; gpus && i < count && position < gpus->count; i++) {
		struct layer_physical_device *physical_device =
			table_get(&instance->physical_devices, table_key(handles[i]));

		if (!physical_device || !can_be_virtual(physical_device))
			continue;
		if (!driver)
			driver = physical_device->driver_uuid;
		if (memcmp(driver, physical_device->driver_uuid, VK_UUID_SIZE))
			continue;
		if (gpus->gpus[position].drover)
			physical_device->virtual_gpu = &gpus->gpus[position];
		position++;
	}
}

void virtual_gpu_explain(const struct layer_physical_device *physical_device)
{
	struct layer_instance *instance = physical_device->instance;
	struct drover_device *drover;
	int count, ret;

	if (physical_device->virtual_gpu || instance->settings.mode == LAYER_MODE_NATIVE)
		return;
	if (!can_be_virtual(physical_device)) {
		if (instance->settings.mode == LAYER_MODE_VIRTUAL)
			layer_log(&instance->log, LAYER_LOG_WARNING,
				  "memory of \"%s\" stays its driver's: the driver has no "
				  "VK_EXT_external_memory_host",
				  physical_device->properties.deviceName);
		return;
	}
	count = drover_device_count();
	ret = count < 0 ? count : -ENODEV;
	/* what is wrong with one is mostly wrong with all */
	if (count > 0 && !instance->virtual_gpus) {
		ret = open_usable(0, &drover);
		if (!ret) {
			drover_device_close(drover);
			ret = -ENODEV;
		}
	}
	layer_log(&instance->log, LAYER_LOG_WARNING,
		  "memory of \"%s\" stays its driver's: %s (mode = native says that this is meant)",
		  physical_device->properties.deviceName, reason_text(ret));
}

/* ---- Devices ---- */

/* By its number: positions change when another one goes or comes. */
static int open_same(const struct virtual_gpu *gpu, struct drover_device **drover)
{
	for (uint32_t position = 0;; position++) {
		struct drm_drover_device_info info;
		int ret = drover_device_open(position, drover);

		if (ret)
			return ret;
		if (!drover_device_info(*drover, &info) &&
		    info.device_index == gpu->info.device_index)
			return 0;
		drover_device_close(*drover);
	}
}

static int open_device(struct virtual_gpu_device *device)
{
	int ret = open_same(device->gpu, &device->drover);

	if (ret)
		return ret;
	ret = drover_vm_create(device->drover, &device->vm);
	if (ret)
		goto err_close;
	ret = drover_vm_map_status(device->vm, &device->status);
	if (ret)
		goto err_vm;
	ret = drover_vm_map_aperture(device->vm, device->va_end, &device->aperture);
	if (ret)
		goto err_status;
	device->aperture_size = device->va_end;
	return 0;

err_status:
	drover_vm_unmap_status(device->status);
err_vm:
	drover_vm_destroy(device->vm);
err_close:
	drover_device_close(device->drover);
	return ret;
}

static VkResult to_result(int error)
{
	switch (-error) {
	case ENOMEM:
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	case ENOSPC:
	case EMFILE:
	case ENFILE:
		return VK_ERROR_TOO_MANY_OBJECTS;
	case ENODEV:
		/* it went away after it was enumerated */
		return VK_ERROR_DEVICE_LOST;
	default:
		return VK_ERROR_INITIALIZATION_FAILED;
	}
}

VkResult virtual_gpu_device_create(struct layer_device *device)
{
	const struct virtual_gpu *gpu = device->physical_device->virtual_gpu;
	struct virtual_gpu_device *created;
	int ret;

	if (!gpu)
		return VK_SUCCESS;
	created =
		layer_alloc(device->allocator, sizeof(*created), VK_SYSTEM_ALLOCATION_SCOPE_DEVICE);
	if (!created)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	created->gpu = gpu;
	created->process = getpid();
	created->va_start = gpu->info.va_start;
	created->va_end = gpu->info.va_end;
	ret = open_device(created);
	if (ret) {
		layer_log(&device->instance->log, LAYER_LOG_ERROR,
			  "no address space of \"%s\" for the device: %s", gpu->name,
			  reason_text(ret));
		layer_free(device->allocator, created);
		return to_result(ret);
	}
	created->file.gpu = gpu->info.device_index;
	created->file.fd = drover_device_fd(created->drover);
	resident_add(&created->file);
	device->virtual_gpu = created;
	return VK_SUCCESS;
}

void virtual_gpu_device_destroy(struct layer_device *device)
{
	struct virtual_gpu_device *virtual_gpu = device->virtual_gpu;

	if (!virtual_gpu)
		return;
	drover_vm_unmap_status(virtual_gpu->status);
	if (virtual_gpu->process == getpid()) {
		resident_remove(&virtual_gpu->file);
		drover_vm_unmap_aperture(virtual_gpu->vm, virtual_gpu->aperture,
					 virtual_gpu->aperture_size);
		drover_vm_destroy(virtual_gpu->vm);
		drover_device_close(virtual_gpu->drover);
	} else {
		/* The aperture isn't inherited; the VM and all in it are the parent's. */
		close(drover_device_fd(virtual_gpu->drover));
	}
	layer_free(device->allocator, virtual_gpu);
	device->virtual_gpu = NULL;
}
