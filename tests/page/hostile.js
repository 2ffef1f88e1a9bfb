// What a hostile page in another tab can try against one loopback port. Runs in that page; says what came of each try.
// "blocked": the browser or the world refused; "blind": sent, but the answer cannot be read; anything else is a leak.
async ([host, port, channel]) => {
  const at = (path) => `http://${host}:${port}${path}`;
  const json = JSON.stringify;
  const targets = [
    ["POST", "/control/v1/commands", json({ user: "owner", channel: "ops", command: "ping", options: {} })],
    ["POST", "/control/v1/bot", json({ action: "kill" })],
    ["POST", "/control/v1/clock", json({ speed: 99 })],
    ["POST", "/control/v1/faults", json({ part: "discord", kind: "refuse" })],
    ["DELETE", "/control/v1/faults", undefined],
    ["POST", "/control/v1/members/guest/roles", json({ roles: ["owner", "sre"] })],
    ["PUT", "/control/v1/config", json({ toml: "" })],
    ["POST", "/control/v1/github/push", json({ branch: "main", files: { "app/x": "x" }, message: "x", author: "dev" })],
    ["GET", "/control/v1/state", undefined],
    ["POST", `/api/v10/channels/${channel}/messages`, json({ content: "owned" })],
    ["PUT", "/api/v10/applications/1325000000000000100/guilds/1325000000000000001/commands", "[]"],
    ["POST", "/repos/harbour-works/quarterdeck/git/refs", json({ ref: "refs/heads/owned", sha: "0".repeat(40) })],
    ["POST", "/repos/harbour-works/quarterdeck/actions/workflows/build-image.yml/dispatches", json({ ref: "main" })],
    ["POST", "/", "Action=RunInstances&Version=2016-11-15&ImageId=ami-1&MinCount=1&MaxCount=1"],
    ["GET", "/?Action=RunInstances&Version=2016-11-15&ImageId=ami-1&MinCount=1&MaxCount=1", undefined],
    ["POST", "/", json({ DocumentName: "AWS-RunShellScript", Parameters: { commands: ["touch /tmp/owned"] } })],
    ["POST", "/moto-api/reset", ""],
    ["POST", "/quarterdeck/outcome", json({ document: "quarterdeck-deploy", exit_code: 1 })],
  ];
  const outcomes = [];
  const note = (what, outcome) => outcomes.push({ what: `${what} ${host}:${port}`, outcome });

  const readable = { "Content-Type": "application/json", "X-Amz-Target": "AmazonSSM.SendCommand" };
  const simple = ["text/plain", "application/x-www-form-urlencoded"];
  await Promise.all(
    targets.flatMap(([method, path, body]) => [
      fetch(at(path), { method, body, headers: body === undefined ? {} : readable }).then(
        async (answer) => note(`fetch ${method} ${path}`, `read ${answer.status} ${(await answer.text()).slice(0, 80)}`),
        () => note(`fetch ${method} ${path}`, "blocked"),
      ),
      ...(["GET", "POST"].includes(method) ? simple : []).map((type) =>
        fetch(at(path), { method, body, mode: "no-cors", headers: body === undefined ? {} : { "Content-Type": type } }).then(
          (answer) => note(`no-cors ${method} ${path}`, answer.type === "opaque" ? "blind" : `read ${answer.status}`),
          () => note(`no-cors ${method} ${path}`, "blocked"),
        ),
      ),
    ]),
  );

  for (const [method, path, body] of targets.filter(([method]) => method === "POST")) {
    navigator.sendBeacon(at(path), new Blob([body], { type: "text/plain" }));
    const isForm = body.startsWith("Action=");
    for (const enctype of isForm ? ["application/x-www-form-urlencoded", "multipart/form-data"] : ["text/plain"]) {
      const frame = Object.assign(document.createElement("iframe"), { name: `f${Math.random()}` });
      const form = Object.assign(document.createElement("form"), { method, action: at(path), enctype, target: frame.name });
      const cut = body.lastIndexOf(":") + 1 || body.length;
      form.append(Object.assign(document.createElement("input"), { name: body.slice(0, cut), value: body.slice(cut) }));
      document.body.append(frame, form);
      form.submit();
    }
  }
  for (const [, path] of targets.filter(([method]) => method === "GET")) {
    document.body.append(Object.assign(new Image(), { src: at(path) }));
    document.body.append(Object.assign(document.createElement("script"), { src: at(path) }));
  }

  const socket = (path) =>
    new Promise((done) => {
      const one = new WebSocket(`ws://${host}:${port}${path}`);
      one.onopen = () => done("open");
      one.onerror = () => done("blocked");
      setTimeout(() => done("blocked"), 3000);
    });
  const stream = () =>
    new Promise((done) => {
      const one = new EventSource(at("/control/v1/events"));
      const end = (outcome) => (one.close(), done(outcome));
      one.onopen = () => end("open");
      one.onerror = () => end("blocked");
      setTimeout(() => end("blocked"), 3000);
    });
  await Promise.all([
    ...["/gateway?v=10&encoding=json", "/control/v1/events", "/"].map(async (path) => note(`socket ${path}`, await socket(path))),
    stream().then((outcome) => note("stream", outcome)),
  ]);
  return outcomes;
}
