// The live picture: takes the newest picture, draws it, and only then asks for the next.

import { at } from "./dom.js";

const picture = at("picture");
const view = at("view");
const context = picture.getContext("2d", { alpha: false });

const LOGGED_OUT = 4401;
const FULL = 4503;
const ROUNDED = 0.002; // of the picture's side, by which parts of it may differ and be the same
const PAUSES_MS = [300, 1000, 2000, 4000];

let socket = null;
let attempt = 0;
let retry = 0;
let part = null; // what of the picture counts, [x, y, width, height] as shares
let resting = false; // nobody looks at it
let follow = () => {}; // connect or leave, as it is watched or not

/** Watch; `onMessage(message)` for every message of the device, `onLost(reason)` when the connection is gone.
 *  `layer.ask()` is what else the device is asked for, and `layer.draw(message)` draws it over the picture.
 *  `tiles.isChosen(message)` says whether a message is about what is watched; others go to `tiles.show(message, image)`. */
export function watch(onMessage, onLost, layer, tiles) {
  follow = () => {
    clearTimeout(retry);
    const seen = !document.hidden && !resting;
    if (seen && !socket) connect(onMessage, onLost, layer, tiles);
    if (!seen && socket?.readyState === WebSocket.OPEN) socket.close(); // not while it opens
  };
  document.addEventListener("visibilitychange", follow);
  new ResizeObserver(place).observe(view);
  follow();
}

/** Ask the device for no pictures while none is shown, or for pictures again. */
export function rest(wish) {
  resting = wish;
  follow();
}

/** What counts of the picture as it is now, small and square, as an object URL for an <img>. */
export async function snapshot() {
  const own = document.querySelector("#own:not([hidden])"); // the camera of who looks at this page
  const [source, [x, y, width, height]] = own ? [own, middle(own.videoWidth, own.videoHeight)] : [picture, counting()];
  const small = document.createElement("canvas");
  small.width = small.height = 112;
  small.getContext("2d").drawImage(source, x, y, width, height, 0, 0, 112, 112);
  return URL.createObjectURL(await new Promise((done) => small.toBlob(done, "image/jpeg", 0.8)));
}

function connect(onMessage, onLost, layer, tiles) {
  const own = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/live`);
  let message = null;
  own.binaryType = "blob";
  socket = own;
  own.addEventListener("message", async ({ data }) => {
    if (typeof data === "string") {
      message = JSON.parse(data);
      attempt = 0;
      if (message.picture) return; // the JPEG follows
    } else {
      await draw(data, message, tiles);
    }
    tiles.showCameras(message.cameras);
    if (tiles.isChosen(message)) {
      if (message.part && !message.inspection) lookAt(message.part);
      layer.draw(message);
      onMessage(message);
    }
    const reply = { ack: message.number ?? null, ...layer.ask() };
    if (own.readyState === WebSocket.OPEN) own.send(JSON.stringify(reply));
  });
  own.addEventListener("open", follow);
  own.addEventListener("close", ({ code, reason }) => {
    socket = null;
    if (code === LOGGED_OUT) location.reload();
    else if (!resting) {
      onLost(code === FULL ? reason : null);
      retry = setTimeout(follow, PAUSES_MS[Math.min(attempt++, PAUSES_MS.length - 1)]);
    }
  });
}

async function draw(jpeg, message, tiles) {
  const image = await createImageBitmap(jpeg);
  tiles.show(message, image);
  if (!tiles.isChosen(message)) return image.close();
  if (picture.width !== image.width || picture.height !== image.height) {
    [picture.width, picture.height] = [image.width, image.height];
    view.style.setProperty("--shape", `${image.width} / ${image.height}`);
    place();
  }
  context.drawImage(image, 0, 0);
  return image.close();
}

function lookAt(latest) {
  if (part?.every((share, side) => Math.abs(share - latest[side]) < ROUNDED)) return;
  part = latest;
  place();
}

/** (x, y, width, height) of what counts, in the picture's own pixels. */
function counting() {
  const { width, height } = picture;
  if (part) return [part[0] * width, part[1] * height, part[2] * width, part[3] * height];
  return middle(width, height);
}

function middle(width, height) {
  const side = Math.min(width, height);
  return [(width - side) / 2, (height - side) / 2, side, side];
}

/** Lay the frame and the overlays over what counts: where the picture is, and the part of it that is looked at. */
function place() {
  const { clientWidth: width, clientHeight: height } = view;
  const scale = Math.min(width / picture.width, height / picture.height);
  const [x, y, across, down] = counting();
  const [left, top] = [(width - picture.width * scale) / 2, (height - picture.height * scale) / 2];
  const sizes = {
    left: left + x * scale,
    top: top + y * scale,
    across: across * scale,
    down: down * scale,
    "picture-width": picture.width * scale,
    "picture-height": picture.height * scale,
    "picture-left": left,
    "picture-top": top,
  };
  for (const [name, value] of Object.entries(sizes)) view.style.setProperty(`--${name}`, `${value}px`);
}
