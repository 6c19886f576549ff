/* Addresses, settings and the options of the channel. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { SentinovaClient } from "../src/client.js";
import { channelCredentials, channelOptions } from "../src/connection.js";
import { checkAddress, isLocal } from "../src/options.js";

test("gRPC's addresses are taken", () => {
  for (const address of [
    "localhost:1",
    "h.example:65535",
    "[::1]:8001",
    "unix:/run/s",
    "dns:///a:1",
    "ipv4:1.2.3.4:5",
  ]) {
    checkAddress(address);
  }
});

test("other addresses are refused, with what to write", () => {
  for (const address of ["", "host", "host:", "host:0", "host:65536", "::1:80", "[::1]", "host:80/path", "a b:c"]) {
    assert.throws(() => checkAddress(address), { name: "TypeError", message: /host:port/ }, address);
  }
  assert.throws(() => new SentinovaClient({ address: "http://host:80" }), { message: /is a URL/ });
});

test("proxies have no business on this machine", () => {
  const local = ["127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1", "unix:/run/s"];
  const remote = ["10.0.0.1:1", "host.example:1", "localhost.example:1", "dns:///localhost:1", "[2001:db8::1]:1"];
  assert.deepEqual(local.filter(isLocal), local);
  assert.deepEqual(remote.filter(isLocal), []);
  assert.equal(channelOptions("127.0.0.1:1", undefined, 1)["grpc.enable_http_proxy"], 0);
  assert.equal(channelOptions("host:1", undefined, 1)["grpc.enable_http_proxy"], undefined);
});

test("pings are as rare as the server permits", () => {
  const options = channelOptions("host:1", undefined, 1);
  assert(Number(options["grpc.keepalive_time_ms"]) >= 10_000);
  assert.equal(options["grpc.keepalive_permit_without_calls"], 0);
});

test("a certificate needs its key", () => {
  assert.throws(() => channelCredentials({ cert: "x" }), TypeError);
  assert.throws(() => channelCredentials({ key: "x" }), TypeError);
  assert(!channelCredentials(undefined)._isSecure());
  assert(!channelCredentials(false)._isSecure());
  assert(channelCredentials(true)._isSecure());
  assert(channelCredentials({})._isSecure());
});

test("the name of a certificate is asked for where it is given", () => {
  assert.equal(channelOptions("host:1", { serverName: "n" }, 1)["grpc.ssl_target_name_override"], "n");
  assert.equal(channelOptions("host:1", {}, 1)["grpc.ssl_target_name_override"], undefined);
});

test("settings that make no sense are refused", () => {
  assert.throws(() => new SentinovaClient({ timeoutMs: 0 }), RangeError);
  assert.throws(() => new SentinovaClient({ metadata: { "no spaces": "x" } }));
  assert.equal(new SentinovaClient().address, "127.0.0.1:8001");
});
