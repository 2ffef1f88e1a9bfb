/**
 * Files that a member picks, in the form in which the control API takes them.
 */

/** @param {File} file @returns {Promise<{filename: string, base64: string}>} */
export function packed(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve({ filename: file.name, base64: String(reader.result).split(",")[1] ?? "" });
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
