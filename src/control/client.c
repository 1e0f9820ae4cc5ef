/* control/client.c  SPDX-License-Identifier: Apache-2.0 */
#include "control/client.h"

#include "control/listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* The status of a bridge is a part of what `configstream status` tells, which probes of the daemon's life run: a bridge
 * that is stopped must not hold them up. */
static bool is_status(const control_request *request)
{
    return request->operation_case == CONFIGSTREAM__CONTROL__REQUEST__OPERATION_STATUS;
}

static int patience_for(const control_request *request)
{
    return is_status(request) ? CONTROL_STATUS_SECONDS : CONTROL_ANSWER_SECONDS;
}

static int connect_patience_for(const control_request *request)
{
    return is_status(request) ? CONTROL_STATUS_SECONDS : CONTROL_CONNECT_SECONDS;
}

static enum control_call_result lost(const char *path, const control_request *request, struct problem *problem)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        problem_set(problem, "%s: no answer in time (%d seconds)%s", path, patience_for(request),
                    is_status(request) ? "" : "; a change that was asked for may still be applied");
        return CONTROL_SLOW;
    }
    problem_set(problem, "%s: the daemon went away: %s; its log may tell why", path,
                errno ? strerror(errno) : "connection closed");
    return CONTROL_UNREACHABLE;
}

static bool send_all(int fd, const struct buffer *frame)
{
    for (size_t sent = 0; sent < frame->length;) {
        ssize_t got = send(fd, frame->data + sent, frame->length - sent, MSG_NOSIGNAL);
        if (got < 0 && errno != EINTR)
            return false;
        if (got > 0)
            sent += (size_t)got;
    }
    return true;
}

static bool receive(int fd, char *to, size_t length)
{
    while (length) {
        ssize_t got = recv(fd, to, length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got < 0 ? errno : 0;
            return false;
        }
        to += got;
        length -= (size_t)got;
    }
    return true;
}

/* Settings may be secrets: they go only to a daemon whose user we trust, whoever made the socket. */
static bool is_trusted(int fd, uid_t trusted)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    return trusted == CONTROL_TRUST_ANYONE || peer.uid == 0 || peer.uid == geteuid() || (trusted != (uid_t)-1 && peer.uid == trusted);
}

static enum control_call_result read_response(int fd, const char *path, const control_request *request,
                                              control_response **response, struct problem *problem)
{
    char head[CONTROL_HEAD_BYTES];
    size_t length = 0;
    if (!receive(fd, head, sizeof head))
        return lost(path, request, problem);
    if (frame_look(head, sizeof head, &length) == FRAME_TOO_LARGE) {
        problem_set(problem, "%s: the answer is beyond the limit of 17 MiB; is this a control socket?", path);
        return CONTROL_BROKEN;
    }
    char *bytes = malloc(length + 1);
    if (!bytes) {
        problem_memory(problem);
        return CONTROL_BROKEN;
    }
    enum control_call_result result = CONTROL_ANSWERED;
    if (!receive(fd, bytes, length)) {
        result = lost(path, request, problem);
    } else {
        *response = configstream__control__response__unpack(NULL, length, (const uint8_t *)bytes);
        if (!*response) {
            problem_set(problem, "%s: the answer makes no sense; is this a control socket?", path);
            result = CONTROL_BROKEN;
        }
    }
    free(bytes);
    return result;
}

static enum control_call_result unreachable(const char *path, const control_request *request, struct problem *problem)
{
    if (errno == EAGAIN) {
        problem_set(problem, "%s: no answer in time: the daemon took no connection for %d seconds; nothing was sent", path,
                    connect_patience_for(request));
        return CONTROL_SLOW;
    }
    enum control_call_result result = errno == ECONNREFUSED || errno == ENOENT ? CONTROL_UNREACHABLE : CONTROL_BROKEN;
    problem_set(problem, "%s: cannot reach the daemon: %s", path, strerror(errno));
    return result;
}

static enum control_call_result exchange(int fd, const char *path, const struct buffer *frame,
                                         const control_request *request, control_response **response,
                                         struct problem *problem)
{
    const struct timeval patience = {.tv_sec = patience_for(request)};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 || !send_all(fd, frame))
        return lost(path, request, problem);
    return read_response(fd, path, request, response, problem);
}

enum control_call_result control_call(const char *path, uid_t trusted, const control_request *request,
                                      control_response **response, struct problem *problem)
{
    struct buffer frame = {0};
    enum control_call_result result = CONTROL_BROKEN;
    if (!frame_append(&frame, &request->base)) {
        problem_set(problem, "the request is beyond the limit of 17 MiB, or out of memory");
        free(frame.data);
        return result;
    }
    int fd = control_connect(path, connect_patience_for(request));
    if (fd < 0) {
        result = unreachable(path, request, problem);
    } else if (!is_trusted(fd, trusted)) {
        problem_set(problem, "%s: is served by a user we do not trust; see --producer-user", path);
        result = CONTROL_UNTRUSTED;
    } else {
        result = exchange(fd, path, &frame, request, response, problem);
    }
    if (fd >= 0)
        close(fd);
    free(frame.data);
    return result;
}
