// A real socket.io server. Arguments: module, options for it as JSON. It prints its port, then one line an occurrence;
// the token GOOD is let in. Lines on standard input are commands: `burst` sends events, `leave` and `hangup` end.
const { createServer } = require("http");
const options = JSON.parse(process.argv[3]);
const found = require(process.argv[2]);
const http = createServer();
const io = found.Server ? new found.Server(http, options) : found(http, options);
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const clients = new Set();

io.use((socket, next) => next(socket.handshake.query.token === "GOOD" ? undefined : new Error("Invalid Token")));
io.on("connection", (socket) => {
  clients.add(socket);
  say({ connected: socket.handshake.query.userID });
  socket.on("disconnect", (reason) => say({ gone: reason }));
  socket.emit("joined", { type: "success", code: "s-socket-0001", description: "Socket joined successfully!" });
});

const commands = {
  burst: (socket, [text, packet]) => {
    socket.emit("1512-json-full", text);
    socket.emit("1512-json-full", JSON.parse(text));
    socket.emit("xts-binary-packet", Buffer.from(packet, "hex"));
    socket.emit("picture", Buffer.from("04ff", "hex"), Buffer.from("00", "hex"));
    socket.emit("1512-json-full", text);
  },
  leave: (socket) => socket.disconnect(false),
  hangup: (socket) => socket.disconnect(true),
};
require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [name, ...values] = line.split(" ");
    for (const socket of clients) commands[name](socket, values);
  });

http.listen(0, "127.0.0.1", () => say({ port: http.address().port }));
