/* The load: many WebSocket clients in one cheap process, which count frames and sample latencies.
 *
 *   load_client PORT CLIENTS SYMBOLS MODE FIELD EVERY
 *
 * Opens CLIENTS connections to 127.0.0.1:PORT; each authenticates and subscribes to SYMBOLS instruments (S0000, …
 * on NSE) in MODE with throttle_ms 0. Of every EVERY-th frame the number FIELD is read, which is the sender's
 * CLOCK_MONOTONIC in microseconds modulo 2^32. Of all other frames only the header is looked at.
 *
 * Prints one JSON line when all are subscribed, and one for each line on standard input: `start` begins a window,
 * `stop` ends it and tells what it held. Ends with standard input.
 */

#include "wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 256 << 10, HEAD = 48, MAX_SAMPLES = 1 << 22, EVENTS = 256 };

enum state { HANDSHAKE, SUBSCRIBING, READY, CLOSED };

struct client {
    int fd;
    enum state state;
    uint64_t left;        /* payload bytes of the present frame that have not come yet */
    uint64_t frames, frames_at_start;
    uint32_t kept;        /* bytes in `head` */
    unsigned char head[HEAD]; /* a cut header, or the beginning of the response or the frame while setting up */
};

static struct client *clients;
static int client_count, ready_count, closed_count, running;
static unsigned every, until_sample;
static char field[32];
static size_t field_length;
static unsigned char buffer[BUFFER + HEAD];
static char *request;     /* authenticate and subscribe, as masked frames */
static size_t request_size;
static uint32_t *samples;
static size_t sample_count;
static uint64_t bytes, window_began, cpu_began, segments_began;

/* -- requests ---------------------------------------------------------------------------------------------- */

/* A masked text frame with a mask of zeros, which is its own plain text. */
static size_t put_frame(char *at, const char *text, size_t size) {
    size_t used = 0;
    at[used++] = (char)0x81;
    if (size < 126) {
        at[used++] = (char)(0x80 | size);
    } else if (size < 65536) {
        at[used++] = (char)(0x80 | 126);
        at[used++] = (char)(size >> 8);
        at[used++] = (char)size;
    } else {
        at[used++] = (char)(0x80 | 127);
        for (int shift = 56; shift >= 0; shift -= 8) at[used++] = (char)((uint64_t)size >> shift);
    }
    memset(at + used, 0, 4);
    used += 4;
    memcpy(at + used, text, size);
    return used + size;
}

static void build_request(int symbols, const char *mode) {
    static const char authenticate[] = "{\"action\":\"authenticate\",\"api_key\":\"benchmark\"}";
    char *text = allocate((size_t)symbols + 4, 64);
    size_t size = (size_t)sprintf(text, "{\"action\":\"subscribe\",\"mode\":\"%s\",\"throttle_ms\":0,\"symbols\":[", mode);
    for (int i = 0; i < symbols; i++)
        size += (size_t)sprintf(text + size, "%s{\"symbol\":\"S%04d\",\"exchange\":\"NSE\"}", i ? "," : "", i);
    size += (size_t)sprintf(text + size, "]}");
    request = allocate(1, size + sizeof authenticate + 64);
    request_size = put_frame(request, authenticate, sizeof authenticate - 1);
    request_size += put_frame(request + request_size, text, size);
    free(text);
}

static void send_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) die("send");
        data += sent;
        size -= (size_t)sent;
    }
}

/* -- frames ------------------------------------------------------------------------------------------------- */

static void sample(const unsigned char *payload, size_t size) {
    const unsigned char *found = memmem(payload, size, field, field_length);
    if (!found || sample_count == MAX_SAMPLES) return;
    uint32_t stamp = (uint32_t)strtoull((const char *)found + field_length, NULL, 10);
    samples[sample_count++] = (uint32_t)monotonic_us() - stamp;
}

/* The length of the header at `at`, 0 when it is cut; `size` becomes that of the payload. */
static size_t read_header(const unsigned char *at, size_t available, uint64_t *size) {
    if (available < 2) return 0;
    unsigned small = at[1] & 0x7f;
    size_t length = small < 126 ? 2 : small == 126 ? 4 : 10;
    if (available < length) return 0;
    *size = small;
    if (length > 2) {
        *size = 0;
        for (size_t i = 2; i < length; i++) *size = *size << 8 | at[i];
    }
    return length;
}

/* The first bytes of an answer while setting up: is this the one that we wait for? */
static void look_at_answer(struct client *client, const unsigned char *payload, size_t size) {
    char text[512];
    size_t shown = size < sizeof text - 1 ? size : sizeof text - 1;
    memcpy(text, payload, shown);
    text[shown] = 0;
    if (!strstr(text, "\"status\":\"success\"")) {
        fprintf(stderr, "the server refused: %s\n", text);
        exit(1);
    }
    if (strstr(text, "\"type\":\"subscribe\"")) {
        client->state = READY;
        client->frames = 0;
        if (++ready_count == client_count) {
            printf("{\"clients\":%d}\n", client_count);
            fflush(stdout);
        }
    }
}

static void answer_ping(struct client *client, const unsigned char *payload, size_t size) {
    char pong[6 + 125] = {(char)0x8a, (char)(0x80 | size)};
    memcpy(pong + 6, payload, size);
    send_all(client->fd, pong, 6 + size);
}

static void read_frames(struct client *client, const unsigned char *at, size_t available) {
    while (available) {
        if (client->left) {
            size_t skipped = client->left < available ? (size_t)client->left : available;
            client->left -= skipped;
            at += skipped;
            available -= skipped;
            continue;
        }
        uint64_t size;
        size_t header = read_header(at, available, &size);
        int setting_up = client->state == SUBSCRIBING;
        if (!header || (setting_up && available < header + (size < 38 ? size : 38))) {
            memcpy(client->head, at, available); /* the rest comes with the next read */
            client->kept = (uint32_t)available;
            return;
        }
        int ping = (at[0] & 0x0f) == 9;
        at += header;
        available -= header;
        client->left = size;
        if (ping) {
            if (size <= available && size < 126) answer_ping(client, at, (size_t)size);
            continue;
        }
        client->frames++;
        if (setting_up) {
            look_at_answer(client, at, size < available ? (size_t)size : available);
        } else if (running && --until_sample == 0) {
            until_sample = every;
            if (size <= available) sample(at, (size_t)size);
            else until_sample = 1; /* cut: the next one instead */
        }
    }
}

static void hang_up(struct client *client) {
    client->state = CLOSED;
    closed_count++;
    close(client->fd);
    if (ready_count < client_count) die("the server hung up while setting up");
}

static void on_readable(struct client *client) {
    size_t kept = client->kept;
    memcpy(buffer, client->head, kept);
    ssize_t got = recv(client->fd, buffer + kept, BUFFER, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        hang_up(client);
        return;
    }
    bytes += (uint64_t)got;
    client->kept = 0;
    size_t size = kept + (size_t)got;
    if (client->state == HANDSHAKE) {
        unsigned char *end = memmem(buffer, size, "\r\n\r\n", 4);
        if (!end || memcmp(buffer, "HTTP/1.1 101", 12) != 0) {
            fprintf(stderr, "no handshake: %.*s\n", (int)size, (char *)buffer);
            exit(1);
        }
        client->state = SUBSCRIBING;
        send_all(client->fd, request, request_size);
        size_t used = (size_t)(end + 4 - buffer);
        read_frames(client, buffer + used, size - used);
        return;
    }
    read_frames(client, buffer, size);
}

/* -- windows ------------------------------------------------------------------------------------------------ */

/* TCP segments with data that have arrived: on loopback one for each of the server's send calls. */
static uint64_t segments(void) {
    uint64_t sum = 0;
    for (int i = 0; i < client_count; i++) {
        struct tcp_info info;
        socklen_t size = sizeof info;
        if (clients[i].state != CLOSED && getsockopt(clients[i].fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
            sum += info.tcpi_data_segs_in;
    }
    return sum;
}

static uint64_t own_cpu_us(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static int ascending(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static uint32_t percentile(double share) {
    return sample_count ? samples[(size_t)(share * (double)(sample_count - 1))] : 0;
}

static void start(void) {
    for (int i = 0; i < client_count; i++) clients[i].frames_at_start = clients[i].frames;
    sample_count = 0;
    until_sample = every;
    bytes = 0;
    running = 1;
    segments_began = segments();
    cpu_began = own_cpu_us();
    window_began = monotonic_us();
    printf("{\"started\":true}\n");
    fflush(stdout);
}

static void stop(void) {
    uint64_t took = monotonic_us() - window_began, cpu = own_cpu_us() - cpu_began;
    uint64_t frames = 0, least = UINT64_MAX;
    for (int i = 0; i < client_count; i++) {
        uint64_t own = clients[i].frames - clients[i].frames_at_start;
        frames += own;
        if (own < least) least = own;
    }
    uint64_t arrived = segments() - segments_began;
    running = 0;
    /* Answered before sorting, so that the window of the server's CPU ends here too. */
    printf("{\"stopped\":true}\n");
    fflush(stdout);
    qsort(samples, sample_count, sizeof *samples, ascending);
    printf("{\"seconds\":%.6f,\"frames\":%lu,\"least\":%lu,\"bytes\":%lu,\"segments\":%lu,\"cpu_us\":%lu,"
           "\"samples\":%zu,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u,\"closed\":%d}\n",
           (double)took / 1e6, frames, least, bytes, arrived, cpu, sample_count, percentile(0.5), percentile(0.99),
           percentile(1.0), closed_count);
    fflush(stdout);
}

/* One command a line; the parent waits for each answer, so a read never holds two. */
static void obey(void) {
    char line[64];
    ssize_t got = read(STDIN_FILENO, line, sizeof line - 1);
    if (got <= 0) exit(0);
    line[got] = 0;
    if (strncmp(line, "start", 5) == 0) start();
    else if (strncmp(line, "stop", 4) == 0) stop();
}

/* -- setting up --------------------------------------------------------------------------------------------- */

static void open_connection(struct client *client, int epoll, uint16_t port) {
    static const char upgrade[] =
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: " NONCE "\r\nSec-WebSocket-Version: 13\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (client->fd < 0) die("socket");
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    send_all(client->fd, upgrade, sizeof upgrade - 1);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event)) die("epoll_ctl");
}

int main(int count, char **arguments) {
    if (count != 7) {
        fprintf(stderr, "usage: %s PORT CLIENTS SYMBOLS MODE FIELD EVERY\n", arguments[0]);
        return 2;
    }
    raise_descriptor_limit();
    uint16_t port = (uint16_t)atoi(arguments[1]);
    client_count = atoi(arguments[2]);
    build_request(atoi(arguments[3]), arguments[4]);
    field_length = (size_t)snprintf(field, sizeof field, "\"%s\":", arguments[5]);
    every = (unsigned)atoi(arguments[6]);
    clients = allocate((size_t)client_count, sizeof *clients);
    samples = allocate(MAX_SAMPLES, sizeof *samples);

    int epoll = epoll_create1(0);
    if (epoll < 0) die("epoll_create1");
    struct epoll_event commands = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &commands)) die("epoll_ctl");
    for (int i = 0; i < client_count; i++) open_connection(&clients[i], epoll, port);

    struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr) on_readable(events[i].data.ptr);
            else obey();
        }
    }
}
