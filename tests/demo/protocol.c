// SPDX-License-Identifier: MIT
/* Requests and replies of the two processes, and the dma-bufs that go along. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "demo.h"

struct wire_request {
	uint32_t request;
	uint32_t argument;
};

union control {
	char data[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int send_request(int socket, enum request request, uint32_t argument, int fd)
{
	struct wire_request wire = {.request = request, .argument = argument};
	struct iovec iov = {.iov_base = &wire, .iov_len = sizeof(wire)};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control = {0};
	struct cmsghdr *cmsg;

	if (fd >= 0) {
		header.msg_control = control.data;
		header.msg_controllen = sizeof(control.data);
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	return sendmsg(socket, &header, MSG_NOSIGNAL) == sizeof(wire) ? 0 : -EPIPE;
}

int receive_request(int socket, struct message *message)
{
	struct wire_request wire;
	struct iovec iov = {.iov_base = &wire, .iov_len = sizeof(wire)};
	union control control = {0};
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.data,
		.msg_controllen = sizeof(control.data),
	};
	struct cmsghdr *cmsg;

	if (recvmsg(socket, &header, MSG_CMSG_CLOEXEC) != sizeof(wire))
		return -EPIPE;
	message->request = wire.request;
	message->argument = wire.argument;
	message->fd = -1;
	cmsg = CMSG_FIRSTHDR(&header);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(&message->fd, CMSG_DATA(cmsg), sizeof(int));
	return 0;
}

int send_reply(int socket, int result)
{
	return send(socket, &result, sizeof(result), MSG_NOSIGNAL) == sizeof(result) ? 0 : -EPIPE;
}

int receive_reply(int socket)
{
	int result;
	ssize_t length = recv(socket, &result, sizeof(result), 0);

	if (length < 0)
		return errno == EAGAIN ? -ETIME : -errno;
	return length == sizeof(result) ? result : -EPIPE;
}
