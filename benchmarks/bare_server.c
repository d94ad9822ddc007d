/* The yardstick: what the kernel alone charges for the same deliveries.
 *
 *   bare_server CLIENTS SYMBOLS RATE BATCH JOIN
 *
 * Accepts CLIENTS WebSocket connections on 127.0.0.1, prints its port and, once all are there, sends frames like
 * tickmux's: RATE ticks a second over SYMBOLS instruments, BATCH of them back to back, every tick to every client.
 * It reads no bus, knows no subscriptions, queues nothing: a blocking send() for each JOIN ticks and client. JOIN 1
 * is one send() a delivery; JOIN may be a fraction and then is kept on the average.
 *
 * Waits for a line on standard input before it sends, and runs until it is killed.
 */

#include "wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME = 512, MAX_JOINED = 1 << 20 };

static int *sockets;
static int client_count;

static int listening(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) die("socket");
    if (bind(fd, (struct sockaddr *)&address, size)) die("bind");
    if (listen(fd, 4096)) die("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &size)) die("getsockname");
    printf("{\"port\":%d}\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void send_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) exit(0); /* the clients have gone: the run is over */
        data += sent;
        size -= (size_t)sent;
    }
}

/* The handshake and the answer to `subscribe` in one; what the client asks is never read. */
static void greet(int fd) {
    static const char answer[] = "{\"type\":\"subscribe\",\"status\":\"success\"}";
    static const char upgrade[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: " NONCE_ANSWER "\r\n\r\n";
    char text[1024];
    int on = 1;
    ssize_t got = recv(fd, text, sizeof text, 0);
    if (got <= 0) die("recv");
    size_t size = (size_t)snprintf(text, sizeof text, "%s\x81%c%s", upgrade, (int)sizeof answer - 1, answer);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    send_all(fd, text, size);
}

/* One tick's frame, byte for byte as tickmux sends it. */
static size_t build_frame(unsigned char *at, int symbol) {
    char text[FRAME];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    uint32_t stamp = (uint32_t)monotonic_us();
    int size = snprintf(text, sizeof text,
                        "{\"type\":\"market_data\",\"symbol\":\"S%04d\",\"exchange\":\"NSE\",\"mode\":1,\"broker\":\"bench\","
                        "\"data\":{\"symbol\":\"S%04d\",\"exchange\":\"NSE\",\"mode\":\"ltp\",\"ltp\":%d.%02d,"
                        "\"ltt\":%u,\"timestamp\":%lu}}",
                        symbol, symbol, 100 + symbol, 5 + symbol % 90, stamp, ms);
    at[0] = 0x81;
    at[1] = 126;
    at[2] = (unsigned char)(size >> 8);
    at[3] = (unsigned char)size;
    memcpy(at + 4, text, (size_t)size);
    return (size_t)size + 4;
}

static void sleep_until(uint64_t us) {
    struct timespec at = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {}
}

int main(int count, char **arguments) {
    if (count != 6) {
        fprintf(stderr, "usage: %s CLIENTS SYMBOLS RATE BATCH JOIN\n", arguments[0]);
        return 2;
    }
    raise_descriptor_limit();
    client_count = atoi(arguments[1]);
    int symbols = atoi(arguments[2]);
    double rate = atof(arguments[3]);
    int batch = atoi(arguments[4]);
    double join = atof(arguments[5]);

    sockets = allocate((size_t)client_count, sizeof *sockets);
    unsigned char *joined = allocate(1, MAX_JOINED + FRAME);
    int listener = listening();
    for (int i = 0; i < client_count; i++) {
        sockets[i] = accept(listener, NULL, NULL);
        if (sockets[i] < 0) die("accept");
        greet(sockets[i]);
    }
    char line[16];
    if (read(STDIN_FILENO, line, sizeof line) <= 0) return 0;

    uint64_t began = monotonic_us(), ticks = 0;
    size_t waiting = 0;
    double owed = 0.0; /* ticks that the next send has to wait for */
    for (;;) {
        sleep_until(began + (uint64_t)((double)ticks * 1e6 / rate));
        for (int i = 0; i < batch; i++) {
            waiting += build_frame(joined + waiting, (int)(ticks++ % (uint64_t)symbols));
            owed += 1.0;
            if (owed < join && waiting < MAX_JOINED) continue;
            for (int client = 0; client < client_count; client++)
                send_all(sockets[client], (const char *)joined, waiting);
            owed -= join;
            waiting = 0;
        }
    }
}
