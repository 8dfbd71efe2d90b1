// Encodes contexts as the inspector's page does: a line of JSON for each on stdin, its request or refusal on stdout.
import { createInterface } from "node:readline";
import { encode, Refusal } from "../pyflagwasm/serve/static/encode.mjs";
import { JsonError, parse } from "../pyflagwasm/serve/static/json.mjs";
import { read } from "../pyflagwasm/serve/static/slots.mjs";

for await (const line of createInterface({ input: process.stdin })) {
  const { text, slots, template, labels, now_us } = JSON.parse(line), nowUs = BigInt(now_us);
  let answer;
  try {
    const values = read(slots, slots.map((_, number) => number), parse(text), nowUs);
    answer = Buffer.from(encode(Buffer.from(template, "base64"), values, nowUs, labels)).toString("base64");
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof JsonError)) throw error;
    answer = error instanceof Refusal ? { refused: error.message } : { unreadable: error.message };
  }
  console.log(JSON.stringify(answer));
}
