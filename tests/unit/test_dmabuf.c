// SPDX-License-Identifier: MIT
/* What is done with any driver's dma-buf. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/dma-buf.h>

#include "fake.h"

#define READ  DROVER_ACCESS_READ
#define WRITE DROVER_ACCESS_WRITE

static void size(void **state)
{
	int fd = fake_foreign_dmabuf(5ULL << 32), fds[2];
	uint64_t bytes = 0;

	(void)state;
	assert_int_equal(drover_dmabuf_size(fd, &bytes), 0);
	assert_true(bytes == 5ULL << 32);
	assert_int_equal(drover_dmabuf_size(fd, NULL), -EINVAL);
	close(fd);
	bytes = 1;
	assert_int_equal(drover_dmabuf_size(fd, &bytes), -EBADF);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(drover_dmabuf_size(fds[0], &bytes), -ESPIPE);
	assert_int_equal(bytes, 1);
	close(fds[0]);
	close(fds[1]);
}

static void sync_files(void **state)
{
	struct dma_buf_import_sync_file imported = {.flags = DMA_BUF_SYNC_WRITE};
	struct dma_buf_export_sync_file exported = {.fd = -1};
	int fd = fake_foreign_dmabuf(4096), sync_file = -1;

	(void)state;
	for (uint32_t access = 1; access <= 3; access++) {
		exported.flags = access;
		assert_int_equal(drover_dmabuf_export_sync_file(fd, access, &sync_file), 0);
		assert_sent(DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &exported);
		assert_int_equal(fake_last(DMA_BUF_IOCTL_EXPORT_SYNC_FILE)->fd, fd);
		imported.flags = access;
		imported.fd = sync_file;
		assert_int_equal(drover_dmabuf_import_sync_file(fd, access, sync_file), 0);
		assert_sent(DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &imported);
		assert_int_equal(close(sync_file), 0);
	}
	close(fd);
}

static void cpu_access(void **state)
{
	struct dma_buf_sync expected = {.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW};
	int fd = fake_foreign_dmabuf(4096);

	(void)state;
	assert_int_equal(drover_dmabuf_begin_cpu_access(fd, READ | WRITE), 0);
	assert_sent(DMA_BUF_IOCTL_SYNC, &expected);
	expected.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ;
	assert_int_equal(drover_dmabuf_end_cpu_access(fd, READ), 0);
	assert_sent(DMA_BUF_IOCTL_SYNC, &expected);
	expected.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE;
	assert_int_equal(drover_dmabuf_begin_cpu_access(fd, WRITE), 0);
	assert_sent(DMA_BUF_IOCTL_SYNC, &expected);
	close(fd);
}

static void access_is_checked(void **state)
{
	static const uint32_t bad[] = {0, 4, 7, 1U << 31};
	int sync_file = 77;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(drover_dmabuf_export_sync_file(0, bad[i], &sync_file), -EINVAL);
		assert_int_equal(drover_dmabuf_import_sync_file(0, bad[i], 0), -EINVAL);
		assert_int_equal(drover_dmabuf_wait(0, bad[i], 0), -EINVAL);
		assert_int_equal(drover_dmabuf_begin_cpu_access(0, bad[i]), -EINVAL);
		assert_int_equal(drover_dmabuf_end_cpu_access(0, bad[i]), -EINVAL);
	}
	assert_int_equal(drover_dmabuf_export_sync_file(0, READ, NULL), -EINVAL);
	assert_int_equal(fake_num_calls(), 0);
	assert_int_equal(sync_file, 77);
}

/*
 * A socket stands for the dma-buf: readable is "writers are done", writable is
 * "readers and writers are done".
 */
static void wait_for_the_right_event(void **state)
{
	char block[4096] = {0};
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(drover_dmabuf_wait(fds[0], READ, 1000000), -ETIME);
	assert_int_equal(drover_dmabuf_wait(fds[0], WRITE, 0), 0);
	assert_int_equal(drover_dmabuf_wait(fds[0], READ | WRITE, 0), 0);

	/* readable, but not writable any more: a writer has to wait */
	assert_int_equal(write(fds[1], block, 1), 1);
	while (write(fds[0], block, sizeof(block)) > 0)
		;
	assert_int_equal(drover_dmabuf_wait(fds[0], READ, -1), 0);
	assert_int_equal(drover_dmabuf_wait(fds[0], WRITE, 0), -ETIME);
	assert_int_equal(drover_dmabuf_wait(fds[0], READ | WRITE, 1000000), -ETIME);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(drover_dmabuf_wait(fds[0], READ, 0), -EBADF);
	assert_int_equal(drover_dmabuf_wait(-1, READ, -1), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_test(size),
		fake_test(sync_files),
		fake_test(cpu_access),
		fake_test(access_is_checked),
		fake_test(wait_for_the_right_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
