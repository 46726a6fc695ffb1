// SPDX-License-Identifier: MIT
/*
 * Running each test in a process of its own, the checks, processes and files;
 * see common.h.
 */
#include "common.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* cmocka.h wants it. */
#include <setjmp.h>

#include <cmocka.h>

/* A test that takes longer hangs. */
#define TEST_SECONDS 90
#define EXIT_SKIPPED 77

/* Written by the test's process, read by the runner. */
static struct outcome {
	char text[2048];
} *outcome;

/* ---- Checks ---- */

static _Noreturn void end_test(int status, const char *format, va_list arguments)
{
	char text[sizeof(outcome->text)];

	vsnprintf(text, sizeof(text), format, arguments);
	if (!outcome->text[0])
		strcpy(outcome->text, text);
	_exit(status);
}

void test_fail(const char *file, int line, const char *format, ...)
{
	char with_place[512];
	va_list arguments;

	snprintf(with_place, sizeof(with_place), "%s:%d: %s", file, line, format);
	va_start(arguments, format);
	end_test(EXIT_FAILURE, with_place, arguments);
}

void test_skip(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	end_test(EXIT_SKIPPED, format, arguments);
}

void test_check_eq(const char *file, int line, const char *what, uint64_t actual, uint64_t expected)
{
	if (actual != expected)
		test_fail(file, line, "%s is %llu (%#llx), expected %llu (%#llx)", what,
			  (unsigned long long)actual, (unsigned long long)actual,
			  (unsigned long long)expected, (unsigned long long)expected);
}

static const char *error_name(int error)
{
	return error ? strerrorname_np(-error) : "success";
}

void test_check_err(const char *file, int line, const char *what, int actual, int expected)
{
	if (actual != expected)
		test_fail(file, line, "%s: %d (%s), expected %d (%s)", what, actual,
			  error_name(actual), expected, error_name(expected));
}

long test_check_sys(const char *file, int line, const char *what, long result)
{
	if (result == -1)
		test_fail(file, line, "%s: %m", what);
	return result;
}

/* ---- Processes and threads ---- */

pid_t test_fork(void)
{
	return check_sys(fork());
}

void test_exit(void)
{
	_exit(EXIT_SUCCESS);
}

void test_join(pid_t child)
{
	int status;

	check_sys(waitpid(child, &status, 0));
	if (WIFEXITED(status) && WEXITSTATUS(status) != EXIT_SUCCESS)
		_exit(WEXITSTATUS(status)); /* it left its message in the outcome */
	check(WIFEXITED(status), "a child was killed by signal %d (%s)", WTERMSIG(status),
	      strsignal(WTERMSIG(status)));
}

void test_kill(pid_t child)
{
	int status;

	check_sys(kill(child, SIGKILL));
	check_sys(waitpid(child, &status, 0));
	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status)); /* it failed before */
}

pthread_t test_thread(void *(*run)(void *), void *argument)
{
	pthread_t thread;

	check_ok(-pthread_create(&thread, NULL, run, argument));
	return thread;
}

void test_thread_join(pthread_t thread)
{
	check_ok(-pthread_join(thread, NULL));
}

int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

void sleep_ms(unsigned int ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

bool kernel_before_7(void)
{
	struct utsname name;

	check_sys(uname(&name));
	return atoi(name.release) < 7;
}

/* ---- Files ---- */

char *read_file(const char *format, ...)
{
	size_t used = 0, size = 64 * KIB;
	va_list arguments;
	char path[512];
	char *text;
	ssize_t got;
	int fd;

	va_start(arguments, format);
	vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	text = malloc(size + 1);
	check(text, "no memory to read %s", path);
	while ((got = check_sys(read(fd, text + used, size - used))) > 0) {
		used += got;
		if (used < size)
			continue;
		size *= 2;
		text = realloc(text, size + 1);
		check(text, "no memory to read %s", path);
	}
	close(fd);
	text[used] = '\0';
	return text;
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		error = -errno;
	close(fd);
	return error;
}

void debugfs_path(struct drover_device *dev, const char *file, char *path, size_t size)
{
	struct stat stat;

	check_sys(fstat(drover_device_fd(dev), &stat));
	snprintf(path, size, "/sys/kernel/debug/dri/%u/%s", minor(stat.st_rdev), file);
}

void send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec byte = {"", 1};
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	check_sys(sendmsg(socket, &message, 0));
}

int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))], buffer;
	struct iovec byte = {&buffer, 1};
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	int fd;

	check(recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1, "the other process sent nothing");
	header = CMSG_FIRSTHDR(&message);
	check(header && header->cmsg_type == SCM_RIGHTS, "the other process sent no descriptor");
	memcpy(&fd, CMSG_DATA(header), sizeof(int));
	return fd;
}

/* ---- The runner ---- */

/*
 * With test hooks, what a BO leaves behind when it moves is overwritten at once,
 * so that whoever still looks there is noticed.
 */
static void poison_old_places(void)
{
	unsigned int i, count = device_count();

	for (i = 0; i < count; i++) {
		struct drover_device *dev;
		char path[128];
		int error;

		check_ok(drover_device_open(i, &dev));
		debugfs_path(dev, "poison", path, sizeof(path));
		error = write_file(path, "Y");
		check(!error || error == -ENOENT, "%s: %s", path, strerror(-error));
		drover_device_close(dev);
	}
}

static bool is_clean(struct drover_device *dev, struct drm_drover_device_info *info)
{
	*info = device_info(dev);
	return !info->vram_used && !info->gtt_used && !info->pinned;
}

/* Nothing of a test that has ended may be left on any device. */
static void check_clean(void)
{
	unsigned int i, count = device_count();

	for (i = 0; i < count; i++) {
		struct drm_drover_device_info info;
		struct drover_device *dev;

		check_ok(drover_device_open(i, &dev));
		if (!eventually(is_clean(dev, &info)))
			die("left behind on device %u: %llu bytes of VRAM, %llu of GTT, %llu pinned",
			    info.device_index, (unsigned long long)info.vram_used,
			    (unsigned long long)info.gtt_used, (unsigned long long)info.pinned);
		drover_device_close(dev);
	}
}

/* Waits for a test's process and ends what it started. Returns its exit status, or -1 if it hung. */
static int wait_for_test(pid_t child)
{
	struct pollfd exited = {.fd = pidfd_open(child, 0), .events = POLLIN};
	bool hung = poll(&exited, 1, TEST_SECONDS * 1000) != 1;
	int status;

	kill(-child, SIGKILL);
	if (hung && poll(&exited, 1, 10000) != 1)
		print_message("# can't be killed: it waits in the kernel\n");
	else
		waitpid(child, &status, 0);
	close(exited.fd);
	if (hung) {
		snprintf(outcome->text, sizeof(outcome->text), "no end after %d s", TEST_SECONDS);
		return -1;
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	snprintf(outcome->text, sizeof(outcome->text), "killed by signal %d (%s)", WTERMSIG(status),
		 strsignal(WTERMSIG(status)));
	return -1;
}

/* cmocka's handlers would go on with the next test, in the child. */
static void default_signal_handlers(void)
{
	static const int signals[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_DFL);
}

static int run_in_child(void (*run)(void))
{
	pid_t child;

	outcome->text[0] = '\0';
	fflush(NULL);
	child = fork();
	if (child < 0)
		fail_msg("fork: %s", strerror(errno));
	if (!child) {
		setpgid(0, 0);
		default_signal_handlers();
		devices_bind();
		poison_old_places();
		run();
		_exit(EXIT_SUCCESS);
	}
	setpgid(child, child);
	return wait_for_test(child);
}

static void run_isolated(void **state)
{
	const struct test *test = *state;
	char failure[sizeof(outcome->text)];
	int64_t start = now_ns();
	int status, clean;

	status = run_in_child(test->run);
	strcpy(failure, outcome->text);
	clean = run_in_child(check_clean);
	if (getenv("DROVER_TEST_TIMES"))
		fprintf(stderr, "# %s: %lld ms\n", test->name,
			(long long)(now_ns() - start) / 1000000);
	if (status && status != EXIT_SKIPPED)
		fail_msg("%s", failure);
	if (clean)
		fail_msg("%s", outcome->text);
	if (status) {
		print_message("# %s: skipped: %s\n", test->name, failure);
		skip();
	}
}

int test_main(const char *suite, const struct test *tests, size_t count, int argc, char **argv)
{
	struct CMUnitTest *table = calloc(count, sizeof(*table));
	size_t i;

	outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (!table || outcome == MAP_FAILED)
		return EXIT_FAILURE;
	for (i = 0; i < count; i++)
		table[i] = (struct CMUnitTest){
			.name = tests[i].name,
			.test_func = run_isolated,
			.initial_state = (void *)&tests[i],
		};
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return _cmocka_run_group_tests(suite, table, count, NULL, NULL) ? EXIT_FAILURE
									: EXIT_SUCCESS;
}
