// SPDX-License-Identifier: MIT
/* Requests and replies of the two processes, and the dma-bufs that go along. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "demo.h"

union control {
	char data[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int send_request(int socket, const struct message *message)
{
	struct iovec iov = {.iov_base = (void *)message, .iov_len = sizeof(*message)};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control = {0};
	struct cmsghdr *cmsg;

	if (message->fd >= 0) {
		header.msg_control = control.data;
		header.msg_controllen = sizeof(control.data);
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &message->fd, sizeof(int));
	}
	return sendmsg(socket, &header, MSG_NOSIGNAL) == sizeof(*message) ? 0 : -EPIPE;
}

int receive_request(int socket, struct message *message)
{
	struct iovec iov = {.iov_base = message, .iov_len = sizeof(*message)};
	union control control = {0};
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.data,
		.msg_controllen = sizeof(control.data),
	};
	struct cmsghdr *cmsg;

	if (recvmsg(socket, &header, MSG_CMSG_CLOEXEC) != sizeof(*message))
		return -EPIPE;
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
