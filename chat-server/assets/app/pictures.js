/* Pictures that are to be sent. */
import { IMAGE_TYPES, MAX_IMAGE } from './state.js';
import { bytes } from './words.js';

export function readDataUrl(file) {
  return new Promise((ok, bad) => {
    const r = new FileReader();
    r.onload = () => ok(String(r.result));
    r.onerror = () => bad(new Error('The picture could not be read.'));
    r.readAsDataURL(file);
  });
}
export function imageProblem(file) {
  if (!IMAGE_TYPES.includes(file.type)) return 'Only PNG, JPEG, WebP and GIF pictures can be sent.';
  if (file.size > MAX_IMAGE) return 'That picture is ' + bytes(file.size) + '. The limit is 7 MB.';
  return null;
}
// Cropped to a square and scaled down, so that a picture stays a few dozen KB.
export async function squarePicture(file) {
  const url = URL.createObjectURL(file);
  try {
    const img = new Image();
    img.src = url;
    await img.decode();
    const side = Math.min(img.naturalWidth, img.naturalHeight), size = Math.min(512, side);
    if (!side) throw new Error('empty');
    const cv = document.createElement('canvas');
    cv.width = cv.height = size;
    const g = cv.getContext('2d');
    g.imageSmoothingQuality = 'high';
    g.drawImage(img, (img.naturalWidth - side) / 2, (img.naturalHeight - side) / 2, side, side, 0, 0, size, size);
    return file.type === 'image/jpeg' ? cv.toDataURL('image/jpeg', 0.9) : cv.toDataURL('image/png');
  } catch (e) {
    throw new Error('That file is not a picture this browser can read.');
  } finally {
    URL.revokeObjectURL(url);
  }
}
