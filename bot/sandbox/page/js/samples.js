/**
 * The sample commits that the page can push: one that works, and one whose service never gets healthy.
 *
 * The broken one lays a package `app/settings/` over the module of that name, so that the process ends before it
 * listens; the next good one takes it away again. Neither needs to know what else is in the repository.
 */

import * as api from "./api.js";

/** @typedef {{name: string, title: string, push: (title: string) => Promise<{sha: string}>}} Commit */

const BLOCKER = "app/settings/__init__.py";
const NOTE = "app/RELEASE.md";
const FAILING = `"""Settings of the service."""

import os

STRIPE_KEY = os.environ["STRIPE_KEY"]
`;

/** @param {string} title @param {string} author @param {Record<string, string | null>} files */
const push = (title, author, files) => api.lever("/github/push", { branch: "main", files, message: title, author });

/** @param {string} title */
async function pushGood(title) {
  const note = { [NOTE]: `${title}, ${new Date().toISOString()}\n` };
  try {
    return await push(title, "harbour-dev", { ...note, [BLOCKER]: null });
  } catch (error) {
    // There was no broken version to take away.
    if (error instanceof api.Refused && error.status === 404) return push(title, "harbour-dev", note);
    throw error;
  }
}

/** @type {Commit[]} */
export const COMMITS = [
  { name: "Good version", title: "Say when the tide turns", push: pushGood },
  {
    name: "Broken version",
    title: "Read the payment key at start",
    push: (title) => push(title, "harbour-dev2", { [BLOCKER]: FAILING }),
  },
];
