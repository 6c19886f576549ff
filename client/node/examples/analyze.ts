/*
 * Tells the sentiment of the texts on the command line:
 *
 *     npm run example -- "A quiet, lovely film." "Two hours I will not get back."
 *
 * SENTINOVA_ADDRESS says where the server is, unless it is 127.0.0.1:8001.
 */

import { SentinovaClient, SentinovaError } from "@sentinova/client";

async function main(texts: string[]): Promise<void> {
  if (texts.length === 0) {
    throw new TypeError('give a text: npm run example -- "A quiet, lovely film."');
  }
  const client = new SentinovaClient({ address: process.env["SENTINOVA_ADDRESS"] });
  try {
    for await (const { index, result, error } of client.stream(texts, { ordered: true })) {
      const answer = error ? (error.reason ?? error.code) : `${result.label} ${result.score.toFixed(3)}`;
      console.log(`${answer}\t${texts[index]}`);
    }
  } finally {
    client.close();
  }
}

main(process.argv.slice(2)).catch((failure: Error) => {
  console.error(failure instanceof SentinovaError ? `${failure.code}: ${failure.message}` : failure.message);
  process.exitCode = 1;
});
