// Keys that an application signs its tokens with, made anew in each run.

import { generateKeyPairSync, sign as signBytes } from "node:crypto";
import { base64url, seconds } from "./server.js";

const KINDS = {
  RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  EdDSA: () => generateKeyPairSync("ed25519"),
};

export const ALGORITHMS = Object.keys(KINDS);

/** A pair of keys for one algorithm, which can sign tokens. */
export class Key {
  #pair;

  constructor(alg, kid) {
    this.alg = alg;
    this.kid = kid;
    this.#pair = KINDS[alg]();
  }

  get pem() {
    return this.#pair.publicKey.export({ type: "spki", format: "pem" });
  }

  get privatePem() {
    return this.#pair.privateKey.export({ type: "pkcs8", format: "pem" });
  }

  /** As a JWKS has it. */
  get jwk() {
    const { alg, kid } = this;
    return { ...this.#pair.publicKey.export({ format: "jwk" }), use: "sig", alg, kid };
  }

  /** A token, good for an hour unless its claims say otherwise. */
  sign(claims, header = {}) {
    const { alg, kid } = this;
    const head = { alg, typ: "JWT", ...(kid && { kid }), ...header };
    const body = { exp: seconds(3600), ...claims };
    const input = [head, body].map((part) => base64url(JSON.stringify(part))).join(".");
    const key = { key: this.#pair.privateKey, dsaEncoding: "ieee-p1363" };
    const hash = alg === "EdDSA" ? null : "sha256";
    return `${input}.${signBytes(hash, Buffer.from(input), key).toString("base64url")}`;
  }
}
