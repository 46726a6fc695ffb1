// SPDX-License-Identifier: MIT
/* What an ownership transfer means: where it goes, and whether it's a read or a write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <drover/drover.h>

#include "access.h"

#define R                 DROVER_ACCESS_READ
#define W                 DROVER_ACCESS_WRITE
#define FOREIGN           VK_QUEUE_FAMILY_FOREIGN_EXT
#define EXTERNAL          VK_QUEUE_FAMILY_EXTERNAL
#define IGNORED           VK_QUEUE_FAMILY_IGNORED
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static void directions(void **state)
{
	static const struct {
		uint32_t source, destination;
		enum access_transfer transfer;
	} rows[] = {
		{FOREIGN, 0, ACCESS_TRANSFER_ACQUIRE},
		{EXTERNAL, 3, ACCESS_TRANSFER_ACQUIRE},
		{FOREIGN, IGNORED, ACCESS_TRANSFER_ACQUIRE},
		{0, FOREIGN, ACCESS_TRANSFER_RELEASE},
		{3, EXTERNAL, ACCESS_TRANSFER_RELEASE},
		{IGNORED, EXTERNAL, ACCESS_TRANSFER_RELEASE},
		{0, 1, ACCESS_TRANSFER_NONE},
		{IGNORED, IGNORED, ACCESS_TRANSFER_NONE},
		{0, 0, ACCESS_TRANSFER_NONE},
		{FOREIGN, FOREIGN, ACCESS_TRANSFER_NONE},
		{EXTERNAL, FOREIGN, ACCESS_TRANSFER_NONE},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(access_transfer_of(rows[i].source, rows[i].destination),
				 rows[i].transfer);
}

static void reads_and_writes(void **state)
{
	static const struct {
		bool writable;
		VkAccessFlags2 mask;
		VkAccessFlags3KHR mask3;
		uint32_t access;
	} rows[] = {
		/* nothing is said: what the usage allows */
		{true, 0, 0, W},
		{false, 0, 0, R},
		/* gamescope acquires everything like this */
		{true, VK_ACCESS_2_MEMORY_READ_BIT | VK_ACCESS_2_MEMORY_WRITE_BIT, 0, W},
		{false, VK_ACCESS_2_MEMORY_READ_BIT | VK_ACCESS_2_MEMORY_WRITE_BIT, 0, R},
		{true, VK_ACCESS_2_SHADER_SAMPLED_READ_BIT, 0, R},
		{true, VK_ACCESS_2_SHADER_READ_BIT | VK_ACCESS_2_TRANSFER_READ_BIT, 0, R},
		{true, VK_ACCESS_2_SHADER_READ_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT, 0, W},
		{true, VK_ACCESS_2_COLOR_ATTACHMENT_WRITE_BIT, 0, W},
		{true, VK_ACCESS_2_HOST_READ_BIT, 0, R},
		{true, VK_ACCESS_2_HOST_WRITE_BIT, 0, W},
		{true, VK_ACCESS_2_VIDEO_ENCODE_READ_BIT_KHR, 0, R},
		{true, VK_ACCESS_2_VIDEO_DECODE_WRITE_BIT_KHR, 0, W},
		{true, VK_ACCESS_2_TRANSFORM_FEEDBACK_WRITE_BIT_EXT, 0, W},
		/* a bit that nobody knows yet */
		{true, 1ull << 62, 0, W},
		{true, VK_ACCESS_2_MEMORY_READ_BIT | 1ull << 62, 0, W},
		{true, VK_ACCESS_2_MEMORY_READ_BIT, 1, W},
		{false, VK_ACCESS_2_MEMORY_READ_BIT, 1, R},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(access_classify(rows[i].writable, rows[i].mask, rows[i].mask3),
				 rows[i].access);
}

static void usages(void **state)
{
	static const struct {
		VkImageUsageFlags usage;
		bool writable;
	} images[] = {
		{0, false},
		{VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT, false},
		{VK_IMAGE_USAGE_INPUT_ATTACHMENT_BIT, false},
		{VK_IMAGE_USAGE_VIDEO_ENCODE_SRC_BIT_KHR, false},
		{VK_IMAGE_USAGE_TRANSFER_DST_BIT, true},
		{VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_STORAGE_BIT, true},
		{VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT, true},
		{VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT, true},
		{VK_IMAGE_USAGE_VIDEO_DECODE_DST_BIT_KHR, true},
		{VK_IMAGE_USAGE_HOST_TRANSFER_BIT, true},
		{0x40000000, true},
	};
	static const struct {
		VkBufferUsageFlags2 usage;
		bool writable;
	} buffers[] = {
		{VK_BUFFER_USAGE_2_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_2_INDEX_BUFFER_BIT, false},
		{VK_BUFFER_USAGE_2_UNIFORM_BUFFER_BIT | VK_BUFFER_USAGE_2_TRANSFER_SRC_BIT, false},
		{VK_BUFFER_USAGE_2_INDIRECT_BUFFER_BIT, false},
		{VK_BUFFER_USAGE_2_TRANSFER_DST_BIT, true},
		{VK_BUFFER_USAGE_2_STORAGE_BUFFER_BIT, true},
		{VK_BUFFER_USAGE_2_STORAGE_TEXEL_BUFFER_BIT, true},
		/* anything may be done through an address */
		{VK_BUFFER_USAGE_2_SHADER_DEVICE_ADDRESS_BIT, true},
		{1ull << 62, true},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(images); i++)
		assert_int_equal(access_image_writable(images[i].usage), images[i].writable);
	for (i = 0; i < ARRAY_SIZE(buffers); i++)
		assert_int_equal(access_buffer_writable(buffers[i].usage), buffers[i].writable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(directions),
		cmocka_unit_test(reads_and_writes),
		cmocka_unit_test(usages),
	};

	return cmocka_run_group_tests_name("sync-access", tests, NULL, NULL);
}
