// An unmodified @octokit/rest goes once over every endpoint that the bot and its people use, and says what it saw, one
// JSON line a step. Address and token come by the environment; the folder that it is started in holds the packages.
import { pathToFileURL } from "node:url";

const installed = pathToFileURL(`${process.cwd()}/node_modules/@octokit/rest/dist-src/index.js`);
const { Octokit } = await import(installed);

const [owner, repo] = process.env.REPOSITORY.split("/");
const octokit = new Octokit({ auth: process.env.TOKEN, baseUrl: process.env.API });
const rest = octokit.rest;
const here = { owner, repo };
const say = (step, more = {}) => process.stdout.write(`${JSON.stringify({ step, ...more })}\n`);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// What a call is refused with; a call that succeeds is the fault here.
async function refused(call) {
  try {
    await call();
  } catch (error) {
    return { status: error.status, message: error.response?.data?.message ?? String(error) };
  }
  throw new Error("this should have been refused");
}

async function until(what, ask, holds) {
  for (let tries = 0; tries < 300; tries += 1) {
    const found = await ask();
    if (holds(found)) return found;
    await pause(50);
  }
  throw new Error(`${what} did not come`);
}

async function git() {
  const user = await rest.users.getAuthenticated();
  const about = await rest.repos.get(here);
  say("login", { login: user.data.login, name: about.data.full_name, branch: about.data.default_branch });

  const ref = await rest.git.getRef({ ...here, ref: "heads/main" });
  const matching = await rest.git.listMatchingRefs({ ...here, ref: "heads" });
  const branches = await octokit.paginate(rest.repos.listBranches, { ...here, per_page: 1 });
  const branch = await rest.repos.getBranch({ ...here, branch: "feature/banner" });
  say("refs", {
    main: ref.data.object.sha, matching: matching.data.map((one) => one.ref), branches: branches.map((one) => one.name),
    banner: branch.data.commit.sha,
  });

  const pages = [];
  for await (const page of octokit.paginate.iterator(rest.repos.listCommits, { ...here, per_page: 4 })) pages.push(page.data.length);
  const commit = await rest.repos.getCommit({ ...here, ref: "main" });
  const object = await rest.git.getCommit({ ...here, commit_sha: ref.data.object.sha });
  const tree = await rest.git.getTree({ ...here, tree_sha: object.data.tree.sha, recursive: "1" });
  const file = await rest.repos.getContent({ ...here, path: "Dockerfile" });
  const folder = await rest.repos.getContent({ ...here, path: "app" });
  say("commits", {
    pages, sha: commit.data.sha, author: commit.data.author.login, files: commit.data.files.map((one) => one.filename),
    tree: tree.data.tree.filter((one) => one.type === "blob").map((one) => one.path).sort(),
    dockerfile: Buffer.from(file.data.content, "base64").toString(), folder: folder.data.map((one) => one.name),
  });

  const compared = await rest.repos.compareCommitsWithBasehead({ ...here, basehead: `${object.data.parents[0].sha}...main` });
  say("compare", {
    status: compared.data.status, ahead: compared.data.ahead_by, commits: compared.data.commits.map((one) => one.sha),
    files: compared.data.files.map((one) => one.filename),
  });
  const pulls = await rest.repos.listPullRequestsAssociatedWithCommit({ ...here, commit_sha: ref.data.object.sha });
  const pull = await rest.pulls.get({ ...here, pull_number: pulls.data[0].number });
  say("pulls", { number: pull.data.number, title: pull.data.title, merged: pull.data.merged });
  return ref.data.object.sha;
}

async function ci(sha) {
  const found = await octokit.paginate(rest.checks.listForRef, { ...here, ref: sha, per_page: 2 });
  const one = await rest.checks.get({ ...here, check_run_id: found[0].id });
  const none = await rest.repos.getCombinedStatusForRef({ ...here, ref: sha });
  await rest.repos.createCommitStatus({ ...here, sha, state: "success", context: "other/ci", description: "fine" });
  await rest.repos.createCommitStatus({ ...here, sha, state: "failure", context: "other/lint" });
  const all = await rest.repos.getCombinedStatusForRef({ ...here, ref: sha });
  const listed = await rest.repos.listCommitStatusesForRef({ ...here, ref: sha });
  say("ci", {
    checks: found.map((check) => [check.name, check.conclusion]), one: one.data.name, before: none.data.state,
    after: all.data.state, contexts: all.data.statuses.map((status) => status.context), statuses: listed.data.length,
  });
}

async function actions(sha) {
  const workflows = await rest.actions.listRepoWorkflows(here);
  const workflow = await rest.actions.getWorkflow({ ...here, workflow_id: "build-image.yml" });
  say("workflows", { paths: workflows.data.workflows.map((one) => one.path), name: workflow.data.name });

  const inputs = { component: "app", sha, tag: "fp-0123456789abcdef", request: "octo-1" };
  const dispatch = { ...here, workflow_id: "build-image.yml", ref: "main", inputs, return_run_details: true };
  const started = await rest.actions.createWorkflowDispatch(dispatch);
  const run_id = started.data.workflow_run_id;
  const seen = new Set();
  const run = await until("the end of the run", async () => {
    const got = await rest.actions.getWorkflowRun({ ...here, run_id });
    seen.add(got.data.status);
    return got.data;
  }, (got) => got.status === "completed");
  const jobs = await rest.actions.listJobsForWorkflowRun({ ...here, run_id });
  const job = await rest.actions.getJobForWorkflowRun({ ...here, job_id: jobs.data.jobs[0].id });
  const log = await rest.actions.downloadJobLogsForWorkflowRun({ ...here, job_id: job.data.id });
  const archive = await rest.actions.downloadWorkflowRunLogs({ ...here, run_id });
  say("run", {
    run_id, title: run.display_title, conclusion: run.conclusion, seen: [...seen], status: started.status,
    steps: job.data.steps.map((step) => [step.name, step.conclusion]), log: String(log.data),
    logOrigin: new URL(log.url).origin, zip: Buffer.from(archive.data).subarray(0, 2).toString(),
  });

  const late = await refused(() => rest.actions.cancelWorkflowRun({ ...here, run_id }));
  const again = await rest.actions.reRunWorkflow({ ...here, run_id });
  await rest.actions.cancelWorkflowRun({ ...here, run_id });
  const second = await until("the cancellation", async () => (await rest.actions.getWorkflowRun({ ...here, run_id })).data,
    (got) => got.status === "completed");
  const first = await rest.actions.getWorkflowRunAttempt({ ...here, run_id, attempt_number: 1 });
  const firstJobs = await rest.actions.listJobsForWorkflowRunAttempt({ ...here, run_id, attempt_number: 1 });
  const all = await rest.actions.listJobsForWorkflowRun({ ...here, run_id, filter: "all" });
  const firstLogs = await rest.actions.downloadWorkflowRunAttemptLogs({ ...here, run_id, attempt_number: 1 });
  const failed = await rest.actions.reRunWorkflowFailedJobs({ ...here, run_id });
  const forced = await rest.actions.forceCancelWorkflowRun({ ...here, run_id });
  await until("the end by force", async () => (await rest.actions.getWorkflowRun({ ...here, run_id })).data,
    (got) => got.status === "completed");
  say("attempts", {
    late, again: again.status, second: [second.run_attempt, second.conclusion], first: first.data.conclusion,
    firstJobs: firstJobs.data.jobs.length, all: all.data.jobs.map((one) => one.run_attempt),
    archive: firstLogs.status, failed: failed.status, forced: forced.status,
  });

  const job2 = (await rest.actions.listJobsForWorkflowRun({ ...here, run_id })).data.jobs[0];
  const rerun = await rest.actions.reRunJobForWorkflowRun({ ...here, job_id: job2.id });
  await rest.actions.cancelWorkflowRun({ ...here, run_id });
  const mine = await octokit.paginate(rest.actions.listWorkflowRuns, { ...here, workflow_id: "build-image.yml", per_page: 1 });
  const whole = await rest.actions.listWorkflowRunsForRepo({ ...here, event: "workflow_dispatch", branch: "main" });
  const waiting = await rest.actions.getPendingDeploymentsForRun({ ...here, run_id });
  const reviews = await rest.actions.getReviewsForRun({ ...here, run_id });
  say("runs", {
    rerun: rerun.status, listed: mine.map((one) => one.id), total: whole.data.total_count,
    waiting: waiting.data, reviews: reviews.data,
  });
}

async function deployments(sha) {
  const asked = { ...here, ref: sha, environment: "preview", required_contexts: [], auto_merge: false, payload: { n: 1 } };
  const made = await rest.repos.createDeployment(asked);
  const deployment_id = made.data.id;
  for (const state of ["in_progress", "success"]) {
    await rest.repos.createDeploymentStatus({ ...here, deployment_id, state, environment_url: "http://127.0.0.1:1/", description: state });
  }
  const got = await rest.repos.getDeployment({ ...here, deployment_id });
  const listed = await rest.repos.listDeployments({ ...here, environment: "preview" });
  const statuses = await octokit.paginate(rest.repos.listDeploymentStatuses, { ...here, deployment_id, per_page: 1 });
  const status = await rest.repos.getDeploymentStatus({ ...here, deployment_id, status_id: statuses[0].id });
  const environments = await rest.repos.getAllEnvironments(here);
  const environment = await rest.repos.getEnvironment({ ...here, environment_name: "preview" });
  say("deployments", {
    sha: got.data.sha, payload: got.data.payload, listed: listed.data.map((one) => one.id === deployment_id),
    statuses: statuses.map((one) => one.state), status: status.data.description,
    environments: environments.data.environments.map((one) => one.name), environment: environment.data.name,
  });
}

async function hooks() {
  const config = { url: process.env.RECEIVER, content_type: "json", secret: "s3cret" };
  const made = await rest.repos.createWebhook({ ...here, config, events: ["push"] });
  const hook_id = made.data.id;
  await rest.repos.pingWebhook({ ...here, hook_id });
  await rest.repos.testPushWebhook({ ...here, hook_id });
  const ask = async () => (await rest.repos.listWebhookDeliveries({ ...here, hook_id })).data;
  const deliveries = await until("three deliveries", ask, (got) => got.length === 3);
  const one = await rest.repos.getWebhookDelivery({ ...here, hook_id, delivery_id: deliveries[0].id });
  const again = await rest.repos.redeliverWebhookDelivery({ ...here, hook_id, delivery_id: deliveries[0].id });
  const newest = (await until("the redelivery", ask, (got) => got.length === 4))[0];
  const changed = await rest.repos.updateWebhook({ ...here, hook_id, add_events: ["deployment"] });
  const shown = await rest.repos.getWebhookConfigForRepo({ ...here, hook_id });
  const listed = await rest.repos.listWebhooks(here);
  const got = await rest.repos.getWebhook({ ...here, hook_id });
  const gone = await rest.repos.deleteWebhook({ ...here, hook_id });
  say("hooks", {
    events: deliveries.map((delivery) => delivery.event), ref: one.data.request.payload.ref, again: again.status,
    same: newest.guid === deliveries[0].guid && newest.redelivery, changed: changed.data.events,
    secret: shown.data.secret, listed: listed.data.length, last: got.data.last_response.code, gone: gone.status,
  });
}

async function limits() {
  const first = await rest.repos.get(here);
  const unchanged = await refused(() => rest.repos.get({ ...here, headers: { "if-none-match": first.headers.etag } }));
  const rate = await rest.rateLimit.get();
  const nobody = new Octokit({ auth: "wrong", baseUrl: process.env.API });
  say("limits", {
    unchanged: unchanged.status, used: rate.data.resources.core.used, before: Number(first.headers["x-ratelimit-used"]),
    wrong: await refused(() => nobody.rest.users.getAuthenticated()),
    absent: await refused(() => rest.repos.get({ owner, repo: "other" })),
    unknown: await refused(() => rest.repos.createDeployment({ ...here, ref: "gone" })),
  });
}

try {
  const sha = await git();
  await ci(sha);
  await actions(sha);
  await deployments(sha);
  await hooks();
  await limits();
  say("done");
} catch (error) {
  say("broke", { what: String(error?.stack ?? error) });
  process.exitCode = 1;
}
