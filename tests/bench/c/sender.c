/* Sends webhooks, signed as Standard Webhooks has it, over many connections at once.
 *
 *     sender PLACE MODE RATE SECONDS CONNECTIONS KEY BODY_BYTES FIRST [ACKED [SOURCE]]
 *
 * PLACE is a TCP port of this machine or the path of a unix socket. MODE: good, or bad (signed with
 * another key), or slow (each connection sends a byte of a head every second and never ends). RATE
 * is that of an open loop, requests a second, each timed from when it should have been sent; 0 is a
 * closed one, as many as are answered. KEY is hexadecimal. Ids are FIRST and on. Connections come
 * from many addresses of 127.0.0.0/8, 50 each. Goes on over the same connection where the server
 * lets it. ACKED gets the id of each that was answered 200, a line each. SIGTERM ends it early. Prints
 * one line of JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PER_ADDRESS = 50, ANSWER_BYTES = 2048, EVENTS = 256, STATUSES = 600, AGAIN_US = 20000 };

enum state { FREE, CONNECTING, SENDING, READING, SLOW };

struct peer {
    int fd; /* -1: none */
    enum state state;
    bool connected, reused;
    int64_t due_us, next_us, number;
    char *request;
    size_t length, sent, got;
    char answer[ANSWER_BYTES + 1];
};

static const char *place, *mode, *source = "resend";
static volatile sig_atomic_t told_to_end;
static double rate, seconds;
static int count;
static unsigned char key[64];
static size_t key_length, body_bytes;
static long long first;
static char *body;
static struct peer *peers;
static int queue;
static FILE *acked;
static int64_t start_us, end_us, latest_us;
static long long number, sent, errors, reopened, statuses[STATUSES];
static float *times_ms;
static size_t times, times_capacity;

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "sender: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- Requests ---- */

static void peer_make(struct peer *peer)
{
    char id[32], at[32], text[45];
    unsigned char mac[32];
    unsigned int length = sizeof mac;
    snprintf(id, sizeof id, "%lld", first + (long long)peer->number);
    snprintf(at, sizeof at, "%lld", (long long)time(NULL));
    int head = snprintf(peer->request, 512, "%s.%s.", id, at);
    memcpy(peer->request + head, body, body_bytes);
    HMAC(EVP_sha256(), key, (int)key_length, (unsigned char *)peer->request, (size_t)head + body_bytes, mac, &length);
    EVP_EncodeBlock((unsigned char *)text, mac, sizeof mac);
    head = snprintf(peer->request, 512,
                    "POST /webhooks/%s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nsvix-id: %s\r\n"
                    "svix-timestamp: %s\r\nsvix-signature: v1,%s\r\nContent-Length: %zu\r\n\r\n",
                    source, id, at, text, body_bytes);
    memcpy(peer->request + head, body, body_bytes);
    peer->length = (size_t)head + body_bytes;
    peer->sent = peer->got = 0;
}

/* ---- Connections ---- */

static void peer_close(struct peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
    peer->connected = peer->reused = false;
}

static void peer_end(struct peer *peer, int status)
{
    if (status) {
        statuses[status]++;
        if (times == times_capacity)
            times_ms = realloc(times_ms, (times_capacity = times_capacity * 2 + 1024) * sizeof *times_ms);
        times_ms[times++] = (float)(now_us() - peer->due_us) / 1000;
        if (status == 200 && acked)
            fprintf(acked, "%lld\n", first + (long long)peer->number);
    } else {
        errors++;
    }
    peer->state = FREE;
}

static bool peer_open(struct peer *peer)
{
    bool local = *place == '/';
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = peer};
    peer->fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (peer->fd < 0)
        die("socket");
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    int result, on = 1;
    if (local) {
        strncpy(path.sun_path, place, sizeof path.sun_path - 1);
        result = connect(peer->fd, (struct sockaddr *)&path, sizeof path);
    } else {
        unsigned host = (unsigned)((peer - peers) / PER_ADDRESS) + (*mode == 'g' ? 1 : *mode == 'b' ? 1001 : 2001);
        from.sin_addr.s_addr = htonl(0x7f010001u + host);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        to.sin_port = htons((uint16_t)atoi(place));
        setsockopt(peer->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (bind(peer->fd, (struct sockaddr *)&from, sizeof from) != 0)
            die("bind");
        result = connect(peer->fd, (struct sockaddr *)&to, sizeof to);
    }
    if (result != 0 && errno != EINPROGRESS) {
        peer_close(peer);
        return false;
    }
    epoll_ctl(queue, EPOLL_CTL_ADD, peer->fd, &event);
    return true;
}

/* The status when the answer is whole, 0 before that. */
static int answer_status(struct peer *peer, bool *keeps)
{
    char *end = strstr(peer->answer, "\r\n\r\n"), *length = strcasestr(peer->answer, "\r\ncontent-length:");
    if (!end || !length || strncmp(peer->answer, "HTTP/1.1 ", 9) != 0)
        return 0;
    if (peer->got < (size_t)(end + 4 - peer->answer) + strtoul(length + 17, NULL, 10))
        return 0;
    char *closes = strcasestr(peer->answer, "\r\nconnection: close");
    *keeps = !closes || closes > end;
    return atoi(peer->answer + 9);
}

static void peer_step(struct peer *peer);

/* A connection that was kept may have been closed meanwhile: then the request goes over a new one. */
static void peer_broken(struct peer *peer)
{
    bool again = peer->reused && peer->got == 0;
    peer_close(peer);
    if (again && peer_open(peer)) {
        reopened++;
        peer->sent = 0;
        peer->state = SENDING;
        peer_step(peer);
        return;
    }
    peer_end(peer, 0);
}

static void peer_step(struct peer *peer)
{
    while (peer->state == SENDING && peer->sent < peer->length) {
        ssize_t n = send(peer->fd, peer->request + peer->sent, peer->length - peer->sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            break;
        if (n < 0) {
            peer_broken(peer);
            return;
        }
        peer->sent += (size_t)n;
        if (peer->sent == peer->length)
            peer->state = READING;
    }
    while (peer->state == READING) {
        bool keeps = false;
        ssize_t n = recv(peer->fd, peer->answer + peer->got, ANSWER_BYTES - peer->got, 0);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return;
        if (n <= 0) {
            peer_broken(peer);
            return;
        }
        peer->got += (size_t)n;
        peer->answer[peer->got] = '\0';
        int status = answer_status(peer, &keeps);
        if (!status)
            continue;
        peer->reused = keeps;
        if (!keeps)
            peer_close(peer);
        peer_end(peer, status);
    }
}

static void peer_start(struct peer *peer, int64_t due_us)
{
    peer->due_us = due_us;
    peer->number = number++;
    peer_make(peer);
    peer->state = SENDING;
    sent++;
    if (peer->fd < 0 && !peer_open(peer)) {
        peer_end(peer, 0);
        return;
    }
    peer_step(peer);
}

/* ---- Modes ---- */

static void start_due(void)
{
    static int at;
    int64_t now = now_us();
    for (int tried = 0; tried < count && now < end_us; tried++) {
        int64_t due = rate > 0 ? start_us + (int64_t)((double)number * 1e6 / rate) : now;
        if (due > now)
            return;
        struct peer *peer = &peers[at];
        at = (at + 1) % count;
        if (peer->state != FREE)
            continue;
        if (now - due > latest_us)
            latest_us = now - due;
        peer_start(peer, due);
    }
}

static void drip(void)
{
    static const char head[] = "POST /webhooks/resend HTTP/1.1\r\nX: ";
    int64_t now = now_us();
    for (int i = 0; i < count; i++) {
        struct peer *peer = &peers[i];
        if (peer->next_us > now)
            continue;
        peer->next_us = now + 1000000;
        if (peer->fd < 0) {
            peer->sent = 0;
            if (!peer_open(peer)) {
                errors++;
                continue;
            }
            sent++;
            peer->state = SLOW;
        }
        char byte = peer->sent < sizeof head - 1 ? head[peer->sent] : 'x';
        ssize_t n = send(peer->fd, &byte, 1, MSG_NOSIGNAL);
        if (n == 1)
            peer->sent++;
        else if (errno != EAGAIN && errno != ENOTCONN)
            peer_close(peer);
    }
}

static void on_slow(struct peer *peer)
{
    for (;;) {
        ssize_t n = recv(peer->fd, peer->answer, ANSWER_BYTES, 0);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return;
        if (n <= 0) {
            statuses[599]++;
            peer_close(peer);
            return;
        }
        peer->answer[n] = '\0';
        if (n > 12)
            statuses[atoi(peer->answer + 9) % STATUSES]++;
    }
}

static bool any_under_way(void)
{
    for (int i = 0; i < count; i++)
        if (peers[i].state != FREE && peers[i].state != SLOW)
            return true;
    return false;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static double quantile(double share)
{
    size_t at = (size_t)((double)times * share);
    return times ? times_ms[at < times ? at : times - 1] : -1;
}

static void tell(double took)
{
    qsort(times_ms, times, sizeof *times_ms, by_size);
    printf("{\"sent\": %lld, \"seconds\": %.3f, \"errors\": %lld, \"reopened\": %lld, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, "
           "\"late_ms\": %.1f, \"statuses\": {",
           sent, took, errors, reopened, quantile(0.5), quantile(0.99), quantile(1), (double)latest_us / 1000);
    const char *comma = "";
    for (int i = 0; i < STATUSES; i++)
        if (statuses[i]) {
            printf("%s\"%d\": %lld", comma, i, statuses[i]);
            comma = ", ";
        }
    printf("}}\n");
}

static void set_up(char **argv)
{
    struct rlimit limit;
    place = argv[1], mode = argv[2];
    rate = atof(argv[3]), seconds = atof(argv[4]), count = atoi(argv[5]);
    for (const char *at = argv[6]; at[0] && at[1] && key_length < sizeof key; at += 2) {
        char digits[3] = {at[0], at[1], 0};
        key[key_length++] = (unsigned char)strtoul(digits, NULL, 16);
    }
    body_bytes = strtoul(argv[7], NULL, 10);
    first = atoll(argv[8]);
    if (*mode == 'b')
        key[0] ^= 1;
    body = malloc(body_bytes + 64);
    memset(body, 'x', body_bytes + 64);
    static const char begin[] = "{\"type\":\"email.delivered\",\"data\":\"";
    if (body_bytes < sizeof begin + 2)
        body_bytes = sizeof begin + 2;
    memcpy(body, begin, sizeof begin - 1);
    memcpy(body + body_bytes - 2, "\"}", 2);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    peers = calloc((size_t)count, sizeof *peers);
    for (int i = 0; i < count; i++) {
        peers[i].fd = -1;
        peers[i].request = malloc(body_bytes + 1024);
    }
    queue = epoll_create1(0);
}

static void on_term(int number)
{
    (void)number;
    told_to_end = 1;
}

int main(int argc, char **argv)
{
    if (argc < 9) {
        fprintf(stderr, "sender PLACE MODE RATE SECONDS CONNECTIONS KEY BODY_BYTES FIRST [ACKED [SOURCE]]\n");
        return 2;
    }
    set_up(argv);
    if (argc > 9 && !(acked = fopen(argv[9], "w")))
        die(argv[9]);
    if (argc > 10)
        source = argv[10];
    signal(SIGTERM, on_term);
    bool slow = *mode == 's';
    start_us = now_us();
    end_us = start_us + (int64_t)(seconds * 1e6);
    int64_t give_up_us = end_us + 20000000;
    for (int64_t drip_us = 0; now_us() < (slow ? end_us : give_up_us);) {
        struct epoll_event events[EVENTS];
        if (told_to_end && end_us > now_us()) {
            end_us = now_us();
            give_up_us = end_us + 20000000;
        }
        if (!slow) {
            start_due();
            if (now_us() >= end_us && !any_under_way())
                break;
        } else if (now_us() >= drip_us) {
            drip();
            drip_us = now_us() + AGAIN_US;
        }
        int n = epoll_wait(queue, events, EVENTS, 1);
        for (int i = 0; i < n; i++) {
            struct peer *peer = events[i].data.ptr;
            if (slow && peer->fd >= 0)
                on_slow(peer);
            else if (!slow && peer->state != FREE)
                peer_step(peer);
        }
    }
    double took = (double)(now_us() - start_us) / 1e6;
    if (acked)
        fclose(acked);
    tell(took);
    return 0;
}
