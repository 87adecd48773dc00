// What the npm packages svix and standardwebhooks say. Reads a JSON list of {do: "sign" | "verify", package, secret, ...} and
// answers with the list of signatures, and of whether they took it.
import { readFileSync } from 'node:fs';
import * as standardwebhooks from 'standardwebhooks';
import * as svix from 'svix';

function answer({ do: what, package: name, secret, id, at, body, headers }) {
  const { Webhook } = { svix, standardwebhooks }[name];
  const webhook = new Webhook(secret);
  if (what === 'sign') {
    return webhook.sign(id, new Date(at * 1000), body);
  }
  try {
    webhook.verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(answer)));
