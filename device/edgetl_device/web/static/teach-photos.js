// Photos to teach that somebody has already: chosen as files, dropped with their folders, or pasted.

import { at } from "./dom.js";
import { teachPhotos } from "./teach.js";
import { toast } from "./toast.js";
import { view } from "./views.js";
import { t } from "./words.js";

const PHOTO = /\.(jpe?g|png|webp|bmp|tiff?|hei[cf]|avif)$/i;
const isPhoto = ({ name, type }) => type.startsWith("image/") || PHOTO.test(name);

/** Wire them; `changed()` is called when samples or versions did. */
export function startPhotos(changed) {
  for (const id of ["photos", "photo-taken"]) {
    at(id).addEventListener("change", async ({ target }) => {
      const files = [...target.files];
      target.value = "";
      await teachPhotos(files, changed);
    });
  }
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter(isPhoto);
    if (view !== "teach" || !files.length) return;
    event.preventDefault();
    teachPhotos(files, changed);
  });
  startDropping(changed);
}

/** What is dropped anywhere on the view is taught; on a name, under that name. */
function startDropping(changed) {
  const chip = ({ target }) => target.closest?.("#chips button") ?? null;
  const mark = (event, on) => {
    at("teach").toggleAttribute("data-drop", on);
    const under = on ? chip(event) : null;
    for (const each of at("chips").children) each.toggleAttribute("data-drop", each === under);
  };
  const comes = ({ dataTransfer }) => view === "teach" && dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!comes(event)) return;
    event.preventDefault(); // it may be dropped here
    mark(event, true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && mark(event, false));
  addEventListener("drop", async (event) => {
    mark(event, false);
    if (!comes(event)) return;
    event.preventDefault(); // or the browser would open the photo
    await teachDropped(event.dataTransfer, chip(event)?.value ?? null, changed);
  });
}

/** A folder without a name to go by has its own: one class after the other. */
async function teachDropped(transfer, named, changed) {
  const batches = await dropped(transfer);
  if (!batches.size) return toast("failed", t("teach.nothing-stored"), t("teach.no-photos"));
  const typed = at("teach-label").value.trim() || null;
  for (const [folder, files] of batches) await teachPhotos(files, changed, named ?? (batches.size > 1 ? folder : typed ?? folder));
  return null;
}

/** The photos that were dropped, by the name of the folder they lie in; null for those in none. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean); // before anything waits
  const files = entries.length ? [] : [...transfer.files].filter(isPhoto); // where there are no entries
  const batches = new Map(files.length ? [[null, files]] : []);
  for (const entry of entries) await collect(entry, null, batches);
  return batches;
}

async function collect(entry, folder, batches) {
  if (entry.isFile) {
    const file = await new Promise((done, fail) => entry.file(done, fail));
    if (isPhoto(file)) batches.set(folder, [...(batches.get(folder) ?? []), file]);
    return;
  }
  const reader = entry.createReader();
  const more = () => new Promise((done, fail) => reader.readEntries(done, fail));
  for (let entries = await more(); entries.length; entries = await more()) // some at a time
    for (const each of entries) await collect(each, entry.name, batches);
}
