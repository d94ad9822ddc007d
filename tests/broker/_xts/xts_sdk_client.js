// The official market-data SDK as a client. Arguments: REST address, stream address, instruments, message codes.
// It begins with long polling, which neither the feed nor the simulator offers, so that is switched off from outside.
const id = require.resolve("socket.io-client", { paths: [require.resolve("xts-marketdata-api")] });
const socketio = require(id);
require.cache[id].exports = (url, options) => socketio(url, { ...options, transports: ["websocket"] });
const { XtsMarketDataAPI, WS } = require("xts-marketdata-api");

const [api, feed, instruments, codes] = process.argv.slice(2);
const say = (what) => process.stdout.write("SAID " + JSON.stringify(what) + "\n");

(async () => {
  const rest = new XtsMarketDataAPI(api);
  const login = await rest.logIn({ appKey: "simulated-key", secretKey: "simulated-secret", source: "WebAPI" });
  say({ login: login.type, userID: login.result.userID });
  const stream = new WS(feed);
  stream.init({ ...login.result, publishFormat: "JSON", broadcastMode: "Full" });
  stream.onMarketDepthEvent((data) => say({ depth: data }));
  stream.onOpenInterestEvent((data) => say({ interest: data }));
  stream.onJoined(async () => {
    for (const code of JSON.parse(codes)) {
      const answer = await rest.subscription({ instruments: JSON.parse(instruments), xtsMessageCode: code });
      say({ subscribed: answer.type, code: answer.code });
    }
  });
})();
