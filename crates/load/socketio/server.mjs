// A Socket.IO server with presence as an application would write it: rooms, a map of who is in each, the
// whole list to whoever joins, what has changed to the others at once.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
// As a server for browsers is set up that all speak WebSocket.
const io = new Server(http, { transports: ["websocket"], serveClient: false });

/** Who is on each topic: by topic, then by socket. */
const topics = new Map();
let joins = 0;

const list = (members) => {
  const entries = {};
  for (const { key, meta } of members) {
    if (!entries[key]) entries[key] = { metas: [] };
    entries[key].metas.push(meta);
  }
  return entries;
};

/** The fields of a meta of Penholder, and as long. */
const newMeta = (key) => {
  joins += 1;
  return {
    phx_ref: String(joins).padStart(18, "0"),
    joined_at: Date.now(),
    session: String(joins).padStart(36, "0"),
    user: { id: key, name: key, role: "agent", kind: "human", avatar: null },
    mode: "edit",
    status: "active",
    activity: "viewing",
    unsaved: false,
    idle_since: null,
  };
};

io.on("connection", (socket) => {
  const leave = (topic) => {
    const members = topics.get(topic);
    const member = members?.get(socket.id);
    if (!member) return;
    members.delete(socket.id);
    if (members.size === 0) topics.delete(topic);
    socket.leave(topic);
    io.to(topic).emit("presence_diff", { joins: {}, leaves: list([member]) });
  };

  socket.on("join", ({ topic, key }, done) => {
    if (!topics.has(topic)) topics.set(topic, new Map());
    const member = { key, meta: newMeta(key) };
    const members = topics.get(topic).set(socket.id, member);
    socket.join(topic);
    done({ status: "ok" });
    socket.emit("presence_state", list(members.values()));
    socket.to(topic).emit("presence_diff", { joins: list([member]), leaves: {} });
  });
  socket.on("publish", ({ topic, payload }) => socket.to(topic).emit("note", payload));
  socket.on("leave", ({ topic }) => leave(topic));
  socket.on("disconnecting", () => [...socket.rooms].forEach(leave));
});

http.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  console.log(`socket.io listening on http://127.0.0.1:${http.address().port}`);
});
