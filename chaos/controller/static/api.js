// Client of the controller's API: token in session storage, JSON requests, event stream with reconnection.
const RETRY_MS = 1500;

export const token = () => sessionStorage.getItem("token") || "";
export const keepToken = (value) => sessionStorage.setItem("token", value.trim());

export class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function send(method, path, body) {
  const headers = { Authorization: "Bearer " + token() };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let reply;
  try {
    reply = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, "The controller does not answer.");
  }
  if (reply.ok) return reply;
  const answer = await reply.json().catch(() => ({}));
  throw new Refused(reply.status, answer.error?.message || `${reply.status} ${reply.statusText}`);
}

export async function call(method, path, body) {
  const reply = await send(method, path, body);
  return reply.status === 204 ? null : reply.json();
}

// Calls `take(event)` for each event, `began()` before the history of each connection, `lost()` on a connection loss.
export async function follow({ began, take, lost }) {
  for (;;) {
    try {
      const reply = await send("GET", "/v1/events");
      await began();
      const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let buffer = ""; ;) {
        const { value, done } = await reader.read();
        if (done) break;
        buffer += value;
        for (let end; (end = buffer.indexOf("\n\n")) >= 0; buffer = buffer.slice(end + 2)) {
          const data = buffer.slice(0, end).split("\n").find((line) => line.startsWith("data: "));
          if (data) take(JSON.parse(data.slice(6)));
        }
      }
    } catch (error) {
      if (error.status === 401) throw error;
    }
    lost();
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}
